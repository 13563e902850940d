"""The matrix and what stands side by side hold the same numbers as plans."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

import workbench as wb
from workbench.errors import UnknownName
from workbench.planner.compare import gpus_in_words, ring_time, two_gpus, two_plans
from workbench.planner.matrix import Grid, matrix

MODEL = "meta-llama/Llama-3.1-70B-Instruct"
SMALL = "meta-llama/Llama-3.1-8B-Instruct"
LOAD = wb.Workload(1000, 200, 8)


@pytest.fixture(scope="module")
def grid():
    return Grid(MODEL, ["L40S", "A100 80GB SXM", "H100 SXM"], [None, "fp8", "awq"], max_model_len=8192)


def value_of(lines, name, group=""):
    (found,) = [line for line in lines if line.name == name and line.group.startswith(group)]
    return found


# ---------------------------------------------------------------------------------------------- the matrix


def test_every_option_equals_its_plan(grid):
    options = grid.options(LOAD)
    assert len(options) == 3 * 3 * 4
    for option in options:
        plan = wb.plan(
            MODEL, option.gpu, quantization=option.quantization, tensor_parallel_size=option.gpus,
            max_model_len=8192, workload=LOAD,
        )  # fmt: skip
        assert option.verdict == plan.verdict
        speed = plan.performance()
        assert (option.speed is None) == (speed is None)
        for name in ("ttft", "tpot", "output_tokens_per_s", "usd_per_million_tokens"):
            if speed is not None:
                assert getattr(option.speed, name).value == pytest.approx(getattr(speed, name).value)
                assert getattr(option.speed, name).high == pytest.approx(getattr(speed, name).high)
        assert option.kv_cache_tokens == pytest.approx(plan.memory.kv_cache_tokens.value)
        if not plan.fits:
            assert option.reason == plan.reasons[0]


def test_the_front_is_that_of_the_search(grid):
    table = wb.search(
        MODEL, ["L40S", "A100 80GB SXM", "H100 SXM"], quantization=[None, "fp8", "awq"],
        tensor_parallel_size=[1, 2, 4, 8], max_model_len=8192, workload=LOAD,
    )  # fmt: skip
    front = {(o.gpu, o.quantization, o.gpus) for o in grid.options(LOAD) if o.pareto}
    rows = table[table["pareto"]].astype(object).where(table["quantization"].notna(), None)
    assert front == {(r["gpu"], r["quantization"], r["tensor_parallel_size"]) for _, r in rows.iterrows()}
    assert front


def test_a_cell_is_the_cheapest_that_meets_the_service_level(grid):
    slo = wb.ServiceLevel(tpot=0.03)
    options = grid.options(LOAD, slo)
    cells = matrix(options)
    assert list(cells) == list(dict.fromkeys((o.quantization, o.gpu) for o in options))
    for (scheme, card), cell in cells.items():
        own = [o for o in options if (o.quantization, o.gpu) == (scheme, card)]
        meeting = [o for o in own if o.meets]
        assert cell.meets == bool(meeting)
        if meeting:
            assert cell.usd_per_million_tokens == min(o.usd_per_million_tokens for o in meeting)
            assert cell.speed.tpot.value <= 0.03
    assert cells != matrix(grid.options(LOAD))


def test_a_cell_where_nothing_fits_says_why():
    cell = matrix(Grid(MODEL, ["T4"], [None], max_model_len=8192).options(LOAD))[None, "T4"]
    assert not cell.fits
    assert cell.gpus == 8
    assert "GiB" in cell.reason
    assert cell.usd_per_million_tokens == math.inf


def test_cards_without_a_price_are_ranked_by_their_number():
    card = wb.custom_gpu("Mine", memory_gib=79, bandwidth_gb_s=3000, fp16_tflops=900)
    options = Grid(SMALL, [card], [None, "awq"], max_model_len=8192).options(LOAD)
    assert all(o.usd_per_hour is None for o in options)
    assert any(o.pareto for o in options)
    assert matrix(options)[None, "Mine"].gpus == 1


def test_what_cannot_be_set_up_is_an_option_with_a_reason():
    options = Grid(SMALL, ["L40S"], [None], tensor_parallel_size=[1, 3], max_model_len=8192).options(LOAD)
    assert [o.verdict for o in options] == ["starts", "unsupported"]
    assert options[1].reason


def test_options_are_json(grid):
    found = json.loads(json.dumps([option.to_dict() for option in grid.options(LOAD)]))
    assert found[0]["gpu"] == "L40S"
    assert set(found[0]) == {field.name for field in dataclasses.fields(grid.options(LOAD)[0])} | {"meets"}


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match="L40T"):
        Grid(MODEL, ["L40T"], [None])
    with pytest.raises(UnknownName, match="magic"):
        Grid(MODEL, ["L40S"], ["magic"])


# ---------------------------------------------------------------------------------------------- two GPUs


def test_what_bandwidth_does_to_decode():
    lines = two_gpus(SMALL, "L40S", "H100 SXM", max_model_len=8192)
    bandwidth, read = value_of(lines, "Memory bandwidth"), value_of(lines, "Time to read that, at least")
    assert read.a == pytest.approx(value_of(lines, "Read in each step, each card").a / 864e9)
    assert read.ratio == pytest.approx(1 / bandwidth.ratio)
    assert (bandwidth.better, read.better) == ("more", "less")


def test_what_the_link_does_to_all_reduce():
    lines = two_gpus(MODEL, "L40S", "H100 SXM", tensor_parallel_size=4, max_model_len=8192, workload=LOAD)
    assert (value_of(lines, "Link of 4 cards").a, value_of(lines, "Link of 4 cards").b) == ("PCIe", "NVSwitch")
    step = value_of(lines, "All of a decode step, at least")
    message = 8 * 8192 * 2  # requests × hidden × bytes
    assert value_of(lines, "Message in a decode step, 160 times").a == message
    assert step.a == pytest.approx(160 * (1.5 * message / 31.5e9 + 6e-6))
    assert step.b == pytest.approx(160 * (1.5 * message / 450e9 + 6 * 0.47e-6))
    alone = two_gpus(SMALL, "L40S", "H100 SXM", max_model_len=8192)
    assert not [line for line in alone if line.group == "All-reduce"]


def test_what_fp8_does_to_a_prompt():
    lines = two_gpus(SMALL, "A100 80GB SXM", "H100 SXM", max_model_len=8192)
    fast, plain = value_of(lines, "Time in FP8, at least"), value_of(lines, "Time in 16 bit, at least")
    assert fast.a is None
    assert fast.ratio is None
    assert fast.b == pytest.approx(plain.b / 2, rel=0.01)
    assert value_of(lines, "FP8 rate, dense").a is None


def test_the_outcome_is_that_of_the_plans():
    lines = two_gpus(MODEL, "L40S", "H100 SXM", tensor_parallel_size=4, max_model_len=8192, workload=LOAD)
    plans = [
        wb.plan(MODEL, card, tensor_parallel_size=4, max_model_len=8192, workload=LOAD) for card in ("L40S", "H100 SXM")
    ]
    tpot = value_of(lines, "Time per output token", "As planned")
    assert (tpot.a, tpot.b) == tuple(plan.performance().tpot for plan in plans)


def test_a_card_it_does_not_fit_on_has_no_speed():
    lines = two_gpus(MODEL, "L4", "H100 SXM", max_model_len=8192, quantization="awq")
    assert (value_of(lines, "Starts").a, value_of(lines, "Starts").b) == ("no", "yes")
    assert value_of(lines, "Time per output token").a is None


def test_the_words_name_what_matters():
    texts = gpus_in_words(MODEL, "L40S", "H100 SXM", tensor_parallel_size=4, max_model_len=8192)
    assert len(texts) == 2
    assert "3.88 times the bandwidth" in texts[0]
    assert "PCIe" in texts[1]
    assert "NVSwitch" in texts[1]
    assert gpus_in_words(SMALL, "A100 80GB SXM", "V100 32GB SXM2", max_model_len=8192)[-1].startswith("Neither")


def test_one_card_exchanges_nothing():
    assert ring_time(1e9, 1, wb.gpu("L40S")) == 0
    assert ring_time(1e9, 2, wb.gpu("L40S")) == pytest.approx(1e9 / 31.5e9, rel=0.01)


# ---------------------------------------------------------------------------------------------- two plans


def test_two_plans_differ_where_their_choices_and_figures_do():
    one = wb.plan(SMALL, "L40S", max_model_len=8192)
    two = wb.plan(SMALL, "L40S", max_model_len=8192, quantization="fp8", tensor_parallel_size=2)
    lines = two_plans(one, two)
    assert {line.name for line in lines if line.group == "Choice" and line.differs} == {"GPUs", "Quantisation"}
    assert value_of(lines, "KV cache, tokens").a == one.memory.kv_cache_tokens
    assert value_of(lines, "Time per output token").b == two.performance().tpot
    assert value_of(lines, "List price").ratio == 2
    same = two_plans(one, one)
    assert not [line for line in same if line.differs]
    assert json.loads(json.dumps([line.to_dict() for line in lines]))[0]["group"] == "Choice"


def test_a_plan_that_does_not_fit_stands_beside_one_that_does():
    lines = two_plans(wb.plan(MODEL, "L40S"), wb.plan(SMALL, "L40S", max_model_len=8192))
    assert (value_of(lines, "Starts").a, value_of(lines, "Starts").b) == ("no", "yes")
    assert value_of(lines, "Time to first token").a is None
