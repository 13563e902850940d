"""Static and continuous batches: step by step, against the server of ``workbench.simulation``, and in the mean."""

import doctest
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.simulation.law import SharedStep
from workbench.simulation.lengths import Requests
from workbench.simulation.run import closed_loop
from workbench.simulation.scheduler import Limits
from workbench.theory.serving import batching
from workbench.theory.serving.batching import (
    continuous,
    gain,
    gain_expected_exponential,
    gain_expected_uniform,
    static,
)

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=25)
PLACES = st.integers(1, 8)


def test_the_examples_hold():
    assert doctest.testmod(batching).failed == 0


def played(lengths, places, waits_for_all):
    """Step by step: who is running at each step."""
    waiting, left, steps = deque(range(len(lengths))), {}, []
    while waiting or left:
        if not (waits_for_all and left):
            while waiting and len(left) < places:
                number = waiting.popleft()
                left[number] = lengths[number]
        steps.append(set(left))
        left = {number: tokens - 1 for number, tokens in left.items() if tokens > 1}
    return steps


@settings(deadline=None)
@given(LENGTHS, PLACES)
def test_it_is_what_playing_step_by_step_gives(lengths, places):
    for schedule, waits in ((static(lengths, places), True), (continuous(lengths, places), False)):
        steps = played(lengths, places, waits)
        assert schedule.steps == len(steps)
        for number in range(len(lengths)):
            runs = [step for step, running in enumerate(steps) if number in running]
            assert runs == list(range(schedule.begin[number], schedule.end[number]))
        assert schedule.running().tolist() == [len(running) for running in steps]
        assert schedule.busy_share == pytest.approx(sum(map(len, steps)) / (places * len(steps)))


@settings(deadline=None)
@given(LENGTHS, PLACES)
def test_no_two_requests_share_a_place(lengths, places):
    for schedule in (static(lengths, places), continuous(lengths, places)):
        taken = {
            (place, step)
            for place, begin, end in zip(schedule.place, schedule.begin, schedule.end, strict=True)
            for step in range(begin, end)
        }
        assert len(taken) == sum(lengths)
        assert schedule.place.max() < places


@settings(deadline=None)
@given(LENGTHS, PLACES)
def test_continuous_is_never_slower_and_within_grahams_bound(lengths, places):
    least = max(max(lengths), -(-sum(lengths) // places))
    ours = continuous(lengths, places)
    assert least <= ours.steps <= static(lengths, places).steps
    assert ours.steps <= (2 - 1 / places) * least
    assert ours.mean_end <= static(lengths, places).mean_end


@settings(deadline=None)
@given(LENGTHS, PLACES)
def test_the_simulated_server_takes_as_many_steps(lengths, places):
    """Prompts of one token, a step of a second: the server's clock counts steps."""
    zeros, ones = np.zeros(len(lengths), np.int64), np.ones(len(lengths), np.int64)
    requests = Requests(zeros.astype(float), ones, np.asarray(lengths), zeros, zeros - 1, zeros, zeros)
    run = closed_loop(SharedStep(1.0), Limits(max_num_seqs=places), requests, concurrency=len(lengths))
    np.testing.assert_allclose(run.last, continuous(lengths, places).end)


@pytest.mark.parametrize("places", [2, 8, 32])
def test_what_is_gained_in_the_mean(places):
    rng = np.random.default_rng(0)
    exponential = np.ceil(rng.exponential(2000, 8000)).astype(int)
    uniform = rng.integers(1, 2001, 8000)
    assert gain(exponential, places) == pytest.approx(gain_expected_exponential(places), rel=0.05)
    assert gain(uniform, places) == pytest.approx(gain_expected_uniform(places), rel=0.05)


def test_equal_lengths_gain_nothing():
    assert gain([70] * 64, 8) == 1


# ------------------------------------------------------------------------------------------ what guides say


def test_c004_039_the_static_batch_of_the_guide_is_58_percent_busy():
    schedule = static([100, 200, 50], 3)
    assert schedule.steps == 200
    assert schedule.busy_share == pytest.approx(0.58, abs=0.005)
    assert schedule.idle_share == pytest.approx(0.42, abs=0.005)  # the guide says 50 %


def test_the_guides_own_continuous_batch():
    """Its requests 4 and 5 begin at steps 51 and 101, counted from one, as it says."""
    assert (continuous([100, 200, 50, 150, 100], 3).begin + 1).tolist() == [1, 1, 1, 51, 101]


def test_what_guides_promise_holds_for_some_lengths_only():
    """More than 90 % busy, and two to three times the throughput: more for a wide spread, nothing for equal lengths."""
    rng = np.random.default_rng(0)
    lengths = np.ceil(rng.exponential(338, 2000)).astype(int)
    assert continuous(lengths, 32).busy_share > 0.9
    assert gain(lengths, 32) > 3.5
    assert gain(np.full(2000, 338), 32) == 1


@pytest.mark.parametrize("wrong", [([], 2), ([1, 0], 2), ([1, 2], 0), ([1.5, 2.0], 2), ([[1, 2]], 2)])
def test_bad_input_is_refused(wrong):
    for schedule in (static, continuous):
        with pytest.raises(InvalidInput):
            schedule(*wrong)
