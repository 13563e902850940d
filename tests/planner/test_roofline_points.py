"""Prefill and decode under the roof: what they move and compute, and which ceiling is above them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.planner.roofline_points import attainable, roofline, running, step_totals

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
#: Dense, of experts, with windows, with states.
MODELS = [MODEL, "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"]


def test_one_request_in_16_bit_reads_the_weights_once_and_uses_each_once():
    plan = wb.plan(MODEL, "L40S", max_model_len=8192)
    moved, flops = step_totals(plan.setup, queries=1.0, requests=1.0, context=0.0)
    # The table of embeddings is looked up, not multiplied: 8.03 G parameters less 0.53 G.
    used = plan.model.parameters - 128256 * 4096
    assert moved == pytest.approx(2 * used, rel=0.01)
    assert flops == pytest.approx(2 * used, rel=0.01)


def test_decode_waits_for_memory_and_prefill_for_compute():
    found = roofline(wb.plan(MODEL, "L40S", max_model_len=8192))
    prefill, decode = found.points
    assert (prefill.phase, decode.phase) == ("prefill", "decode")
    assert (prefill.limit, decode.limit) == ("compute", "bandwidth")
    assert decode.intensity < found.ridge < prefill.intensity
    assert found.ridge == pytest.approx(362.05e12 / 864e9)


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_more_requests_share_one_reading_of_the_weights(concurrency: int):
    def intensity(count: int) -> float:
        return roofline(wb.plan(MODEL, "H100 SXM", workload=wb.Workload(concurrency=count))).points[1].intensity

    assert intensity(2 * concurrency) > intensity(concurrency)


@pytest.mark.parametrize(
    "name", [MODEL, "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"]
)
@pytest.mark.parametrize("count", [1, 2])
def test_no_step_is_faster_than_the_roof(name: str, count: int):
    plan = wb.plan(name, "H100 SXM", tensor_parallel_size=count, max_model_len=4096)
    assert plan.fits
    for point in roofline(plan).points:
        assert 0 < point.achieved <= point.attainable * 1.001


def test_fewer_bytes_a_weight_move_decode_to_the_right():
    plain, small = (
        roofline(wb.plan(MODEL, "H100 SXM", quantization=scheme, max_model_len=8192)) for scheme in (None, "awq")
    )
    assert small.points[1].intensity > 1.5 * plain.points[1].intensity
    # AWQ computes in 16 bit all the same.
    assert small.rate == plain.rate


def test_cached_prefixes_need_no_computing():
    plans = [
        wb.plan(MODEL, "H100 SXM", max_model_len=16384, workload=wb.Workload(8000, 100, 1, prefix_hit=hit))
        for hit in (0.0, 0.9)
    ]
    full, cached = (roofline(plan).points[0] for plan in plans)
    assert cached.flops < 0.2 * full.flops
    assert cached.moved < 1.1 * full.moved


def test_the_batch_is_what_arrives_or_what_fits():
    plan = wb.plan(MODEL, "L40S", max_model_len=8192)
    assert running(plan) == 16
    assert running(plan, wb.Workload(concurrency=10_000)) == plan.memory.kv_cache_tokens.value // (1024 + 128)
    two = wb.plan(MODEL, "L40S", max_model_len=8192, data_parallel_size=2)
    assert running(two) == 8


def test_what_does_not_fit_has_a_roof_and_no_points():
    found = roofline(wb.plan("meta-llama/Llama-3.1-70B-Instruct", "L40S"))
    assert found.points == ()
    assert found.rate > 0
    assert json.loads(json.dumps(found.to_dict()))["points"] == []


@given(st.floats(1e-3, 1e6), st.floats(1e9, 1e13), st.floats(1e12, 1e16))
def test_the_roof(intensity: float, bandwidth: float, rate: float):
    roof = attainable(intensity, bandwidth, rate)
    assert roof <= rate
    assert roof <= intensity * bandwidth
    assert roof in (rate, intensity * bandwidth)
