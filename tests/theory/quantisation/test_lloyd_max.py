"""Levels that lose least: held to Max's tables of 1960, and to levels that are pushed about."""

from __future__ import annotations

import doctest
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from workbench.errors import InvalidInput
from workbench.theory.quantisation import lloyd_max as module
from workbench.theory.quantisation.codebook import expected_error
from workbench.theory.quantisation.density import Laplace, Normal, Sampled, Sine, Uniform
from workbench.theory.quantisation.lloyd_max import best_spread, lloyd_max

#: Max, "Quantizing for Minimum Distortion", 1960: levels -> (error of the best, of the best evenly spaced; its step).
MAX = {
    2: (0.3634, 0.3634, 1.596),
    4: (0.1175, 0.1188, 0.9957),
    8: (0.03454, 0.03744, 0.5860),
    16: (0.009497, 0.01154, 0.3352),
    32: (0.002499, 0.003495, 0.1881),
}


def test_examples_hold():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("count", MAX)
def test_the_errors_are_those_of_maxs_tables(count):
    best, even, step = MAX[count]
    assert lloyd_max(Normal(), count).error == pytest.approx(best, rel=2.5e-3)  # Max's were calculated by hand
    found = best_spread(Normal(), count)
    assert found.error == pytest.approx(even, rel=1e-3)
    assert np.diff(found.levels)[0] == pytest.approx(step, rel=2e-3)


def test_sixteen_levels_are_where_a_solver_finds_them():
    """Both of Max's conditions as equations, with the mean of a cell from SciPy's truncated normal distribution."""

    def unbalanced(levels):
        edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        return [scipy.stats.truncnorm.mean(*cell) for cell in pairwise(edges)] - levels

    found = lloyd_max(Normal(), 16)
    solved = scipy.optimize.root(unbalanced, found.levels + 0.01 * np.sin(np.arange(16)))
    assert solved.success
    np.testing.assert_allclose(found.levels, solved.x, atol=1e-6)


@pytest.mark.parametrize("density", [Normal(), Laplace(), Uniform(), Sine()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("count", [1, 3, 8])
def test_no_push_makes_it_better(density, count):
    found = lloyd_max(density, count)
    np.testing.assert_allclose(found.levels, -found.levels[::-1], atol=1e-6)
    assert np.all(np.diff(found.path) <= 1e-12)
    rng = np.random.default_rng(0)
    for _ in range(50):
        pushed = np.sort(found.levels + rng.normal(size=count) * 0.02)
        assert expected_error(pushed, density) >= found.error - 1e-12
    other = scipy.optimize.minimize(lambda levels: expected_error(np.sort(levels), density), found.levels + 0.01)
    assert other.fun >= found.error - 1e-6


def test_a_uniform_density_wants_even_levels():
    np.testing.assert_allclose(lloyd_max(Uniform(), 4).levels, [-0.75, -0.25, 0.25, 0.75])


def test_samples_are_enough():
    x = np.random.default_rng(1).standard_normal(100_000)
    assert lloyd_max(Sampled(x), 8).error == pytest.approx(lloyd_max(Normal(), 8).error, rel=0.02)


def test_a_search_among_many_valleys_does_not_stop_in_the_first():
    """Even levels for a sine: hold against a fine scan."""
    found = best_spread(Sine(), 64)
    scan = min(expected_error(module.spread(64, reach), Sine()) for reach in np.linspace(0.9, 1.1, 401))
    assert found.error <= scan * 1.001


@pytest.mark.parametrize("count", [0, 65])
def test_too_few_or_too_many_are_refused(count):
    with pytest.raises(InvalidInput, match="from 1 to 64"):
        lloyd_max(Normal(), count)
