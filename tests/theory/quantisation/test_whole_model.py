"""A whole model in eight bits: the layers are those of NumPy, bytes halve, and what was committed is coherent."""

from __future__ import annotations

import doctest
from dataclasses import asdict
from pathlib import Path

import pytest

import workbench as wb
from workbench import builtin, jobs
from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.theory.quantisation import whole_model as subject
from workbench.theory.quantisation.whole_model import PASSES, Pass, measured, start, table

WORKER = Path(__file__).with_name("whole_model_checks.py")


def texts():
    return [document.text for document in text.training()[:40]], [document.text for document in text.held_out()]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The checks and a short pass, in one job."""
    calibration, held_out = texts()
    request = {
        "folder": str(builtin.ensure()), "calibration": calibration, "held_out": held_out, "tokens": 400,
        "outliers": 64.0,
        "passes": [asdict(Pass("fp8", "channel", "token")), asdict(Pass("int8", "tensor", "calibrated"))],
    }  # fmt: skip
    job = jobs.start(
        "whole-model pass", WORKER, request, "quantize", tmp_path_factory.mktemp("pass") / "out",
        variables={"HF_HUB_OFFLINE": "1", **builtin.SLEEP_WHILE_WAITING},
    )  # fmt: skip
    return job.wait(900)


@pytest.mark.environment
@pytest.mark.timeout(1200)
class TestPass:
    def test_its_layers_compute_what_numpy_does_and_keep_a_byte_a_weight(self, found):
        assert len(found["layers"]) == 8
        for layer in found["layers"]:
            # float32 here, float64 there: an input near a halfway point may be rounded to the other side.
            assert layer["error"] < 2e-5, layer["pass"]
            assert layer["bytes"] == 16 * 64  # C003-066: an FP8 layer that keeps float32 saves nothing

    def test_hooks_see_the_largest_input_and_are_taken_away(self, found):
        assert found["seen"] == pytest.approx(found["is"], rel=1e-5)
        assert found["hooked"] == 0
        assert len(found["names"]) == 7 * builtin.config()["num_hidden_layers"]
        assert not any("lm_head" in name for name in found["names"])

    def test_bytes_halve_and_the_original_is_nearly_kept(self, found):
        original, fp8, int8 = found["rows"]
        assert fp8["linear_bytes"] == pytest.approx(original["linear_bytes"] / 2, rel=0.02)
        assert fp8["perplexity"] == pytest.approx(original["perplexity"], rel=0.02)
        assert 0 < fp8["kl_divergence"] < 0.01
        assert int8["kl_divergence"] > 10 * fp8["kl_divergence"]  # the outliers that are planted
        shown = table(found)
        assert shown["change_low"].le(shown["change"]).all()
        assert shown["change"].le(shown["change_high"]).all()
        assert shown["change"][1] == pytest.approx(fp8["perplexity"] / original["perplexity"] - 1)

    def test_float8_is_not_one_more_dtype(self, found):
        """C002-015: from_pretrained(dtype=float8_e4m3fn) is told to be static quantisation; it does not even load."""
        assert "Float8_e4m3fn" in found["refused"]


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("method", "how"),
    [("fp8_dynamic", Pass("fp8", "channel", "token")), ("fp8_static", Pass("fp8", "tensor", "calibrated"))],
)
def test_llm_compressor_loses_as_much(method, how, tmp_path):
    theirs = wb.quantize(builtin.NAME, method=method, out=tmp_path / "model", evaluate_tokens=4096).wait(3000)
    calibration, held_out = texts()
    job = start(builtin.ensure(), [how], calibration=calibration, held_out=held_out, tokens=4096)
    original, ours = job.wait(3000)["rows"]
    assert original["perplexity"] == pytest.approx(theirs["perplexity_before"], rel=1e-5)
    assert ours["perplexity"] == pytest.approx(theirs["perplexity_after"], rel=2e-3)
    assert ours["kl_divergence"] == pytest.approx(theirs["kl_divergence"], rel=0.25)


def test_what_was_measured_holds_every_pass_twice_and_says_what_it_is():
    rows = measured()
    for outliers in (1, 64):
        some = rows[rows["outliers"] == outliers]
        asked = {(one.number, one.weights, one.inputs) for one in PASSES}
        assert set(zip(some["number"], some["weights"], some["inputs"], strict=True)) == asked | {("bf16", "", "")}
    original = rows[rows["number"] == "bf16"]
    assert original["perplexity"].nunique() == 1  # planting outliers changes nothing
    assert rows["change"].between(rows["change_low"], rows["change_high"]).all()
    ratio = rows["perplexity"] / original["perplexity"].iloc[0] - 1
    assert rows["change"].tolist() == pytest.approx(ratio.tolist(), abs=2e-5)
    eight = rows[rows["number"] != "bf16"]
    assert (eight["linear_bytes"] / original["linear_bytes"].iloc[0]).tolist() == pytest.approx([0.5] * 16, rel=0.02)


def test_with_outliers_fp8_keeps_what_int8_with_one_scale_loses():
    """C003-059, C003-063: INT8 is the finer one if each token has its own scale; FP8 needs neither that nor hooks."""
    rows = measured().set_index(["outliers", "number", "weights", "inputs"])["kl_divergence"]
    assert rows[1, "int8", "channel", "token"] < rows[1, "fp8", "channel", "token"]
    assert rows[64, "int8", "tensor", "calibrated"] > 50 * rows[64, "fp8", "tensor", "calibrated"]
    assert rows[64, "fp8", "channel", "token"] < 1.1 * rows[1, "fp8", "channel", "token"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"calibration": []}, "texts"),
        ({"held_out": []}, "texts"),
        ({"passes": []}, "pass"),
        ({"tokens": 1}, "tokens"),
        ({"outliers": 0.5}, "outliers"),
    ],
)
def test_what_cannot_be_used_is_said(change, said):
    with pytest.raises(InvalidInput, match=said):
        start("folder", **{"passes": PASSES, "calibration": ["a"], "held_out": ["b"]} | change)


@pytest.mark.parametrize("asked", [("fp4", "tensor", "kept"), ("fp8", "row", "kept"), ("fp8", "tensor", "none")])
def test_a_pass_is_one_of_a_few(asked):
    with pytest.raises(InvalidInput, match="give one of"):
        Pass(*asked)


def test_whole_numbers_need_a_scale():
    with pytest.raises(InvalidInput, match="rounded to 0"):
        Pass("int8", "none", "kept")


def test_examples():
    assert doctest.testmod(subject).failed == 0
