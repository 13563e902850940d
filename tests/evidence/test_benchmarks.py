"""How public benchmarks were run, where their rows do not say it."""

from __future__ import annotations

import pytest

from workbench.datafiles import read_rows
from workbench.evidence.benchmarks import conditions
from workbench.evidence.latency import case
from workbench.evidence.rows import Models

ROW = {
    "engine": "vLLM",
    "engine_version": "0.19.0",
    "config": "MiniMaxAI/MiniMax-M2.5",
    "model": "MiniMaxAI/MiniMax-M2.5",
    "quant": "fp8",
    "gpu": "B200 SXM",
    "n_gpu": "4",
    "tp": "4",
    "pp": "1",
    "ep_dp": "attn_dp=1 moe_tp=4 moe_ep=1",
    "isl": "1024",
    "osl": "8192",
    "concurrency": "16",
    "notes": "mode=agg; origin InferenceMAX/InferenceX-style dump; measured 2026-04-22",
}


def test_lengths_are_drawn_below_what_is_printed():
    """random-range-ratio 0.8: uniform in 80 % to 100 %, ten prompts for each request in flight."""
    load = conditions(ROW).workload(ROW)
    assert (load.isl, load.osl, load.requests) == (922, 7373, 160)
    assert load.isl_cv == pytest.approx(0.2 / (3**0.5 * 1.8))


@pytest.mark.parametrize(("day", "kv", "utilization"), [("2026-03-20", None, 0.95), ("2026-04-22", "fp8", 0.90)])
def test_a_script_that_changed_is_taken_as_it_was_on_the_day(day, kv, utilization):
    fields = conditions({**ROW, "notes": f"InferenceMAX; measured {day}"}).fields
    assert fields.get("kv_cache_dtype") == kv
    assert fields["gpu_memory_utilization"] == utilization


def test_a_budget_of_the_prompts_own_length():
    assert conditions(ROW).fields["max_num_batched_tokens"] == 2048


def test_gpus_counted_twice_are_counted_once():
    """`--tensor-parallel-size 4` on four GPUs, which the collected row multiplies with a data parallel size of 4."""
    twice = {**ROW, "n_gpu": "16", "ep_dp": "attn_dp=4 moe_tp=1 moe_ep=16"}
    assert case(twice, Models()).plan().deployment.gpus == 4
    spread = {**twice, "quant": "fp4"}
    found = case(spread, Models()).plan().deployment
    assert (found.tensor_parallel_size, found.data_parallel_size) == (1, 4)


def test_what_no_campaign_is_known_for_stays_as_it_says():
    plain = {**ROW, "notes": "", "source": ""}
    assert conditions(plain).fields == {}
    assert conditions(plain).workload(plain).isl == 1024
    assert conditions(plain).workload(plain).requests is None


def test_a_run_of_ones_own_says_how_many_requests_it_had():
    own = {**ROW, "source": "workbench bench, vllm bench serve 0.32.0", "notes": "32 requests, 8 warm-ups, seed 7"}
    assert conditions(own).workload(own).requests == 32
    assert conditions({**own, "source": "elsewhere"}).waves is None


def test_every_rule_names_its_source():
    for rule in read_rows("benchmarks.csv"):
        assert rule["source"].startswith(("github:", "https://", "inferred:")), rule
