"""What a weight is said to be worth, held against what the loss really does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import spearmanr

from workbench.errors import InvalidInput
from workbench.theory.pruning.network import Network, trained
from workbench.theory.pruning.saliency import damage, rise, surgeon_damage, surgery


@pytest.fixture(scope="module")
def net():
    return trained(np.random.default_rng(0))


def measured(net: Network) -> np.ndarray:
    """What the loss rises by without each weight."""
    return np.array([net.without(at).loss() - net.loss() for at in range(net.weights.size)])


def test_gradient_and_hessian_are_those_of_the_loss(net):
    away = net.with_weights(net.weights + 0.1)
    step = 1e-5 * np.eye(net.weights.size)

    def loss(d):
        return away.with_weights(away.weights + d).loss()

    assert away.gradient() == pytest.approx(np.array([(loss(d) - loss(-d)) / 2e-5 for d in step]), rel=1e-6, abs=1e-9)
    curvature = np.array([(loss(50 * d) - 2 * loss(0 * d) + loss(-50 * d)) / 5e-4**2 for d in step])
    assert np.diag(away.hessian()) == pytest.approx(curvature, rel=1e-3, abs=1e-4)


def test_it_ends_at_a_minimum_that_scipy_does_not_improve(net):
    assert np.abs(net.gradient()).max() < 1e-8
    assert np.linalg.eigvalsh(net.hessian()).min() > 0
    found = minimize(lambda w: net.with_weights(w).loss(), net.weights, jac=lambda w: net.with_weights(w).gradient())
    assert found.fun == pytest.approx(net.loss(), rel=1e-9)


def test_c004_020_the_formula_foretells_the_loss(net):
    """S = w² H / 2: the order of the weights, and the loss itself the closer the less they move."""
    said = damage(net.weights, np.diag(net.hessian()))
    assert spearmanr(said, measured(net)).statistic > 0.95
    worst = []
    for share in (0.1, 0.01):
        moved = [net.with_weights(net.weights * (1 - share * unit)).loss() for unit in np.eye(said.size)]
        worst.append(np.abs((np.array(moved) - net.loss()) / (share**2 * said) - 1).max())
    assert worst[0] < 0.25
    assert worst[1] < 0.15 * worst[0]  # what is left out is of third order


def test_the_size_of_a_weight_foretells_it_worse(net):
    """The second input comes in a finer unit, so its weights are small and matter."""
    real = measured(net)
    by_curvature, by_size = damage(net.weights, np.diag(net.hessian())), np.abs(net.weights)
    assert spearmanr(by_size, real).statistic < spearmanr(by_curvature, real).statistic - 0.1
    lost = {name: net.without(*np.argsort(by)[:6]).loss() for name, by in (("H", by_curvature), ("w", by_size))}
    assert lost["w"] > 3 * lost["H"]


def test_a_large_weight_leaves_the_bowl(net):
    """The series ends after its second term: for the weights that matter most it is off by more than a third."""
    said, real = damage(net.weights, np.diag(net.hessian())), measured(net)
    most = np.argsort(real)[-4:]
    assert np.abs(said[most] / real[most] - 1).max() > 1 / 3


def test_away_from_a_minimum_the_slope_counts(net):
    """The formula leaves gᵀ δ out, because it is 0 at a minimum and nowhere else."""
    away = net.with_weights(net.weights * 1.2)
    gradient, hessian = away.gradient(), away.hessian()
    changes = -0.05 * away.weights * np.eye(away.weights.size)
    real = np.array([away.with_weights(away.weights + change).loss() - away.loss() for change in changes])
    whole = np.array([rise(change, gradient, hessian) for change in changes])
    without_slope = 0.05**2 * damage(away.weights, np.diag(hessian))
    assert np.abs(whole - real).max() < 0.05 * np.abs(real).max()
    assert np.abs(without_slope - real).max() > 0.5 * np.abs(real).max()


def test_the_surgeon_loses_less_than_the_damage(net):
    hessian = net.hessian()
    at = int(np.argsort(damage(net.weights, np.diag(hessian)))[8])
    after = net.with_weights(surgery(net.weights, hessian, at))
    assert after.weights[at] == 0
    assert after.loss() < net.without(at).loss()


seeds = st.integers(0, 2**32 - 1)


def quadratic(seed: int, size: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size + 3, size))
    return generator.normal(size=size), root.T @ root / size + 0.1 * np.eye(size)


@given(seeds)
@settings(max_examples=40)
def test_on_a_bowl_all_of_it_is_exact(seed):
    """A loss with no terms beyond the second: the rise is what the formulas say, and no other change is cheaper."""
    w, h = quadratic(seed)

    def loss(v):
        return (v - w) @ h @ (v - w) / 2

    assert damage(w, np.diag(h)) == pytest.approx([loss(np.where(np.eye(5)[i], 0, w)) for i in range(5)])
    assert (surgeon_damage(w, h) <= damage(w, np.diag(h)) * (1 + 1e-12)).all()
    for at in range(5):
        moved = surgery(w, h, at)
        assert loss(moved) == pytest.approx(surgeon_damage(w, h)[at])
        free = [other for other in range(5) if other != at]
        best = np.zeros(5)
        best[free] = w[free] + np.linalg.solve(h[np.ix_(free, free)], h[free, at] * w[at])
        assert moved == pytest.approx(best)


@given(seeds)
@settings(max_examples=20)
def test_two_together_cost_their_sum_only_where_they_do_not_meet(seed):
    w, h = quadratic(seed)
    both = np.where([1, 1, 0, 0, 0], -w, 0)
    alone = damage(w, np.diag(h))[:2].sum()
    assert rise(both, np.zeros(5), h) == pytest.approx(alone + w[0] * w[1] * h[0, 1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidInput, match="as many second derivatives"):
        damage([1.0, 2.0], [1.0])
    with pytest.raises(InvalidInput, match="square Hessian as wide"):
        surgeon_damage([1.0, 2.0], np.eye(3))
    with pytest.raises(InvalidInput, match="not positive definite"):
        surgeon_damage([1.0, 2.0], np.ones((2, 2)))
    with pytest.raises(InvalidInput, match="there is no weight 2"):
        surgery([1.0, 2.0], np.eye(2), 2)
    with pytest.raises(InvalidInput, match="a gradient as long"):
        rise([1.0], [1.0, 2.0], [[1.0]])
    for bad in ({"neurons": 0}, {"samples": 10}, {"unit": 0.0}, {"steps": 0}):
        with pytest.raises(InvalidInput):
            trained(np.random.default_rng(0), **bad)
