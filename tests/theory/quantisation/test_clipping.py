"""Calibrators: each does what its name says, and the search never loses to the others."""

from __future__ import annotations

import doctest

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from workbench.errors import InvalidInput
from workbench.theory.quantisation import clipping
from workbench.theory.quantisation.clipping import coverage, k_sigma, least_error, min_max, percentile
from workbench.theory.quantisation.density import Normal
from workbench.theory.quantisation.error import best_clip, mean_square_error
from workbench.theory.quantisation.uniform import quantise

VALUES = arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))


def test_examples_hold():
    assert doctest.testmod(clipping).failed == 0


def error_with(x, bits, limits, symmetric=True):
    return mean_square_error(x, quantise(x, bits, symmetric=symmetric, limits=limits).values())


@settings(max_examples=40)
@given(VALUES, st.integers(2, 6), st.booleans())
def test_a_search_never_loses_to_the_whole_range(x, bits, symmetric):
    found = error_with(x, bits, least_error(x, bits, symmetric=symmetric, candidates=20), symmetric)
    assert found <= error_with(x, bits, min_max(x), symmetric) + 1e-20 * np.square(x).mean()


@given(VALUES, st.floats(0.01, 1.0))
def test_a_percentile_keeps_that_share_at_least(x, share):
    low, high = percentile(x, share)
    assert min_max(x).low <= low <= high <= min_max(x).high
    outside = np.sum((x < low) | (x > high))
    assert outside <= (1 - share) * (x.size - 1) + 2  # the quantile lies between two values


def test_a_search_finds_the_best_clip_of_a_normal_signal():
    """Against the closed form: 2.35 standard deviations for four bits."""
    x = np.random.default_rng(0).standard_normal(100_000)
    found = least_error(x, 4, candidates=200)
    clip, _ = best_clip(Normal(), 4, np.arange(1.0, 6.0, 0.01))
    assert max(map(abs, found)) == pytest.approx(clip, abs=0.1)


def test_clipping_pays_with_four_bits_and_hardly_with_eight():
    x = np.random.default_rng(1).standard_normal(50_000)
    x[:5] = 20.0
    for bits, least in ((4, 5.0), (8, 1.0)):
        gain = error_with(x, bits, min_max(x)) / error_with(x, bits, least_error(x, bits))
        assert gain >= least
        assert bits == 4 or gain < 2.0


def test_k_sigma_is_about_the_mean():
    x = np.random.default_rng(2).normal(5.0, 2.0, 10_000)
    low, high = k_sigma(x, 3.0)
    assert (low + high) / 2 == pytest.approx(x.mean())
    assert high - low == pytest.approx(6 * x.std())


@pytest.mark.parametrize(
    "call",
    [
        lambda: min_max([]),
        lambda: min_max([np.nan]),
        lambda: k_sigma([1.0], 0.0),
        lambda: k_sigma([1.0], np.inf),
        lambda: percentile([1.0], 0.0),
        lambda: percentile([1.0], 1.1),
        lambda: least_error([1.0], 4, candidates=0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


# ------------------------------------------------------------------------------------------------- the guides' claims


def test_c004_005_six_sigma_covers_far_more_than_three():
    """The guides: k = 6 covers 99.7 %. That is k = 3; k = 6 covers 99.9999998 %."""
    assert f"{coverage(3):.1%}" == "99.7%"
    assert f"{coverage(6):.7%}" == "99.9999998%"
    for k in (1.0, 3.0, 6.0):
        assert coverage(k) == pytest.approx(1 - 2 * scipy.stats.norm.sf(k), abs=1e-15)
    x = np.random.default_rng(3).standard_normal(200_000)
    low, high = k_sigma(x, 3.0)
    assert np.mean((x >= low) & (x <= high)) == pytest.approx(coverage(3), abs=5e-4)
