"""What is quantised, by its headers: sizes, and everything that can be wrong with a folder."""

import json
import os

import pytest
from tiny_checkpoints import llama_config, llama_shapes, write, write_sparse

from workbench.errors import InvalidInput, UnsupportedModel
from workbench.quantizers.source import read


def test_sizes_come_from_the_header(tmp_path):
    found = read(write(tmp_path / "model", llama_config(), llama_shapes()))
    elements = 1024 * 256 + 256 + 2 * (256 + 2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256)
    assert (found.parameters, found.bytes) == (elements, 2 * elements)
    assert len(found.linears) == 14
    assert found.quantization == ""


def test_a_terabyte_is_sized_without_being_read(tmp_path):
    shapes = llama_shapes(hidden=16384, intermediate=65536, layers=120)
    found = read(write_sparse(tmp_path / "huge", llama_config(), shapes))
    assert found.bytes > 900e9


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights_are_named(tmp_path, keep):
    folder = write(tmp_path / "model", llama_config(), llama_shapes())
    file = folder / "model.safetensors"
    size = file.stat().st_size
    os.truncate(file, keep if keep >= 0 else size + keep)
    with pytest.raises(InvalidInput, match=r"model\.safetensors (is no safetensors file, or it )?is truncated"):
        read(folder)


def test_a_missing_shard_is_named(tmp_path):
    folder = write(tmp_path / "model", llama_config(), llama_shapes())
    names = {"a": "model.safetensors", "b": "model-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(InvalidInput, match=r"lacks 1 weight files .* first model-00002\.safetensors"):
        read(folder)


def test_an_index_cannot_lead_out_of_the_folder(tmp_path):
    write(tmp_path / "elsewhere", llama_config(), llama_shapes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../elsewhere/model.safetensors"}})
    )
    with pytest.raises(InvalidInput, match="is no safetensors file of its folder"):
        read(folder)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "has no config.json"),
        ("{", "cannot be read"),
        ("[]", "JSON object"),
        ("\xff", "cannot be read"),
    ],
)
def test_bad_configurations(tmp_path, config, says):
    folder = write(tmp_path / "model", {}, llama_shapes(layers=1))
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(config, encoding="latin-1")
    with pytest.raises(InvalidInput, match=says):
        read(folder)


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UnsupportedModel, match="can run code"):
        read(tmp_path)


def test_a_quantised_checkpoint_says_how(tmp_path):
    config = llama_config(quantization_config={"quant_method": "awq"})
    assert read(write(tmp_path / "a", config, llama_shapes(layers=1))).quantization == "awq"
    packed = {"model.layers.0.mlp.up_proj.qweight": (8, 8)}
    assert "qweight" in read(write(tmp_path / "b", llama_config(), packed)).quantization
