"""Tokens a step and speed-ups: against sums, simulation's closed forms, and the guides' tables."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.performance import speculation as planner
from workbench.theory.serving import drafting
from workbench.theory.serving.drafting import (
    best_drafted,
    expected_tokens,
    expected_tokens_as_often_told,
    speedup,
    speedup_as_often_told,
)

SHARES = st.floats(0, 1)


def test_the_examples_hold():
    assert doctest.testmod(drafting).failed == 0


@settings(deadline=None)
@given(SHARES, st.integers(0, 12))
def test_the_closed_form_is_the_mean_of_the_step(acceptance, drafted):
    """Kept exactly i of k with chance a^i (1 − a), all with a^k; a step emits one more than it keeps."""
    chances = [acceptance**i * (1 - acceptance) for i in range(drafted)] + [acceptance**drafted]
    mean = sum(chance * (i + 1) for i, chance in enumerate(chances))
    assert float(expected_tokens(acceptance, drafted)) == pytest.approx(mean)
    assert float(expected_tokens(acceptance, drafted)) == pytest.approx(
        float(planner.emitted_tokens(acceptance, drafted))
    )


@settings(deadline=None)
@given(SHARES, st.integers(1, 12), st.floats(0, 1))
def test_the_planner_says_the_same_where_checking_is_free(acceptance, drafted, cost):
    step = np.array([0.05])
    theirs = planner.speedup(planner.emitted_tokens(acceptance, drafted), step, step, drafted * cost * 0.05)
    assert float(speedup(acceptance, drafted, cost)) == pytest.approx(float(theirs[0]))


@settings(deadline=None)
@given(st.floats(0.01, 0.95), st.floats(0.01, 0.99))
def test_drafting_pays_where_more_is_kept_than_a_draft_costs(acceptance, cost):
    """Leviathan et al., corollary 3.9."""
    best = best_drafted(acceptance, cost)
    if acceptance > cost + 1e-9:
        assert best > 0
        assert float(speedup(acceptance, best, cost)) > 1
    elif acceptance < cost - 1e-9:
        assert best == 0


@settings(deadline=None)
@given(st.floats(0, 0.999), st.integers(1, 12))
def test_the_guides_sum_is_never_more(acceptance, drafted):
    ours, told = float(expected_tokens(acceptance, drafted)), expected_tokens_as_often_told(acceptance, drafted)
    missing = 0 if acceptance**drafted > 0.5 else acceptance**drafted
    assert told == pytest.approx(ours - missing)


# ------------------------------------------------------------------------------------------ what guides say


def test_c003_073_all_five_kept_give_a_sixth():
    assert float(speedup(1.0, 5, 0.1)) == pytest.approx(4.0)
    told = 5 * 50 / 75  # without the token that the check itself gives
    assert told == pytest.approx(3.3, abs=0.05)


@pytest.mark.parametrize(("acceptance", "gain"), [(0.9, 3.12), (0.7, 1.96), (0.6, 1.59), (0.5, 1.31)])
def test_c003_075_gains_at_five_drafts_of_a_tenth(acceptance, gain):
    assert float(speedup(acceptance, 5, 0.1)) == pytest.approx(gain, abs=0.005)


@pytest.mark.parametrize(
    ("acceptance", "cost", "gain", "promised"),
    [
        (0.75, 0.114, 2.10, 2.5),  # C003-076: 70B with 8B
        (0.70, 0.154, 1.66, 2.0),  # C003-077: 8B with 1B
        (0.85, 0.2, 2.08, 3.0),  # C003-078: 34B with 7B
    ],
)
def test_c003_076_to_078_pairs_of_models(acceptance, cost, gain, promised):
    assert float(speedup(acceptance, 5, cost)) == pytest.approx(gain, abs=0.01)
    assert max(speedup(acceptance, np.arange(30), cost)) < promised


def test_c003_077_three_drafts_are_best_there():
    assert best_drafted(0.7, 0.154) == 3
    assert float(speedup(0.7, 3, 0.154)) == pytest.approx(1.73, abs=0.005)


def test_c003_080_081_the_term_that_is_left_out():
    assert expected_tokens_as_often_told(0.7, 5) == pytest.approx(2.773, abs=5e-4)
    assert float(expected_tokens(0.7, 5)) == pytest.approx(2.941, abs=5e-4)
    assert expected_tokens_as_often_told(0.85, 5) == pytest.approx(3.709, abs=5e-4)
    assert float(expected_tokens(0.85, 5)) == pytest.approx(4.152, abs=5e-4)
    jump = 0.5 ** (1 / 5)
    assert jump == pytest.approx(0.871, abs=5e-4)
    above, below = (expected_tokens_as_often_told(jump + step, 5) for step in (1e-9, -1e-9))
    assert above - below == pytest.approx(0.5, abs=1e-6)
    smooth = expected_tokens([jump - 1e-9, jump + 1e-9], 5)
    assert smooth[1] - smooth[0] == pytest.approx(0, abs=1e-6)


def test_c003_082_tokens_a_step_are_no_speed_up():
    assert speedup_as_often_told(0.7, 5) / float(speedup(0.7, 5, 0.1)) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("acceptance", "cost", "best"),
    [(0.7, 0.1, 4), (0.8, 0.1, 6), (0.9, 0.1, 10), (0.7, 0.15, 3), (0.8, 0.15, 5), (0.9, 0.15, 8)],
)
def test_c003_092_how_many_to_draft(acceptance, cost, best):
    assert best_drafted(acceptance, cost) == best


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: expected_tokens(1.1, 5),
        lambda: expected_tokens(np.nan, 5),
        lambda: expected_tokens(0.5, -1),
        lambda: expected_tokens(0.5, 2.5),
        lambda: speedup(0.5, 5, -0.1),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong()
