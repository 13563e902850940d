"""Speculative sampling: the target's distribution comes out, and as many tokens as the formula says."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.performance.speculation import acceptance_from, emitted_by_position, emitted_squared, emitted_tokens
from workbench.simulation.rejection import acceptance, sampled, speculative_step

RNG = np.random.default_rng(7)


def models(vocabulary: int, near: float) -> tuple[np.ndarray, np.ndarray]:
    """A target and a draft that is ``near`` it: tables of next-token probabilities by the token before."""
    rng = np.random.default_rng(vocabulary)
    target, other = (rng.dirichlet(np.full(vocabulary, 0.7), vocabulary) for _ in range(2))
    return target, near * target + (1 - near) * other


@pytest.mark.parametrize("drafted", [1, 3, 5])
@pytest.mark.parametrize("a", [0.3, 0.7, 0.95])
def test_tokens_a_step_emits(drafted, a):
    """Drafts of equal acceptance wherever they stand: p and q are the same after every token."""
    target, draft = np.array([0.5, 0.5, 0.0]), np.array([a / 2, a / 2, 1 - a])
    tables = [np.tile(one, (3, 1)) for one in (target, draft)]
    assert acceptance(*tables)[0] == pytest.approx(a)
    _, count = speculative_step(*tables, np.zeros(200_000, np.int64), drafted, np.random.default_rng(1))
    assert count.mean() == pytest.approx(float(emitted_tokens(a, drafted)), rel=0.01)
    assert np.square(count).mean() == pytest.approx(float(emitted_squared(a, drafted)), rel=0.01)
    positions = [(count > i).mean() for i in range(1, drafted + 1)]
    assert emitted_by_position(positions) == pytest.approx(count.mean())
    assert float(acceptance_from(count.mean(), drafted)) == pytest.approx(a, abs=0.01)


@pytest.mark.parametrize("near", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("drafted", [1, 2, 4])
def test_what_comes_out_is_distributed_as_the_target(near, drafted):
    """Four tokens of a Markov chain over four symbols: total variation from the chain's own is sampling noise."""
    target, draft = models(4, near)
    runs, length = 100_000, 4
    rng = np.random.default_rng(drafted)
    out, filled = np.zeros((runs, length), np.int64), np.zeros(runs, np.int64)
    last = np.zeros(runs, np.int64)
    while (filled < length).any():
        rows = np.flatnonzero(filled < length)
        tokens, count = speculative_step(target, draft, last[rows], drafted, rng)
        for position in range(drafted + 1):
            there = rows[(count > position) & (filled[rows] < length)]
            out[there, filled[there]] = tokens[(count > position) & (filled[rows] < length), position]
            filled[there] += 1
        last[rows] = tokens[np.arange(len(rows)), count - 1]
    exact = np.zeros((4,) * length)
    for sequence in np.ndindex(exact.shape):
        before, probability = 0, 1.0
        for token in sequence:
            probability, before = probability * target[before, token], token
        exact[sequence] = probability
    seen = np.bincount(np.ravel_multi_index(tuple(out.T), exact.shape), minlength=exact.size) / runs
    plain = np.random.default_rng(99).multinomial(runs, exact.ravel()) / runs
    noise = np.abs(plain - exact.ravel()).sum() / 2
    assert np.abs(seen - exact.ravel()).sum() / 2 < 1.5 * noise


def test_a_token_of_no_probability_never_comes():
    target = np.array([[0.0, 1.0], [0.0, 1.0]])
    draft = np.array([[0.9, 0.1], [0.9, 0.1]])
    tokens, _ = speculative_step(target, draft, np.zeros(1000, np.int64), 2, RNG)
    assert not (tokens == 0).any()


def test_sampling_follows_the_probabilities():
    rows = np.tile([0.2, 0.5, 0.3], (100_000, 1))
    assert np.bincount(sampled(rows, RNG)) / 100_000 == pytest.approx([0.2, 0.5, 0.3], abs=0.01)
