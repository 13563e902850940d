"""What is refused before the first byte."""

import pytest
from tiny_checkpoints import llama_config, llama_shapes, write, write_sparse

import workbench as wb
from workbench.errors import InvalidInput, MissingPart, UnknownName, UnsupportedModel
from workbench.quantizers import check


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model", llama_config(), llama_shapes())


def test_a_suitable_model_passes_with_its_needs(model, tmp_path):
    found = check(model, "awq", {}, tmp_path / "out")
    assert found.notes == ()
    assert found.bytes_after < found.bytes_before
    assert found.memory > 2**30
    assert not (tmp_path / "out").exists()


def test_group_size_must_divide_the_layers(tmp_path):
    folder = write(tmp_path / "m", llama_config(), llama_shapes(intermediate=576))
    with pytest.raises(UnsupportedModel, match=r"group size 128 does not divide, first .*down_proj with 576"):
        check(folder, "awq", {}, tmp_path / "out")
    assert check(folder, "awq", {"q_group_size": 64}, tmp_path / "out").bytes_after > 0
    assert check(folder, "gptq", {"group_size": -1}, tmp_path / "out").bytes_after > 0


def test_modules_left_out_need_not_fit(tmp_path):
    folder = write(tmp_path / "m", llama_config(), llama_shapes(intermediate=576))
    assert check(folder, "gptq", {"ignore": ["re:.*down_proj"]}, tmp_path / "out").bytes_after > 0
    with pytest.raises(UnsupportedModel, match="no linear module is left"):
        check(folder, "gptq", {"ignore": ["re:.*"]}, tmp_path / "out")


def test_an_architecture_the_library_does_not_know(tmp_path):
    folder = write(tmp_path / "m", llama_config() | {"model_type": "mixtral"}, llama_shapes())
    with pytest.raises(UnsupportedModel, match=r"not 'mixtral'; try gptq or fp8_dynamic"):
        check(folder, "awq", {}, tmp_path / "out")


def test_a_model_that_brings_code_is_refused(tmp_path):
    folder = write(tmp_path / "m", llama_config(auto_map={"AutoModel": "x.Y"}), llama_shapes())
    with pytest.raises(UnsupportedModel, match="run code that comes with the model"):
        check(folder, "gptq", {}, tmp_path / "out")


def test_a_quantised_checkpoint_is_refused(tmp_path):
    config = llama_config(quantization_config={"quant_method": "gptq"})
    with pytest.raises(UnsupportedModel, match=r"quantised already \(gptq\)"):
        check(write(tmp_path / "m", config, llama_shapes()), "fp8_dynamic", {}, tmp_path / "out")


def test_a_target_inside_the_source_is_refused(model):
    with pytest.raises(InvalidInput, match="lies inside"):
        check(model, "awq", {}, model / "awq")


def test_the_card_it_is_for(model, tmp_path):
    out = tmp_path / "out"
    assert check(model, "fp8_dynamic", {}, out, gpu="L40S").notes == ()
    assert "multiplies in 16 bit" in check(model, "fp8_dynamic", {}, out, gpu="A100 80GB SXM").notes[0]
    assert check(model, "fp8_dynamic", {}, out, gpu="cpu").notes == ()
    with pytest.raises(InvalidInput, match=r"awq needs compute capability 7\.5 in vLLM, .* has 7\.0"):
        check(model, "awq", {}, out, gpu="V100 SXM2 32GB")
    with pytest.raises(UnknownName):
        check(model, "awq", {}, out, gpu="no such card")


def test_a_layout_vllm_does_not_read_is_said(model, tmp_path):
    assert "vLLM does not read" in check(model, "awq", {"version": "GEMV"}, tmp_path / "out").notes[0]


def test_memory_and_disk_too_small_are_said_in_one_message(tmp_path):
    shapes = llama_shapes(hidden=16384, intermediate=65536, layers=400)
    folder = write_sparse(tmp_path / "huge", llama_config(), shapes)
    with pytest.raises(MissingPart, match=r"quantising huge needs about .* of memory, .* and .* of disk, .* are free"):
        wb.quantize(folder, method="awq", out=tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["huge"]


def test_a_model_that_is_not_here_is_not_fetched_unasked(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(MissingPart, match=r"acme/gpt is not on this machine; allow it to be downloaded"):
        wb.quantize("acme/gpt", out=tmp_path / "out")
    with pytest.raises(InvalidInput, match="there is no folder"):
        wb.quantize("./nothing/here/at/all", out=tmp_path / "out")
    with pytest.raises(InvalidInput, match="give a model"):
        wb.quantize("", out=tmp_path / "out")


def test_data_and_evaluation_are_checked_first(model, tmp_path):
    with pytest.raises(InvalidInput, match="there is no file"):
        wb.quantize(model, out=tmp_path / "out", data=tmp_path / "none.txt")
    (tmp_path / "some.txt").write_text("text")
    with pytest.raises(InvalidInput, match="needs no calibration text"):
        wb.quantize(model, method="fp8_dynamic", out=tmp_path / "out", data=tmp_path / "some.txt")
    with pytest.raises(InvalidInput, match="evaluate_tokens"):
        wb.quantize(model, out=tmp_path / "out", evaluate_tokens=-1)
