"""The throughput-latency curve: the plan's own speeds, in order, judged by the service level."""

from __future__ import annotations

import itertools
import json
import math
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InvalidInput
from workbench.planner.curve import curve, steps

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def plan():
    return wb.plan(MODEL, "L40S", max_model_len=8192, workload=wb.Workload(1024, 256, 20))


def test_every_point_is_what_the_plan_says_of_that_concurrency(plan):
    for point in curve(plan).points:
        speed = plan.performance(wb.Workload(1024, 256, point.concurrency))
        for name in ("ttft", "tpot", "output_tokens_per_s", "usd_per_million_tokens"):
            expected, found = getattr(speed, name), getattr(point.speed, name)
            assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
            assert found.basis == expected.basis


def test_times_are_those_of_the_percentile_that_is_asked():
    spread = wb.Workload(1024, 256, 20, isl_cv=0.5, osl_cv=0.5)
    plan = wb.plan(MODEL, "L40S", max_model_len=8192, workload=spread)
    slow = curve(plan, wb.ServiceLevel(percentile=95)).chosen.speed
    assert slow.ttft.value == pytest.approx(plan.performance().ttft_p95.value)
    assert slow.tpot.value == pytest.approx(plan.performance().tpot_p95.value)
    assert slow.ttft.value > curve(plan).chosen.speed.ttft.value


def test_the_chosen_point_is_the_plans_own(plan):
    found = curve(plan)
    assert found.chosen in found.points
    assert found.chosen.concurrency == 20
    assert found.chosen.speed.tpot.value == pytest.approx(plan.performance().tpot.value)


def test_it_goes_past_what_the_cache_holds(plan):
    last = curve(plan).points[-1]
    held = plan.memory.kv_cache_tokens.value / (1024 + 128)
    assert last.concurrency > held
    assert last.speed.ttft.value > 10 * curve(plan).points[0].speed.ttft.value


def test_the_best_point_is_the_fastest_that_meets_the_service_level(plan):
    slo = wb.ServiceLevel(tpot=0.05, ttft=1.0)
    found = curve(plan, slo)
    meeting = [point for point in found.points if point.speed.meets]
    assert 0 < len(meeting) < len(found.points)
    assert all(point.speed.tpot.value <= 0.05 and point.speed.ttft.value <= 1.0 for point in meeting)
    fastest = max(point.speed.output_tokens_per_s.value for point in meeting)
    assert found.best.speed.output_tokens_per_s.value == fastest
    # Many more requests than can run are as fast in all; the fewest of them are taken.
    free = curve(wb.plan(MODEL, "L40S", max_model_len=8192, max_num_seqs=8))
    ties = [p for p in free.points if p.speed.output_tokens_per_s == free.best.speed.output_tokens_per_s]
    assert len(ties) > 1
    assert free.best.concurrency == min(point.concurrency for point in ties)


def test_a_service_level_nothing_meets(plan):
    found = curve(plan, wb.ServiceLevel(tpot=0.001))
    assert found.best is None
    assert not any(point.speed.meets for point in found.points)


def test_a_plan_that_does_not_fit_has_no_curve():
    found = curve(wb.plan("meta-llama/Llama-3.1-70B-Instruct", "L40S"))
    assert (found.points, found.chosen, found.best) == ((), None, None)


def test_a_rate_of_arrival_is_put_aside(plan):
    rated = wb.plan(MODEL, "L40S", max_model_len=8192, workload=wb.Workload(1024, 256, 20, request_rate=2.0))
    assert curve(rated) == curve(plan)


def test_points_are_json(plan):
    texts = [json.dumps(point.to_dict()) for point in curve(plan, concurrencies=[1, 2]).points]
    assert [json.loads(text)["concurrency"] for text in texts] == [1, 2, 20]


def test_bad_concurrencies_are_refused(plan):
    with pytest.raises(InvalidInput, match="concurrency is 0"):
        curve(plan, concurrencies=[0])


@given(st.integers(1, 10**6))
def test_steps_rise_by_at_most_two_and_end_past_the_last(most: int):
    found = steps(most)
    assert found[0] == 1
    assert found[-1] >= most
    assert len(found) == 1 or found[-2] < most
    assert all(1 < later / earlier <= 2 for earlier, later in itertools.pairwise(found))
    assert len(found) <= 2 * math.log2(most) + 2


@settings(max_examples=50)
@given(st.floats(1e-3, 1), st.floats(1e-2, 10), st.floats(1, 1e4))
def test_meeting_is_all_that_is_asked(tpot: float, ttft: float, rate: float):
    asked = [{"tpot": tpot}, {"ttft": ttft}, {"output_tokens_per_s": rate}]

    def meets(**level: float) -> bool:
        return curve(small(), wb.ServiceLevel(**level), [1]).chosen.speed.meets

    assert meets(tpot=tpot, ttft=ttft, output_tokens_per_s=rate) == all(meets(**level) for level in asked)
    assert meets()


@cache
def small():
    return wb.plan(MODEL, "L40S", max_model_len=8192)
