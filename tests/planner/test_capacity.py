"""The largest load within a service level: it is met there, and missed above."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.architecture import Model
from workbench.choices import Choices
from workbench.planner.capacity import capacities
from workbench.planner.evaluate import evaluate

MODEL = Model.from_config("meta-llama/Llama-3.1-8B-Instruct")


@given(tpot=st.floats(0.015, 0.1), ttft=st.floats(0.2, 3.0), card=st.sampled_from(["L40S", "H100 SXM"]))
@settings(max_examples=12, deadline=None)
def test_it_is_met_there_and_missed_a_little_above(tpot, ttft, card):
    slo = wb.ServiceLevel(tpot=tpot, ttft=ttft)
    load = wb.Workload(1000, 200)
    found = capacities(evaluate(Choices(MODEL, {"gpu": card, "max_model_len": 8192})), load, slo)[0]
    plan = wb.plan(MODEL, card, max_model_len=8192)

    def holds(concurrency):
        speed = plan.performance(wb.Workload(1000, 200, max(int(concurrency), 1)))
        return speed.tpot.value <= tpot and speed.ttft.value <= ttft

    most = found.load[0]
    assert holds(most) if most else not holds(1)
    assert most > 16000 or not holds(most * 1.03 + 2)


def test_a_rate_stays_below_saturation():
    slo = wb.ServiceLevel(tpot=0.05, ttft=1.0, percentile=95)
    load = wb.Workload(1000, 200, request_rate=1.0, isl_cv=0.3, osl_cv=0.3)
    grid = evaluate(Choices(MODEL, {"gpu": "L40S", "max_model_len": 8192}))
    found = capacities(grid, load, slo)[0]
    plan = wb.plan(MODEL, "L40S", max_model_len=8192)
    speed = plan.performance(wb.Workload(1000, 200, request_rate=float(found.load[0]), isl_cv=0.3, osl_cv=0.3))
    assert 0 < found.load[0] < speed.saturation
    assert speed.ttft_p95.value <= 1.0
    assert speed.tpot_p95.value <= 0.05


@pytest.mark.parametrize("percentile", [50, 90, 99])
def test_a_stricter_percentile_never_carries_more(percentile):
    grid = evaluate(Choices(MODEL, {"gpu": "L40S", "max_model_len": 8192}))
    load = wb.Workload(1000, 200, request_rate=1.0, osl_cv=0.5)
    less, more = (
        capacities(grid, load, wb.ServiceLevel(tpot=0.05, ttft=1.0, percentile=p))[0].load[0] for p in (percentile, 50)
    )
    assert less <= more * 1.001


def test_a_level_that_nothing_meets():
    grid = evaluate(Choices(MODEL, {"gpu": "L40S", "max_model_len": 8192}))
    assert capacities(grid, wb.Workload(), wb.ServiceLevel(tpot=1e-4))[0].load[0] == 0
