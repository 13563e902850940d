"""GPTQ is optimal brain quantisation done at once, what llm-compressor does, and not what is often told."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import builtin, jobs
from workbench.errors import InvalidInput
from workbench.theory.quantisation import gptq as subject
from workbench.theory.quantisation.gptq import (
    damped,
    gptq,
    hessian_of,
    inverse_factor,
    output_error,
    with_hessian_as_often_told,
)
from workbench.theory.quantisation.uniform import encode, quantise

WORKER = Path(__file__).with_name("gptq_worker.py")


def layer(seed=0, outputs=24, inputs=48, tokens=400, mixed=0.2):
    """A weight, and inputs that rise and fall together."""
    dice = np.random.default_rng(seed)
    mixing = np.eye(inputs) + mixed * dice.standard_normal((inputs, inputs))
    x = dice.standard_normal((tokens, inputs)) @ mixing * np.exp(dice.standard_normal(inputs) / 2)
    return dice.standard_normal((outputs, inputs)), x


# ------------------------------------------------------------------------------------- independent references


def one_weight_at_a_time(weight, hessian, bits):
    """Optimal brain quantisation of GPTQ's equations 2 and 3: the inverse shrunk after each column."""
    grid = quantise(weight, bits, axis=0)
    free, codes = weight.copy(), np.zeros(weight.shape, int)
    inverse = np.linalg.inv(hessian)
    for j in range(weight.shape[1]):
        codes[:, j] = encode(free[:, j], grid.scale[:, 0], 0, bits)
        error = free[:, j] - codes[:, j] * grid.scale[:, 0]
        free -= np.outer(error, inverse[:, j] / inverse[j, j])
        inverse -= np.outer(inverse[:, j], inverse[j]) / inverse[j, j]
    return codes


def best_answer_after_each_column(weight, hessian, bits):
    """From what is minimised alone: after each rounding, the free weights that minimise the output's error."""
    grid = quantise(weight, bits, axis=0)
    fixed, free = np.zeros_like(weight), weight.copy()
    codes = np.zeros(weight.shape, int)
    for j in range(weight.shape[1]):
        codes[:, j] = encode(free[:, j], grid.scale[:, 0], 0, bits)
        fixed[:, j] = codes[:, j] * grid.scale[:, 0]
        done, rest = slice(0, j + 1), slice(j + 1, None)
        # d/dŵ_rest of (w - ŵ)ᵀ H (w - ŵ) is zero.
        change = np.linalg.solve(hessian[rest, rest], hessian[rest, done] @ (weight - fixed)[:, done].T).T
        free[:, rest] = weight[:, rest] + change
    return codes


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("reference", [one_weight_at_a_time, best_answer_after_each_column])
def test_one_factor_does_what_an_inverse_for_every_column_does(reference, bits):
    weight, x = layer(seed=bits)
    hessian = damped(hessian_of(x), 0.01)
    assert np.array_equal(gptq(weight, hessian_of(x), bits).codes, reference(weight, hessian, bits))


def test_the_factor_s_rows_are_the_shrinking_inverses():
    hessian = hessian_of(layer()[1])
    factor = inverse_factor(hessian)
    assert factor.T @ factor == pytest.approx(np.linalg.inv(hessian))
    assert np.allclose(factor, np.triu(factor))
    for j in (0, 7, 40):
        left = np.linalg.inv(hessian[j:, j:])
        assert factor[j, j:] / factor[j, j] == pytest.approx(left[0] / left[0, 0], rel=1e-6, abs=1e-9)


def test_the_error_of_the_output_is_that_of_the_output():
    weight, x = layer()
    rounded = quantise(weight, 3, axis=0).values()
    expected = np.linalg.norm(x @ (weight - rounded).T) ** 2 / np.linalg.norm(x @ weight.T) ** 2
    assert output_error(weight, rounded, hessian_of(x)) == pytest.approx(expected)


@pytest.mark.environment
@pytest.mark.timeout(900)
def test_llm_compressor_gives_the_same_weights(tmp_path):
    cases, ours = [], []
    kinds = product((4, 3), (None, 16), ("stored", "energy"), (True, False))
    for seed, (bits, group, order, symmetric) in enumerate(kinds):
        weight, x = layer(seed, outputs=16, inputs=64)
        found = gptq(weight, hessian_of(x), bits, group=group, symmetric=symmetric, order=order)
        ours.append(found.values())
        case = {"bits": bits, "group": group, "order": order, "symmetric": symmetric, "damping": 0.01}
        arrays = {
            "weight": weight, "hessian": hessian_of(x), "scale": found.scale, "zero_point": found.zero_point,
        }  # fmt: skip
        cases.append(case | {name: values.tolist() for name, values in arrays.items()})
    job = jobs.start(
        "llm-compressor's GPTQ", WORKER, {"cases": cases}, "quantize", tmp_path / "out",
        variables=builtin.SLEEP_WHILE_WAITING,
    )  # fmt: skip
    for case, mine, theirs in zip(cases, ours, job.wait(800)["rounded"], strict=True):
        # It computes in float32: a weight halfway between two codes may fall to the other side.
        same = np.isclose(mine, np.array(theirs), rtol=1e-4, atol=1e-5)
        assert same.mean() > 0.99, {name: case[name] for name in ("bits", "group", "order", "symmetric")}


# ------------------------------------------------------------------------------------------- what must hold


def test_correlated_inputs_are_what_it_lives_on():
    weight, x = layer()
    hessian = hessian_of(x)
    rounded = output_error(weight, quantise(weight, 4, axis=0).values(), hessian)
    better = output_error(weight, gptq(weight, hessian, 4).values(), hessian)
    best = output_error(weight, gptq(weight, hessian, 4, order="energy").values(), hessian)
    assert best < better < 0.75 * rounded


def test_inputs_with_nothing_in_common_leave_plain_rounding():
    weight, _ = layer()
    alone = np.diag(np.linspace(0.1, 9, weight.shape[1]))
    for order in ("stored", "energy"):
        assert np.array_equal(gptq(weight, alone, 4, order=order).codes, quantise(weight, 4, axis=0).codes)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), bits=st.integers(2, 8))
def test_the_hessian_s_unit_does_not_matter(seed, scale, bits):
    weight, x = layer(seed, outputs=6, inputs=12, tokens=60)
    found = gptq(weight, hessian_of(x), bits)
    assert np.array_equal(found.codes, gptq(weight, scale**2 * hessian_of(x), bits).codes)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_by_energy_the_stored_order_does_not_matter(seed):
    weight, x = layer(seed, outputs=6, inputs=12, tokens=60)
    shuffled = np.random.default_rng(seed).permutation(12)
    found = gptq(weight, hessian_of(x), 4, order="energy")
    again = gptq(weight[:, shuffled], hessian_of(x[:, shuffled]), 4, order="energy")
    assert np.array_equal(found.codes[:, shuffled], again.codes)


def test_an_input_that_is_always_zero_does_no_harm():
    weight, x = layer()
    x[:, 5] = 0
    found = gptq(weight, hessian_of(x), 4)
    assert np.array_equal(found.codes[:, 5], quantise(weight, 4, axis=0).codes[:, 5])
    others = np.arange(x.shape[1]) != 5
    assert output_error(weight, found.values(), hessian_of(x)) < 0.02
    assert np.isfinite(found.values()[:, others]).all()


def test_fewer_tokens_than_inputs_need_damping():
    weight, x = layer(tokens=10)
    with pytest.raises(InvalidInput, match="no inverse"):
        gptq(weight, hessian_of(x), 4, damping=0)
    hessian = hessian_of(x)
    rounded = output_error(weight, quantise(weight, 4, axis=0).values(), hessian)
    assert output_error(weight, gptq(weight, hessian, 4).values(), hessian) < rounded


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hessian": np.eye(3)}, "4 inputs and the Hessian 3"),
        ({"hessian": np.arange(16.0).reshape(4, 4)}, "symmetric"),
        ({"hessian": np.zeros((4, 4))}, "no inverse"),
        ({"hessian": np.full((4, 4), np.nan)}, "finite"),
        ({"weight": np.ones(4)}, "matrix"),
        ({"weight": np.ones((2, 4)), "group": 3}, "divides"),
        ({"bits": 1}, "bits"),
        ({"damping": -1.0}, "damping"),
        ({"damping": float("nan")}, "damping"),
        ({"order": "random"}, "order"),
    ],
)
def test_what_cannot_be_used_is_said(change, said):
    asked = {"weight": np.ones((2, 4)), "hessian": np.eye(4), "bits": 4} | change
    with pytest.raises(InvalidInput, match=said):
        gptq(**asked)


# --------------------------------------------------------------------------------------- what guides often say


def test_with_the_hessian_itself_it_is_no_better_than_rounding():
    """C004-008: H in the place of its inverse gave 0.0165, rounding 0.0161, GPTQ 0.0097, with 128 inputs.

    The claim's Hessian is not told. Ours has 128 inputs as well, those with most energy first, which is kindest to the
    wrong formula; the three errors stand in the same proportions.
    """
    found = []
    for seed in range(4):
        dice = np.random.default_rng(seed)
        mixing = np.eye(128) + 0.05 * dice.standard_normal((128, 128))
        x = dice.standard_normal((2048, 128)) @ mixing * np.exp(1.2 * dice.standard_normal(128))
        weight, x = dice.standard_normal((128, 128)), x[:, np.argsort(-(x**2).sum(axis=0))]
        hessian = hessian_of(x)
        ways = (
            with_hessian_as_often_told(weight, hessian, 4),
            quantise(weight, 4, axis=0),
            gptq(weight, hessian, 4),
        )
        found.append([output_error(weight, way.values(), hessian) for way in ways])
        assert found[-1][0] > found[-1][1] > found[-1][2]
    told, rounded, right = np.mean(found, axis=0)
    assert told / rounded == pytest.approx(0.0165 / 0.0161, rel=0.05)
    assert right / rounded == pytest.approx(0.0097 / 0.0161, rel=0.07)
    assert rounded == pytest.approx(0.0161, rel=0.25)


def test_its_sign_is_wrong_too():
    hessian = np.array([[1.0, 0.8], [0.8, 2.0]])
    inverse = np.linalg.inv(hessian)
    assert inverse[1, 0] / inverse[0, 0] == pytest.approx(-hessian[1, 0] / hessian[1, 1])
    weight, x = layer()
    rounded = output_error(weight, quantise(weight, 4, axis=0).values(), hessian_of(x))
    assert output_error(weight, with_hessian_as_often_told(weight, hessian_of(x), 4).values(), hessian_of(x)) > (
        2 * rounded
    )


def test_examples():
    import doctest

    assert doctest.testmod(subject).failed == 0
