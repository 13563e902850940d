"""Layers in eight bits: integer sums are exact, scales may be taken out of them, FP8 is what torch computes."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import builtin, jobs
from workbench.errors import InvalidInput
from workbench.theory.quantisation import linear as subject
from workbench.theory.quantisation.float8 import E4M3FN, E5M2, quantise_float
from workbench.theory.quantisation.linear import (
    MOST_INPUTS,
    Calibrated,
    EachToken,
    WholeTensor,
    fp8_linear,
    int8_linear,
    integer_product,
    relative_error,
)
from workbench.theory.quantisation.uniform import quantise

WORKER = Path(__file__).with_name("linear_worker.py")


def layer(seed=0, tokens=64, inputs=256, outputs=96, outlier=1.0):
    """Inputs, one channel of them larger by a factor, and a weight."""
    dice = np.random.default_rng(seed)
    x = dice.standard_normal((tokens, inputs))
    x[:, 7] *= outlier
    return x, dice.standard_normal((outputs, inputs)) / np.sqrt(inputs)


# ------------------------------------------------------------------------------------- independent references


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), inputs=st.integers(1, 300))
def test_sums_of_integers_are_exact(seed, inputs):
    dice = np.random.default_rng(seed)
    x, w = (dice.integers(-128, 128, (rows, inputs)) for rows in (3, 4))
    exact = [[sum(int(a) * int(b) for a, b in zip(row, column, strict=True)) for column in w] for row in x]
    assert integer_product(x, w).tolist() == exact
    assert integer_product(x, w).dtype == np.int32


def test_the_longest_sum_just_fits():
    worst = np.full((1, MOST_INPUTS), -128)
    assert integer_product(worst, worst)[0, 0] == MOST_INPUTS * 2**14 <= 2**31 - 1
    assert (MOST_INPUTS + 1) * 2**14 > 2**31 - 1
    with pytest.raises(InvalidInput, match="131071"):
        integer_product(np.zeros((1, MOST_INPUTS + 1), int), np.zeros((1, MOST_INPUTS + 1), int))


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("activations", [EachToken(), WholeTensor(), Calibrated(2.5)])
def test_a_layer_is_the_product_of_what_its_codes_stand_for(axis, activations):
    """The scales taken out of the sum change nothing: the same as rounding both sides first."""
    x, w = layer()
    clip = np.broadcast_to(activations.largest(x), (len(x), 1))
    inputs = quantise(x, 8, axis=0, limits=(-clip, clip)).values()
    weight = quantise(w, 8, axis=axis)
    bias = np.arange(len(w))
    expected = inputs @ weight.values().T + bias
    assert int8_linear(x, weight, bias, activations) == pytest.approx(expected, rel=1e-12, abs=1e-12)

    scale = clip / E4M3FN.largest
    floats = quantise_float(w, axis=axis)
    expected = (E4M3FN.round(x / scale) * scale) @ floats.values().T + bias
    assert fp8_linear(x, floats, bias, activations) == pytest.approx(expected, rel=1e-4, abs=1e-4)  # float32 sums


@pytest.mark.environment
@pytest.mark.timeout(900)
def test_torch_computes_the_same(tmp_path):
    x, w = (each.astype(np.float32).astype(np.float64) for each in layer(inputs=64, outputs=32, outlier=20.0))
    x_codes, w_codes = quantise(x, 8, axis=0).codes, quantise(w, 8, axis=0).codes
    request = {"x": x, "w": w, "x_codes": x_codes, "w_codes": w_codes}
    job = jobs.start(
        "torch's products in eight bits", WORKER, {name: values.tolist() for name, values in request.items()},
        "quantize", tmp_path / "out", variables=builtin.SLEEP_WHILE_WAITING,
    )  # fmt: skip
    theirs = job.wait(800)
    assert integer_product(x_codes, w_codes).tolist() == theirs["sums"]
    ours = fp8_linear(x, quantise_float(w, axis=0))
    # Of 2,048 weights and 4,096 activations, one may lie so near a halfway point that float32 rounds it to the other.
    assert np.isclose(ours, theirs["fp8"], rtol=1e-4, atol=1e-4).mean() > 0.98
    assert relative_error(ours, theirs["fp8"]) < 1e-5
    # C002-015: without scales there is no FP8 layer at all.
    assert "Float8_e4m3fn" in theirs["refused"]


# ------------------------------------------------------------------------------------------- what must hold


def test_a_scale_for_each_token_leaves_neighbours_out_of_it():
    x, w = layer()
    weight = quantise(w, 8, axis=0)
    with_a_loud_one = np.vstack([x, 1000 * x[:1]])
    for activations, same in ((EachToken(), True), (WholeTensor(), False)):
        alone = int8_linear(x, weight, None, activations)
        together = int8_linear(with_a_loud_one, weight, None, activations)
        assert np.array_equal(alone, together[:-1]) == same


def test_finer_scales_lose_less():
    x, w = layer(outlier=30.0)
    w[3] *= 20
    x[5] *= 20
    ways = [(None, WholeTensor()), (0, WholeTensor()), (0, EachToken())]
    exact, errors = x @ w.T, []
    for axis, activations in ways:
        y = int8_linear(x, quantise(w, 8, axis=axis), None, activations)
        # Each output and token counts alike; a sum of squares would see only the loud ones.
        errors.append(np.median(np.abs(y - exact) / np.abs(exact)))
    assert errors[2] < errors[1] < errors[0]


def test_what_calibration_did_not_meet_is_clipped():
    x, w = layer()
    most = float(np.abs(x).max())
    enough = relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, Calibrated(most)))
    too_small = relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, Calibrated(most / 8)))
    assert enough == pytest.approx(
        relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, WholeTensor())), rel=1e-9
    )
    assert too_small > 100 * enough


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": quantise(np.ones((2, 4)), 8, symmetric=False)}, "symmetric"),
        ({"weight": quantise(np.ones((2, 4)), 8, group=2)}, "output"),
        ({"weight": quantise(np.ones((2, 4)), 8, axis=1)}, "output"),
        ({"weight": quantise(np.ones((2, 4)), 9)}, "8 bits"),
        ({"x": np.ones((3, 5))}, "as many"),
        ({"x": np.ones(4)}, "matrix"),
        ({"x": np.full((3, 4), np.nan)}, "NaN"),
    ],
)
def test_what_cannot_be_used_is_said(change, said):
    asked = {"x": np.ones((3, 4)), "weight": quantise(np.ones((2, 4)), 8)} | change
    with pytest.raises(InvalidInput, match=said):
        int8_linear(**asked)


def test_an_fp8_layer_refuses_a_scale_an_input():
    with pytest.raises(InvalidInput, match="axis=0"):
        fp8_linear(np.ones((3, 4)), quantise_float(np.ones((2, 4)), axis=1))
    with pytest.raises(InvalidInput, match="as many"):
        fp8_linear(np.ones((3, 5)), quantise_float(np.ones((2, 4))))
    for most in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="calibration"):
            Calibrated(most)


@pytest.mark.parametrize("codes", [[[200]], [[0.5]], [[]], [1]])
def test_only_codes_of_eight_bits_are_multiplied(codes):
    with pytest.raises(InvalidInput, match="codes"):
        integer_product(codes, [[1]])


def test_a_layer_of_zeros_gives_its_bias():
    zeros = np.zeros((2, 4))
    assert int8_linear(zeros, quantise(np.zeros((3, 4)), 8), [1, 2, 3]).tolist() == [[1, 2, 3]] * 2
    assert fp8_linear(zeros, quantise_float(np.zeros((3, 4))), [1, 2, 3]).tolist() == [[1, 2, 3]] * 2


# --------------------------------------------------------------------------------------- what guides often say


def test_fp8_does_not_lose_less_than_int8_by_nature():
    """C003-059: "FP8 loses less than INT8". Only where activations have outliers and share one scale."""
    x, w = layer()
    plain = [
        relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, EachToken())),
        relative_error(x @ w.T, fp8_linear(x, quantise_float(w, axis=0), None, EachToken())),
    ]
    assert plain[1] > 5 * plain[0]
    x, w = layer(outlier=300.0)
    exact = x @ w.T - np.outer(x[:, 7], w[:, 7])  # what the quiet channels say, which the loud one drowns
    quiet = np.delete(np.arange(256), 7)
    scale = WholeTensor().largest(x)
    as_int8 = quantise(x, 8).values()[:, quiet] @ w[:, quiet].T
    as_fp8 = (E4M3FN.round(x / scale * 448) * scale / 448)[:, quiet] @ w[:, quiet].T
    assert relative_error(exact, as_fp8) < 0.1 * relative_error(exact, as_int8)


def test_e5m2_is_for_gradients():
    x, w = layer()
    errors = {
        format.name: relative_error(x @ w.T, fp8_linear(x, quantise_float(w, format, axis=0)))
        for format in (E4M3FN, E5M2)
    }
    assert errors["E5M2"] == pytest.approx(4 * errors["E4M3FN"], rel=0.2)  # a bit of mantissa less


def test_weights_of_an_fp8_layer_take_a_byte_each():
    """C003-066: an "FP8Linear" that keeps its rounded weights as float32 saves nothing."""
    _, w = layer()
    stored = quantise_float(w, axis=0)
    assert stored.codes.dtype == np.uint8
    assert stored.codes.nbytes == w.size
    assert w.astype(np.float32).nbytes == 4 * w.size


def test_examples():
    assert doctest.testmod(subject).failed == 0
