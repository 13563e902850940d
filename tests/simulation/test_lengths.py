"""Drawn requests have the lengths, spreads and rates asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.deployment import Workload
from workbench.errors import InvalidInput
from workbench.performance.lengths import (
    context_spread,
    expected_ceiling,
    mean_context,
    overlap,
    uniform_moments,
)
from workbench.simulation.lengths import (
    lognormal_lengths,
    poisson_arrivals,
    requests,
    sharing_prefixes,
    uniform_lengths,
    with_urgent,
)


@given(mean=st.integers(50, 5000), cv=st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_lognormal_lengths(mean, cv):
    drawn = lognormal_lengths(mean, cv, 40_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert drawn.std() / drawn.mean() == pytest.approx(cv, rel=0.06, abs=0.01)
    assert drawn.min() >= 1


@pytest.mark.parametrize("low", [0.0, 0.2, 0.8, 1.0])
def test_uniform_lengths_as_benchmarks_draw_them(low):
    drawn = uniform_lengths(1000, low, 100_000, np.random.default_rng(0))
    mean, cv = uniform_moments(1000, low)
    assert drawn.mean() == pytest.approx(mean, rel=0.01)
    assert drawn.std() / drawn.mean() == pytest.approx(cv, rel=0.02)


def test_arrivals_are_poisson():
    gaps = np.diff(poisson_arrivals(5.0, 50_000, np.random.default_rng(0)))
    assert gaps.mean() == pytest.approx(0.2, rel=0.02)
    assert gaps.std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("cv", [0.0, 0.3, 1.0])
def test_what_a_running_batch_holds(cv):
    """A look at a random moment: outputs are met in proportion to their length, at a random point of it."""
    rng = np.random.default_rng(1)
    outputs = lognormal_lengths(1000, cv, 400_000, rng).astype(float)
    met = rng.choice(outputs, 400_000, p=outputs / outputs.sum()) * rng.random(400_000)
    inputs = lognormal_lengths(500, 0.4, 400_000, rng)
    assert mean_context(500, 1000, cv) == pytest.approx((met + inputs).mean(), rel=0.02)
    assert context_spread(500, 1000, 0.4, cv) == pytest.approx((met + inputs).std(), rel=0.05)


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0])
def test_means_over_lognormal_lengths(cv):
    rng = np.random.default_rng(2)
    first, second = (lognormal_lengths(10_000, cv, 200_000, rng) for _ in range(2))
    assert overlap(cv) == pytest.approx(np.minimum(first, second).mean() / 10_000, rel=0.01)
    budgets = first / 4000
    assert expected_ceiling(np.array([2.5]), cv)[0] == pytest.approx(np.ceil(budgets).mean(), rel=0.01)


def test_requests_of_a_workload():
    asked = requests(Workload(1000, 100, request_rate=4.0, prefix_hit=0.3, isl_cv=0.5), 5000, seed=1, longest=3000)
    assert len(asked) == 5000
    assert asked.isl.max() <= 3000
    assert (asked.cached < asked.isl).all()
    assert asked.cached.sum() / asked.isl.sum() == pytest.approx(0.3, abs=0.01)
    assert np.array_equal(asked.isl, requests(Workload(1000, 100, request_rate=4.0, isl_cv=0.5), 5000, 1, 3000).isl)
    assert len(asked.take(np.array([3, 5]))) == 2


def test_prefixes_and_priorities():
    asked = sharing_prefixes(requests(Workload(500, 10), 20_000), 5, 300, skew=1.0)
    counts = np.bincount(asked.prefix)
    assert counts[0] / counts[4] == pytest.approx(5, rel=0.15)
    assert (asked.prefix_tokens < asked.isl).all()
    assert with_urgent(asked, 0.1).priority.mean() == pytest.approx(0.9, abs=0.01)


def test_no_requests_are_refused():
    with pytest.raises(InvalidInput, match="count"):
        requests(Workload(), 0)
