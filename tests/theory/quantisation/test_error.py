"""What rounding costs: closed forms beside samples, and beside integrals done by SciPy."""

from __future__ import annotations

import doctest
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from workbench.errors import InvalidInput
from workbench.theory.quantisation import codebook, density, error
from workbench.theory.quantisation.codebook import edges_of, expected_error, nearest
from workbench.theory.quantisation.density import Laplace, Normal, Sampled, Sine, Uniform, moments, normal_beyond
from workbench.theory.quantisation.error import (
    best_clip,
    grid,
    mean_square_error,
    overload_error,
    sqnr,
    sqnr_as_often_told,
    sqnr_normal,
    sqnr_of,
    sqnr_sine,
    sqnr_uniform,
    step_error,
)
from workbench.theory.quantisation.uniform import quantise

#: Ours -> SciPy's.
DENSITIES = {
    Normal(): scipy.stats.norm(),
    Laplace(): scipy.stats.laplace(scale=0.5**0.5),
    Uniform(): scipy.stats.uniform(-1, 2),
    Sine(): scipy.stats.arcsine(-1, 2),
}


def integral(scipys, power, low, high):
    """∫ x^power p(x) dx, by way of u = P(x): then it is ∫ x(u)^power du."""
    found, _ = scipy.integrate.quad(lambda u: scipys.ppf(u) ** power, scipys.cdf(low), scipys.cdf(high), limit=200)
    return found


@pytest.mark.parametrize("module", [error, density, codebook])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("ours", "scipys"), DENSITIES.items(), ids=lambda each: type(each).__name__)
def test_moments_are_the_integrals(ours, scipys):
    edges = np.array([-np.inf, -1.7, -0.4, 0.0, 0.3, 0.9, 2.2, np.inf])
    for power, found in enumerate(moments(ours, edges)):
        expected = [integral(scipys, power, *between) for between in pairwise(edges)]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ours.power == pytest.approx(scipys.var())


def test_samples_have_their_own_moments():
    x = np.random.default_rng(0).standard_normal(500)
    weights = np.random.default_rng(1).uniform(size=500)
    found = Sampled(x, weights)
    levels = np.array([-1.0, 0.1, 2.0])
    by_hand = np.average((x - levels[nearest(x, levels)]) ** 2, weights=weights)
    assert expected_error(levels, found) == pytest.approx(by_hand)
    assert found.power == pytest.approx(np.average(x**2, weights=weights))
    assert found.span == (x.min(), x.max())


@pytest.mark.parametrize(("ours", "scipys"), DENSITIES.items(), ids=lambda each: type(each).__name__)
def test_an_error_in_closed_form_is_that_of_samples(ours, scipys):
    x = scipys.rvs(400_000, random_state=3)
    levels = np.array([-1.1, -0.3, 0.05, 0.6, 1.4])
    seen = (x - levels[nearest(x, levels)]) ** 2
    assert expected_error(levels, ours) == pytest.approx(seen.mean(), abs=4 * seen.std() / x.size**0.5)


def test_nearest_is_nearest():
    x, levels = np.random.default_rng(4).normal(size=300), np.sort(np.random.default_rng(5).normal(size=9))
    np.testing.assert_array_equal(nearest(x, levels), np.abs(x[:, None] - levels).argmin(1))
    assert edges_of(levels).size == 8


@pytest.mark.parametrize("levels", [[], [[1.0]], [1.0, 1.0], [2.0, 1.0], [0.0, np.inf]])
def test_levels_out_of_order_are_refused(levels):
    with pytest.raises(InvalidInput, match="rising"):
        edges_of(levels)


def test_the_far_tail_is_not_rounded_away():
    assert normal_beyond(10.0) == pytest.approx(scipy.stats.norm.sf(10.0))


@pytest.mark.parametrize("clip", [0.5, 1.0, 2.5, 4.0])
def test_overload_is_the_integral(clip):
    tail, _ = scipy.integrate.quad(lambda x: 2 * (x - clip) ** 2 * scipy.stats.norm.pdf(x), clip, np.inf)
    assert overload_error(clip) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("clip", [2.0, 4.0])
def test_the_exact_ratio_is_that_of_a_quantiser_on_samples(bits, clip):
    x = np.random.default_rng(6).standard_normal(500_000)
    lost = (x - quantise(x, bits, limits=(-clip, clip)).values()) ** 2
    expected = 10 ** (-sqnr_of(Normal(), bits, clip) / 10)
    assert expected == pytest.approx(lost.mean(), abs=4 * lost.std() / x.size**0.5)


@pytest.mark.parametrize("bits", [6, 8, 12])
@pytest.mark.parametrize("clip", [2.0, 3.0, 4.0, 6.0])
def test_the_short_form_is_close_to_the_exact_one_where_steps_are_small(bits, clip):
    """It counts as clipped what still falls to the outermost step, and leaves out the lowest code: never too good."""
    missing = sqnr_of(Normal(), bits, clip) - sqnr_normal(bits, clip)
    step = clip / 2 ** (bits - 1)
    assert -0.01 < missing < 10 * step


def test_the_textbook_cases_are_exact_where_they_belong():
    """With 2^b levels in the middle of equal parts, a uniform signal has 6.02 b to the last digit, a sine nearly."""
    for bits in (4, 8, 12):
        count = 2**bits
        levels = (2 * np.arange(count) + 1 - count) / count
        uniform = 10 * np.log10(Uniform().power / expected_error(levels, Uniform()))
        assert uniform == pytest.approx(sqnr_uniform(bits), abs=1e-5)
        sine = 10 * np.log10(Sine().power / expected_error(levels, Sine()))
        assert sine == pytest.approx(sqnr_sine(bits), abs=2.3 * 2 ** (-bits / 2))  # closer with every bit


def test_a_bit_is_six_decibels():
    """Also for a normal signal, while nothing is clipped."""
    assert sqnr_normal(9, 7.0) - sqnr_normal(8, 7.0) == pytest.approx(6.02, abs=0.05)


@pytest.mark.parametrize("clip", [0.0, -1.0, np.nan, np.inf])
def test_a_clip_that_is_none_is_refused(clip):
    with pytest.raises(InvalidInput, match="above 0"):
        grid(4, clip)
    with pytest.raises(InvalidInput, match="above 0"):
        sqnr_normal(4, clip)


def test_nothing_lost_is_infinitely_good():
    assert sqnr([1.0, 2.0], [1.0, 2.0]) == np.inf


# ------------------------------------------------------------------------------------------------- the guides' claims


def test_c004_003_a_step_costs_a_twelfth_of_its_square():
    x = np.random.default_rng(7).uniform(-1, 1, 200_000)
    found = quantise(x, 6)
    assert mean_square_error(x, found.values()) == pytest.approx(float(step_error(found.scale.item())), rel=0.02)


def test_c004_004_the_known_formula_is_a_sines():
    """The guides: 6.02 b + 1.76 dB "under a uniform x". That is a sine; weights of eight bits have 40.5 or 37.3."""
    assert sqnr_as_often_told(8) == pytest.approx(sqnr_sine(8), abs=0.01)
    assert sqnr_as_often_told(8) - sqnr_uniform(8) == pytest.approx(1.76, abs=0.01)
    assert round(sqnr_of(Normal(), 8, 4.0), 1) == 40.5
    assert round(sqnr_of(Normal(), 8, 6.0), 1) == 37.3
    assert round(sqnr_as_often_told(8), 1) == 49.9
    clips = np.arange(1.0, 6.0, 0.05)
    assert 18 < best_clip(Normal(), 4, clips)[1] < 20
    for bits in (4, 8):  # 6 dB too good for four bits, 9 for eight, with the best clip there is
        assert 6 < sqnr_as_often_told(bits) - best_clip(Normal(), bits, clips)[1] < 10
