"""Cells, releases and schemes of a row, as its author wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.datafiles import data_path
from workbench.errors import InvalidInput, WorkbenchError
from workbench.evidence import schemes
from workbench.evidence.cases import card_of, parallelism
from workbench.evidence.latency import division
from workbench.evidence.releases import release
from workbench.evidence.rows import Models, flag, number, parse_rows, read_rows, step, whole
from workbench.quantities import GIB


@given(st.text())
def test_any_text_is_rows_or_one_sentence(text: str) -> None:
    try:
        rows = parse_rows(text)
    except InvalidInput:
        return
    assert all("config" in row for row in rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'config'"),
        ("tp,pp\n1,1\n", "no column 'config'"),
        ("config,tp\n", "no rows"),
        ("config,config\na,b\n", "twice"),
        ("config,tp\na,1,2\n", "row 1 has 3 cells"),
        ('config,tp\n"a,1\n', "not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_rows(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_rows(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("config\nmodèle\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_rows(tmp_path / "latin.csv")
    (tmp_path / "excel.csv").write_bytes("config,tp\r\nQwen/Qwen3-8B,1\r\n".encode("utf-8-sig"))
    assert read_rows(tmp_path / "excel.csv") == [{"config": "Qwen/Qwen3-8B", "tp": "1"}]


def test_cells() -> None:
    row = {"a": "1,024", "b": "2.50", "c": "no", "d": "", "e": "two", "f": "1e3"}
    assert whole(row, "a") == 1024
    assert number(row, "b") == 2.5
    assert step(row, "b") == 0.005
    assert step(row, "f") == 0.0
    assert flag(row, "c") is False
    assert number(row, "d") is whole(row, "missing") is flag(row, "d") is None
    for read, name in ((number, "e"), (whole, "b"), (flag, "e")):
        with pytest.raises(InvalidInput, match=name):
            read(row, name)


@pytest.mark.parametrize(
    ("cells", "version", "known"),
    [
        (("0.19.0",), "0.19.0", "stated"),
        (("0.8.3 (V1)",), "0.8.3", "stated"),
        (("0.8.3 (V0)",), "0.8.3 (V0)", "stated"),
        (("0.17.1rc1.dev88",), "0.17.1", "stated"),
        (("0.10.1.1 (V1)",), "0.10.1", "stated"),
        (("V1 dev Jan 2025",), "0.7.0", "dated"),
        (("", "github:vllm-project/vllm#2136"), "0.2.4", "dated"),
        (("", "github:vllm-project/vllm#999999"), "0.27.0", "dated"),
        (("", "", "nightly of Sep 2025"), "0.10.2", "dated"),
        (("", "a blog", ""), "0.10.2", "unstated"),
        (("", "", "", True), "0.6.4", "unstated"),
    ],
)
def test_releases(cells: tuple[str, ...], version: str, known: str) -> None:
    found = release(*cells)
    assert (found.version, found.known) == (version, known)
    assert found.version in found.plausible
    assert (len(found.plausible) == 1) == (known == "stated")


@pytest.mark.parametrize("kind", schemes.CHECKPOINTS)
def test_a_checkpoint_of_a_kind_is_smaller_than_a_plain_one(kind: str) -> None:
    models = Models()
    plain = wb.plan(models.get("Qwen/Qwen3-30B-A3B"), gpu="B200 SXM").memory
    stored = wb.plan(models.get("Qwen/Qwen3-30B-A3B", kind), gpu="B200 SXM").memory
    assert stored.weights.value < 0.62 * plain.weights.value
    assert schemes.said_by(schemes.CHECKPOINTS[kind], kind)


@pytest.mark.parametrize(
    "word", ["none", "FP8", "awq (moe_wna16)", "gptq_marlin", "mxfp4", "nvfp4 (modelopt)", "fp4", "int4"]
)
def test_words_for_schemes(word: str) -> None:
    assert schemes.kind_from(word) in {*schemes.CHECKPOINTS, "float", "fp4"}


def test_words_that_leave_the_scheme_open() -> None:
    assert schemes.kind_from("compressed-tensors", "x/Y-quantized.w8a8") == "int8"
    for word in ("compressed-tensors", "zip"):
        with pytest.raises(InvalidInput, match="quantization"):
            schemes.kind_from(word, "x/Y")


def test_a_configuration_that_says_its_scheme_keeps_it() -> None:
    models = Models()
    assert models.get("openai/gpt-oss-20b", "fp4") is models.get("openai/gpt-oss-20b")
    assert models.get("Qwen/Qwen3-32B-FP8", "fp8 channel") is models.get("Qwen/Qwen3-32B-FP8")
    assert models.get("Qwen/Qwen3-32B-FP8", "float").quantization_config is None


def test_a_folder_gives_what_is_not_bundled(tmp_path: Path) -> None:
    fields = json.loads(data_path("models", "Qwen__Qwen3-8B.json").read_text())
    fields["num_hidden_layers"] = 2
    for name in ("ours__small.json", "qwen__qwen3-8b.json"):
        (tmp_path / name).write_text(json.dumps(fields))
    assert len(Models(tmp_path).get("Ours/small").layers) == 2
    assert len(Models(tmp_path).get("qwen/qwen3-8b").layers) == 36
    with pytest.raises(InvalidInput, match="not a folder"):
        Models(tmp_path / "none")


@pytest.mark.parametrize("config", ["../secret", "/etc/passwd", ".", "", "nobody/none"])
def test_a_row_names_no_file_of_this_machine(config: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    with pytest.raises(WorkbenchError):
        Models(tmp_path / "models").get(config)


def test_cards() -> None:
    stated, remark = card_of("RTX 3090", 23.58)
    assert stated is not None
    assert stated.capacity.value == pytest.approx(23.58 * GIB)
    assert (stated.name, remark) == ("RTX 3090", "")
    unknown, remark = card_of("Frontier 9", None)
    assert unknown is None
    assert "Frontier 9" in remark
    assert card_of("", None) == (None, "")
    assert card_of("A100 40GB (ml.p4d.24xlarge)", None)[0].name.startswith("A100")  # type: ignore[union-attr]
    with pytest.raises(InvalidInput, match="above 0"):
        card_of("", -1.0)


@pytest.mark.parametrize(
    ("row", "sizes"),
    [
        ({"gpu_count": "1"}, (1, 1, 1)),
        ({"tp": "2", "pp": "", "dp": ""}, (2, 1, 1)),
        ({"gpu_count": "12", "tp": "4", "pp": "3"}, (4, 3, 1)),
        ({"gpu_count": "2", "pp": "2"}, (1, 2, 1)),
        ({"gpu_count": "4"}, (4, 1, 1)),
    ],
)
def test_how_a_row_divides_the_model(row: dict[str, str], sizes: tuple[int, int, int]) -> None:
    assert tuple(parallelism(row).values()) == sizes


def test_several_gpus_without_a_division_are_refused() -> None:
    with pytest.raises(InvalidInput, match="tp is empty"):
        parallelism({"pp": "2"})
    with pytest.raises(InvalidInput, match="no multiple"):
        parallelism({"gpu_count": "3", "pp": "2"})
    with pytest.raises(InvalidInput, match="is not the 8 GPUs"):
        division({"n_gpu": "8", "tp": "3", "pp": "1"})


@pytest.mark.parametrize(
    ("row", "sizes", "experts"),
    [
        ({"n_gpu": "8", "tp": "8", "pp": "1", "ep_dp": "attn_dp=1 moe_tp=8 moe_ep=1"}, (8, 1, 1), False),
        ({"n_gpu": "16", "tp": "4", "pp": "1", "ep_dp": "attn_dp=4 moe_tp=1 moe_ep=16"}, (4, 1, 4), True),
        ({"n_gpu": "64", "tp": "64", "pp": "1", "ep_dp": "attn_dp=64 moe_tp=8 moe_ep=8"}, (1, 1, 8), True),
        ({"n_gpu": "8", "tp": "", "pp": "1", "ep_dp": "DEP8"}, (1, 1, 8), True),
        ({"n_gpu": "4", "notes": "; layer split"}, (1, 4, 1), False),
    ],
)
def test_how_a_benchmark_divides_the_model(row: dict[str, str], sizes: tuple[int, ...], experts: bool) -> None:
    found = division(row)
    assert found.pop("enable_expert_parallel") is experts
    assert tuple(found.values()) == sizes
