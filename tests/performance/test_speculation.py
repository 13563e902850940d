"""Speculative decoding in closed form; the algorithm itself is played in tests/simulation/test_rejection.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.performance.speculation import (
    acceptance_from,
    best_drafted,
    decode_steps,
    emitted_by_position,
    emitted_squared,
    emitted_tokens,
    pays_up_to,
    speedup,
    verified_free_of_charge,
)
from workbench.simulation.law import RooflineStep

shares = st.floats(0, 1)


@given(a=shares, k=st.integers(0, 12))
def test_tokens_of_a_step(a, k):
    found = float(emitted_tokens(a, k))
    assert 1 <= found <= k + 1
    if a < 0.999:
        assert found == pytest.approx((1 - a ** (k + 1)) / (1 - a))
    assert float(emitted_tokens(1.0, k)) == k + 1
    assert found**2 <= float(emitted_squared(a, k)) * (1 + 1e-12)


@given(a=st.floats(0.05, 0.95), k=st.integers(1, 8))
def test_acceptance_and_emitted_tokens_undo_each_other(a, k):
    assert float(acceptance_from(emitted_tokens(a, k), k)) == pytest.approx(a, abs=1e-6)
    assert emitted_by_position([a**i for i in range(1, k + 1)]) == pytest.approx(float(emitted_tokens(a, k)))


@given(a=st.sampled_from([0.0, 0.4, 0.8, 1.0]), k=st.integers(1, 6), osl=st.integers(2, 400))
def test_steps_of_a_request(a, k, osl):
    """Renewal: steps until OSL − 1 tokens are out; exact by recursion for every acceptance."""
    exact = np.zeros(osl)
    chances = [a**i * (1 - a) for i in range(k)] + [a**k]
    for left in range(1, osl):
        exact[left] = 1 + sum(p * exact[max(left - i - 1, 0)] for i, p in enumerate(chances))
    assert decode_steps(osl, a, k) == pytest.approx(exact[osl - 1], abs=0.55 if osl < 2 * k + 4 or a == 1 else 0.03)


@pytest.mark.parametrize(
    ("acceptance", "drafted", "ratio", "expected"),
    [
        (0.9, 5, 0.1, 3.12),
        (0.7, 5, 0.1, 1.96),
        (0.75, 5, 0.114, 2.09),
        (0.70, 5, 0.154, 1.66),
        (0.70, 3, 0.154, 1.73),
        (0.85, 5, 0.2, 2.08),
    ],
)
def test_published_claims_of_speed(acceptance, drafted, ratio, expected):
    """What guides promise for 70B + 8B, 8B + 1B, 34B + 7B, against what the arithmetic allows at one request."""
    one = np.array([1.0])
    found = speedup(emitted_tokens(acceptance, drafted), one, one, drafted * ratio)
    assert found[0] == pytest.approx(expected, abs=0.01)


def test_the_formula_has_no_jump_and_always_counts_the_last_token():
    """A guide adds a^k only where it is above a half: 5.7 % short at a = 0.7, k = 5."""
    guide = sum(0.7**i for i in range(5))
    assert guide / float(emitted_tokens(0.7, 5)) == pytest.approx(1 - 0.057, abs=0.001)


def test_drafting_stops_paying_as_the_batch_grows():
    """While weights are read, verifying is free; where tokens are computed, k + 1 of them cost k + 1 times as much."""
    law, k, a = RooflineStep(overhead=0.001, weights=0.01, compute=5e-5), 4, 0.7
    batches = np.array([1.0, 10.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0, 400.0])
    decode, verify = (np.array([[law.step(int(n), q, 0.0, 0)] for n in batches]) for q in (1, k + 1))
    free = verified_free_of_charge(np.array([0.01]), np.array([5e-5]), k)
    assert free[0] == pytest.approx(40)
    gains = speedup(emitted_tokens(a, k), decode, verify, 0.001)[:, 0]
    assert gains[:3] == pytest.approx(gains[0])
    assert (np.diff(gains[2:7]) < 0).all()
    end = pays_up_to(batches, emitted_tokens(a, k), decode, verify, 0.001)
    assert 100 < end[0] < 150
    assert gains[-1] < 1 < gains[0]


def test_never_and_always():
    batches, flat = np.array([1.0, 8.0]), np.array([[1.0], [1.0]])
    assert pays_up_to(batches, 1.2, flat, flat, 0.5)[0] == 0
    assert np.isinf(pays_up_to(batches, 3.0, flat, flat, 0.5)[0])


def test_how_many_to_draft():
    """More drafts at high acceptance, fewer at low, none where they cost more than they bring."""
    ones = np.ones(3)
    table = np.array(
        [speedup(emitted_tokens(np.array([0.9, 0.6, 0.05]), k), ones, ones, k * 0.1) for k in range(1, 13)]
    )
    many, few, none = best_drafted(table)
    assert many > few > none == 0
