"""SmoothQuant moves what is hard from one side of the product to the other, and changes nothing else."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.quantisation import smoothing as subject
from workbench.theory.quantisation.linear import WholeTensor, int8_linear, relative_error
from workbench.theory.quantisation.smoothing import smoothed, smoothing_scale
from workbench.theory.quantisation.uniform import quantise

MAGNITUDES = st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=6)


def layer(outlier=100.0):
    dice = np.random.default_rng(0)
    x, w = dice.standard_normal((64, 128)), dice.standard_normal((48, 128))
    x[:, ::32] *= outlier
    return x, w


@given(MAGNITUDES, st.floats(0, 1))
def test_it_is_the_paper_s_formula(channels, strength):
    x, w = np.array(channels).T
    by_hand = [a**strength / b ** (1 - strength) for a, b in channels]
    assert smoothing_scale(x, w, strength) == pytest.approx(by_hand)


@given(MAGNITUDES)
def test_halfway_both_sides_end_with_the_same(channels):
    x, w = np.array(channels).T
    s = smoothing_scale(x, w, 0.5)
    assert x / s == pytest.approx(w * s)
    assert x / s == pytest.approx(np.sqrt(x * w))
    assert w * smoothing_scale(x, w, 0.0) == pytest.approx(np.ones_like(w))
    assert x / smoothing_scale(x, w, 1.0) == pytest.approx(np.ones_like(x))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_product_is_what_it_was(strength):
    x, w = layer()
    x[:, 5] = 0
    w[:, 9] = 0
    calm, carrying = smoothed(x, w, strength)
    assert calm @ carrying.T == pytest.approx(x @ w.T)


def test_int8_with_one_scale_loses_less():
    x, w = layer()

    def error(x, w):
        return relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, WholeTensor()))

    assert error(*smoothed(x, w)) < 0.2 * error(x, w)
    # All of it on one side is no better: the weights of a channel that was loud are then what is hard.
    assert error(*smoothed(x, w)) < error(*smoothed(x, w, 1.0))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (([1.0], [1.0, 2.0], 0.5), "as many"),
        (([-1.0], [1.0], 0.5), "negative"),
        (([np.nan], [1.0], 0.5), "finite"),
        (([1.0], [1.0], 1.5), "strength"),
    ],
)
def test_what_cannot_be_used_is_said(asked, said):
    with pytest.raises(InvalidInput, match=said):
        smoothing_scale(*asked)
    with pytest.raises(InvalidInput, match="match"):
        smoothed(np.ones((2, 3)), np.ones((2, 4)))


def test_examples():
    assert doctest.testmod(subject).failed == 0
