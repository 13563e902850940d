"""A model that is one table: what it learns from words, from distributions, and with more of either."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from workbench.errors import InvalidInput
from workbench.theory.distillation.losses import divergence, softened
from workbench.theory.distillation.table import learn, least_divergence, teacher, text


@pytest.fixture(scope="module")
def table():
    return teacher(np.random.default_rng(0))


def end(table, counts, **how) -> float:
    return float(learn(table, counts, **how).divergences[-1])


@pytest.mark.parametrize("tokens", [100, 240, 1000])
def test_with_little_text_the_teacher_tells_far_more_than_its_words(table, tokens):
    """Over several drawings of the text, each time."""
    for seed in range(5):
        counts = text(np.random.default_rng(seed), table, tokens)
        assert end(table, counts, alpha=1.0) < 0.5 * end(table, counts, alpha=0.0)


def test_with_much_text_labels_are_the_teacher(table):
    counts = text(np.random.default_rng(0), table, 200_000)
    assert end(table, counts, alpha=0.0) == pytest.approx(end(table, counts, alpha=1.0), abs=0.01)


def test_labels_learn_the_samples_noise(table):
    """Its best is in the middle; learning on, it moves away again."""
    found = learn(table, text(np.random.default_rng(0), table, 500), alpha=0.0).divergences
    assert found.min() < 0.85 * found[-1]
    taught = learn(table, text(np.random.default_rng(0), table, 500), alpha=1.0).divergences
    assert taught[-1] == pytest.approx(taught.min(), rel=0.02)


def test_what_is_minimised_is_what_ends_smallest(table):
    """A student too small for its teacher: at T = 1 the divergence itself is minimised, at T = 4 another thing is."""
    counts = text(np.random.default_rng(0), table, 1000)
    ends = [end(table, counts, temperature=t) for t in (1, 2, 4)]
    assert ends == sorted(ends)
    assert ends[2] > 1.2 * ends[0]


def test_the_rank_is_what_limits(table):
    least = [least_divergence(table, rank) for rank in (1, 4, 8)]
    assert least[0] > least[1] > least[2]
    assert least[2] < 1e-3  # the teacher's own rank


def test_it_finds_what_scipy_finds():
    """A tiny teacher, a student of rank 1, all words equally often: the same least divergence by BFGS."""
    table = teacher(np.random.default_rng(3), words=5, rank=2)

    def apart(flat):
        left, right, bias = np.split(flat, [5, 10])
        return divergence(table, np.outer(left, right) + bias).mean()

    starts = np.random.default_rng(0).normal(size=(4, 15))
    best = min(minimize(apart, start).fun for start in starts)
    ours = min(float(learn(table, np.ones((5, 5)), rank=1, steps=1500, seed=seed).divergences[-1]) for seed in range(4))
    assert ours == pytest.approx(best, rel=0.02)


@given(st.integers(1, 5000), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_text_has_as_many_tokens_as_asked(tokens, seed):
    table = teacher(np.random.default_rng(0), words=6)
    counts = text(np.random.default_rng(seed), table, tokens)
    assert counts.sum() == tokens
    assert (counts >= 0).all()


def test_a_long_text_has_the_teachers_frequencies(table):
    counts = text(np.random.default_rng(0), table, 1_000_000)
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(softened(table), abs=0.02)


def test_what_cannot_be_learned_is_refused(table):
    counts = text(np.random.default_rng(0), table, 10)
    for how in ({"alpha": 2.0}, {"rank": 0}, {"steps": 0}):
        with pytest.raises(InvalidInput, match="give alpha from 0 to 1"):
            learn(table, counts, **how)
    with pytest.raises(InvalidInput, match="counts of the teacher's words"):
        learn(table, counts[:3])
    with pytest.raises(InvalidInput, match="at least 2 words"):
        teacher(np.random.default_rng(0), words=1)
    with pytest.raises(InvalidInput, match="tokens is 0"):
        text(np.random.default_rng(0), table, 0)
