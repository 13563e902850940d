"""What AWQ and GPTQ are for: never worse than rounding to the nearest, better where inputs have outliers."""

import json
import shutil
import struct

import numpy as np
import pytest
from quantizing import FEW

import workbench as wb
from workbench import builtin
from workbench.quality.resampling import log_ratio

pytestmark = [pytest.mark.environment, pytest.mark.timeout(3600)]

#: The channels that are planted, and by how much: a power of two, so that bfloat16 loses nothing.
CHANNELS, FACTOR = range(3, 256, 4), 64.0
#: Leaves nothing to quantise but the MLPs, which meet the outliers.
ONLY = {"ignore": ["lm_head", "re:.*self_attn.*"]}


def planted(source, folder):
    """The same function, but some inputs of every gate and up are large, and their weights small.

    The norm before makes them larger, the columns that meet them are smaller by the same factor.
    """
    shutil.copytree(source, folder)
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    changes = {"post_attention_layernorm.weight": FACTOR, "gate_proj.weight": 1 / FACTOR, "up_proj.weight": 1 / FACTOR}
    for name in header:
        factor = next((changes[end] for end in changes if name.endswith(end)), None)
        if factor is None:
            continue
        assert header[name]["dtype"] == "BF16"
        begin, end = (8 + length + offset for offset in header[name]["data_offsets"])
        stored = np.frombuffer(bytes(content[begin:end]), np.uint16).reshape(header[name]["shape"])
        values = (stored.astype(np.uint32) << 16).view(np.float32)
        values[..., list(CHANNELS)] *= factor
        content[begin:end] = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    file.write_bytes(content)
    return folder


def run(source, method, folder, **parameters):
    return wb.quantize(source, method=method, out=folder / method, evaluate_tokens=2048, **parameters).wait(3000)


def against(rounded, other):
    """ln of the ratio of two results' perplexities with its 90 % interval."""
    blocks, theirs = rounded["evaluation"]["blocks"], other["evaluation"]["blocks"]
    assert [block[:2] for block in blocks] == [block[:2] for block in theirs]  # the same text, the same original
    tokens, _, after = zip(*blocks, strict=True)
    return log_ratio(tokens, after, [block[2] for block in theirs])


def test_with_planted_outliers_awq_beats_rounding(tmp_path):
    source = planted(builtin.ensure(), tmp_path / "planted")
    rounded = run(source, "w4a16_rtn", tmp_path, symmetric=False, **ONLY)
    awq = run(source, "awq_w4a16", tmp_path, n_grid=10, **FEW, **ONLY)
    assert awq["bytes_after"] == rounded["bytes_after"]
    assert awq["perplexity_before"] == rounded["perplexity_before"]
    assert awq["layer_errors"][0] < 0.7 * rounded["layer_errors"][0]
    assert awq["kl_divergence"] < rounded["kl_divergence"]
    _, _, high = against(rounded, awq)
    assert high < 0


@pytest.mark.soak
def test_planting_changes_nothing_but_the_rounding(tmp_path):
    plain = run(builtin.ensure(), "w4a16_rtn", tmp_path / "plain", **ONLY)
    source = planted(builtin.folder(), tmp_path / "planted")
    with_outliers = run(source, "w4a16_rtn", tmp_path / "outliers", **ONLY)
    assert with_outliers["perplexity_before"] == pytest.approx(plain["perplexity_before"], rel=1e-5)
    assert with_outliers["kl_divergence"] > 2 * plain["kl_divergence"]
    gptq = run(source, "gptq", tmp_path / "gptq", num_calibration_samples=64, max_seq_length=256, **ONLY)
    assert gptq["layer_errors"][0] < with_outliers["layer_errors"][0]
    assert against(with_outliers, gptq)[2] < 0


@pytest.mark.soak
@pytest.mark.parametrize(
    ("method", "symmetric", "parameters"),
    [
        ("awq_w4a16", False, {"num_calibration_samples": 64, "max_seq_length": 256}),
        ("gptq", True, {"num_calibration_samples": 64, "max_seq_length": 256}),
    ],
)
def test_on_the_builtin_model_none_is_worse_than_rounding(method, symmetric, parameters, tmp_path):
    rounded = run(builtin.ensure(), "w4a16_rtn", tmp_path, symmetric=symmetric)
    found = run(builtin.ensure(), method, tmp_path, **parameters)
    assert found["bytes_after"] == rounded["bytes_after"]
    _, low, _ = against(rounded, found)
    assert low <= 0
    assert found["kl_divergence"] < rounded["kl_divergence"]
