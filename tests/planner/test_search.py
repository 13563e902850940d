"""Search: the same numbers as plans, ranked, counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import workbench as wb
from workbench.planner.search import pareto

MODEL = "meta-llama/Llama-3.1-70B-Instruct"


def test_a_row_equals_the_plan_of_its_fields():
    table = wb.search(
        MODEL,
        ["L40S", "H100 SXM"],
        tensor_parallel_size=[1, 2, 4, 8],
        quantization=[None, "awq"],
        max_model_len=[4096, 32768],
        workload=wb.Workload(1000, 200, 8),
    )
    for _, row in table.iterrows():
        plan = wb.plan(
            MODEL,
            row["gpu"],
            tensor_parallel_size=int(row["tensor_parallel_size"]),
            quantization=row["quantization"],
            max_model_len=int(row["max_model_len"]),
            workload=wb.Workload(1000, 200, 8),
        )
        speed = plan.performance()
        assert plan.fits
        assert row["tpot"] == pytest.approx(speed.tpot.value)
        assert row["ttft_high"] == pytest.approx(speed.ttft.high)
        assert row["kv_cache_tokens"] == plan.memory.kv_cache_tokens.value
    assert table.attrs["evaluated"] == 32
    assert len(table) + sum(table.attrs["rejected"].values()) == 32


def test_the_service_level_comes_first_then_cost():
    slo = wb.ServiceLevel(tpot=0.03)
    table = wb.search(MODEL, ["L40S", "H100 SXM"], tensor_parallel_size=[2, 4, 8], max_model_len=8192, slo=slo)
    assert table["meets_slo"].tolist() == sorted(table["meets_slo"], reverse=True)
    for _, part in table.groupby("meets_slo"):
        assert part["usd_per_million_tokens"].is_monotonic_increasing
    assert ((table["tpot"] <= 0.03) == table["meets_slo"]).all()


def test_nothing_fits():
    table = wb.search(MODEL, "T4", max_model_len=8192)
    assert len(table) == 0
    assert table.attrs["rejected"] == {"oom_loading": 1}


@given(arrays(float, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 9).map(float)))
def test_the_front_is_exactly_what_nothing_beats(costs):
    front = pareto(costs)
    for i, row in enumerate(costs):
        beaten = any((other <= row).all() and (other < row).any() for other in costs)
        assert front[i] == (not beaten)
    assert np.any(front)


def test_what_has_no_price_is_not_on_the_front():
    assert not pareto(np.array([[np.nan, 1.0]])).any()


def test_a_percentile_and_how_likely_it_is():
    """A level for 95 of 100 requests is harder to meet than one on average, and less likely."""
    fields = {"tensor_parallel_size": [1, 2], "max_model_len": 8192}
    load = wb.Workload(2000, 300, request_rate=2.0, isl_cv=0.5, osl_cv=0.5)
    mean, tail = (
        wb.search(
            "meta-llama/Llama-3.1-8B-Instruct", ["L40S", "H100 SXM"], workload=load,
            slo=wb.ServiceLevel(ttft=0.3, tpot=0.02, percentile=percentile), **fields,
        ).sort_values(["gpu", "tensor_parallel_size"], ignore_index=True)
        for percentile in (50, 95)
    )  # fmt: skip
    assert (tail["probability"] <= mean["probability"] + 1e-9).all()
    assert (mean["meets_slo"] == (mean["probability"] >= 0.5)).all()
    assert (mean["meets_slo"] | ~tail["meets_slo"]).all()
    assert mean["meets_slo"].nunique() == 2


def test_more_than_can_be_served_meets_nothing():
    load = wb.Workload(4000, 500, request_rate=50.0)
    found = wb.search("meta-llama/Llama-3.1-8B-Instruct", "L40S", workload=load, max_model_len=8192)
    assert found["saturation"][0] < 50
    assert found["ttft"][0] == float("inf")
    slo = wb.ServiceLevel(ttft=10.0)
    found = wb.search("meta-llama/Llama-3.1-8B-Instruct", "L40S", workload=load, slo=slo, max_model_len=8192)
    assert not found["meets_slo"].any()
    assert found["probability"][0] == 0
