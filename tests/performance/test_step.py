"""Speed: never faster than physics, and the consequences everybody expects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.hardware import gpu
from workbench.performance.roofline import distinct_experts

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def tpot(model, card, concurrency=16, isl=1024, osl=256, **fields):
    plan = wb.plan(model, card, max_model_len=8192, **fields)
    return plan.performance(wb.Workload(isl, osl, concurrency)).tpot


@pytest.mark.parametrize("card", ["L40S", "A100 80GB SXM", "H100 SXM", "RTX 4090", "B200"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_decode_never_beats_the_weight_read(card, concurrency):
    """Every step reads all weights but the embedding table: 15.01 GB of Llama 8B."""
    floor = (8030261248 - 128256 * 4096) * 2 / gpu(card).bandwidth
    assert tpot(LLAMA, card, concurrency).value > floor


def test_mixtral_at_batch_16_reads_nearly_all_experts():
    """About 93 GB a step on one H200: 19.5 ms at full bandwidth; a peer says 5.6."""
    found = tpot("mistralai/Mixtral-8x7B-v0.1", "H200", 16)
    assert found.value > 0.0185


def test_prefill_never_beats_the_flops():
    plan = wb.plan(LLAMA, "H100 SXM", max_model_len=8192)
    ttft = plan.performance(wb.Workload(8000, 10, 1)).ttft.value
    assert ttft > 2 * 7.5e9 * 8000 / 989.4e12


def test_more_cards_over_pcie_help_less_and_less():
    times = [
        tpot("meta-llama/Llama-3.1-70B-Instruct", "L40S", tensor_parallel_size=n, quantization="fp8").value
        for n in (2, 4, 8)
    ]
    assert times[0] > times[1] > times[2]
    assert times[1] / times[2] < times[0] / times[1]  # flattening


def test_tensor_parallel_decodes_faster_than_pipeline_even_over_pcie():
    """One request passes all stages of a pipeline in turn, so a pipeline helps under load only."""
    tensor = tpot(LLAMA, "L40S", 1, tensor_parallel_size=2).value
    pipeline = tpot(LLAMA, "L40S", 1, pipeline_parallel_size=2).value
    assert tensor < pipeline


def test_fp8_on_a_card_without_fp8_units_saves_reading_not_computing():
    prompt = wb.Workload(8000, 10, 1)

    def ttft(card, quantization):
        return wb.plan(LLAMA, card, max_model_len=8192, quantization=quantization).performance(prompt).ttft.value

    assert ttft("A100 80GB SXM", "fp8") > 0.9 * ttft("A100 80GB SXM", None)
    assert ttft("H100 SXM", "fp8") < 0.75 * ttft("H100 SXM", None)
    assert tpot(LLAMA, "A100 80GB SXM", 1, quantization="fp8").value < 0.7 * tpot(LLAMA, "A100 80GB SXM", 1).value


@given(n=st.integers(1, 512))
@settings(max_examples=30, deadline=None)
def test_throughput_grows_with_concurrency_and_so_does_tpot(n):
    plan = wb.plan(LLAMA, "H100 SXM", max_model_len=4096)
    less, more = (plan.performance(wb.Workload(512, 128, c)) for c in (n, 2 * n))
    assert more.tpot.value >= less.tpot.value
    assert more.output_tokens_per_s.value >= less.output_tokens_per_s.value * 0.999
    assert less.tpot.low <= less.tpot.value <= less.tpot.high


def test_distinct_experts():
    assert distinct_experts(8, 2, np.array([1.0]))[0] == pytest.approx(2)
    assert distinct_experts(128, 8, np.array([1e6]))[0] == pytest.approx(128)


def test_cost_is_price_over_throughput():
    plan = wb.plan(LLAMA, "L40S", max_model_len=8192)
    speed = plan.performance()
    expected = plan.usd_per_hour.value / (speed.output_tokens_per_s.value * 3600) * 1e6
    assert speed.usd_per_million_tokens.value == pytest.approx(expected)


@pytest.mark.parametrize(("card", "pipeline_wins"), [("L40S", True), ("H100 SXM", False)])
def test_under_long_prompts_a_pipeline_pays_over_pcie_but_not_over_nvlink(card, pipeline_wins):
    """All-reduces of whole prompts cross PCIe on an L40S pair; the hand-over between stages is one message."""
    load = wb.Workload(isl=7000, osl=16, concurrency=32)
    rates = [
        wb.plan(LLAMA, card, max_model_len=8192, **{way: 2}).performance(load).output_tokens_per_s.value
        for way in ("tensor_parallel_size", "pipeline_parallel_size")
    ]
    assert (rates[1] > 1.2 * rates[0]) if pipeline_wins else (rates[1] < rates[0])
