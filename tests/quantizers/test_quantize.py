"""Methods really run on the built-in model, and jobs that must leave nothing behind; all methods: test_methods."""

import json
import threading

import psutil
import pytest
from quantizing import FEW, answers, finished

import workbench as wb
from workbench import builtin, formats
from workbench.errors import WorkbenchError
from workbench.jobs import JobCancelled, JobFailed
from workbench.quantizers import check
from workbench.quantizers.source import read

pytestmark = [pytest.mark.environment, pytest.mark.timeout(1800)]

SMALL = {"max_calib_samples": 16, "max_calib_seq_len": 256, "apply_clip": False}


@pytest.fixture(scope="module")
def model():
    return builtin.ensure()


def test_awq(model, tmp_path):
    """Folder names are only names: nothing of them reaches a shell or another folder."""
    folder = tmp_path / 'it\'s $(touch pwned); "ünïcode" -o\n..'
    job = wb.quantize("builtin", method="awq", out=folder, evaluate_tokens=2048, **SMALL)
    result = finished(job, folder)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert result["calibration"]["used"] == 16
    assert result["calibration"]["source"] == "built-in text"
    scheme = formats.scheme("awq")
    assert result["bits_per_weight"] == pytest.approx(scheme.matrix_bytes(4096, 4096) * 8 / 4096**2)
    assert check(model, "awq", {}, tmp_path / "x").bytes_after == result["bytes_after"]
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "awq"
    assert formats.checkpoint_scheme(wb.Model.from_config(folder)).group_size == 128


def test_awq_of_a_second_family_with_biases_and_text_of_ones_own(tmp_path):
    source = builtin.ensure(family="qwen2")
    lines = tmp_path / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": "Return the number of items. " * n}) + "\n" for n in range(1, 200, 9)))
    job = wb.quantize(
        source, method="awq", out=tmp_path / "out", data=lines, q_group_size=64, evaluate_tokens=2048, **SMALL
    )
    result = job.wait(1200)
    assert result["perplexity_before"] * 0.98 < result["perplexity_after"] < result["perplexity_before"] * 1.05
    assert result["calibration"]["source"] == str(lines)
    assert result["calibration"]["too_long"] > 0
    tensors = {t.name for t in read(tmp_path / "out").tensors}
    assert "model.layers.0.self_attn.q_proj.bias" in tensors
    assert "model.layers.0.self_attn.q_proj.qweight" in tensors
    assert answers(tmp_path / "out")


def test_awq_in_the_layout_that_vllm_does_not_read(model, tmp_path):
    job = wb.quantize("builtin", out=tmp_path / "out", version="GEMV", evaluate_tokens=1024, **SMALL)
    result = job.wait(1200)
    assert "vLLM does not read version GEMV" in result["notes"][0]
    assert result["perplexity_before"] * 0.98 < result["perplexity_after"] < result["perplexity_before"] * 1.05


def test_fp8_dynamic(model, tmp_path):
    result = finished(
        wb.quantize("builtin", method="fp8_dynamic", out=tmp_path / "out", evaluate_tokens=2048),
        tmp_path / "out",
    )
    assert result["calibration"] is None
    assert 8 < result["bits_per_weight"] < 8.2
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert answers(tmp_path / "out")


def test_gptq(model, tmp_path):
    job = wb.quantize("builtin", method="gptq", out=tmp_path / "out", evaluate_tokens=2048, **FEW)
    result = finished(job, tmp_path / "out")
    assert result["calibration"]["used"] == 16
    assert 4.1 < result["bits_per_weight"] < 4.2
    weights = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]["config_groups"]
    assert weights["group_0"]["weights"]["num_bits"] == 4
    assert answers(tmp_path / "out")


def test_a_job_cancelled_half_way_leaves_no_file_and_no_process(model, tmp_path):
    started = threading.Event()
    job = wb.quantize("builtin", method="awq", out=tmp_path / "deep" / "out", evaluate_tokens=0)

    def watch(j):
        if j.progress.stage == "quantising" and j.progress.detail.startswith("layer"):
            started.set()

    job.observe(watch)
    assert started.wait(600)
    assert len(list((tmp_path / "deep").iterdir())) == 1
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert list(tmp_path.iterdir()) == []
    running = [p.cmdline() for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE]
    assert not [words for words in running if any(str(job.folder) in word for word in words)]


def test_calibration_text_that_is_all_too_long_is_said_before_quantising(model, tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("word " * 2000)
    job = wb.quantize("builtin", method="awq", out=tmp_path / "out", data=file, evaluate_tokens=0)
    with pytest.raises(JobFailed, match=r"no calibration text is left of 1 from .* 1 are longer than 512 tokens"):
        job.wait(600)
    assert not (tmp_path / "out").exists()
    assert "quantising" not in job.progress.detail


def test_a_folder_that_exists_is_left_alone(model, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(WorkbenchError, match="exists; choose another folder"):
        wb.quantize("builtin", out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"
