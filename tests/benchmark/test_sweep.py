"""Rising loads end where a server gives no more or breaks what was asked; what was planned stands beside."""

import dataclasses
import doctest
from itertools import pairwise

import pytest
from benchmark_results import result
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.benchmark import bench, experiment, footprint, generator, generator_worker, planned, sweep
from workbench.benchmark.bench import Benchmark, levels
from workbench.benchmark.endpoint import Manner
from workbench.benchmark.generator import words
from workbench.benchmark.load import LoadLevel, Times
from workbench.benchmark.planned import beside
from workbench.benchmark.sweep import climb, doubling, largest, saturated
from workbench.errors import InvalidInput


@pytest.mark.parametrize(
    "module",
    [bench, experiment, footprint, generator, generator_worker, planned, sweep],
    ids=lambda module: module.__name__,
)
def test_examples_hold(module):
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


def server(most, step=0.01):
    """A machine that decodes ``most`` requests at a time, each token in ``step`` [s]; others wait."""

    def put(level):
        load = level.workload
        if level.request_rate is None:
            waves = level.concurrency / min(level.concurrency, most)
            e2e = load.osl * step * waves
            seconds = level.requests / level.concurrency * e2e
        else:
            capacity = most / (load.osl * step)
            waves, e2e = 1.0, load.osl * step
            seconds = level.requests / min(level.request_rate, capacity) + e2e
        ttft = step + (waves - 1) * load.osl * step
        return result(
            level=level, completed=level.requests, input_tokens=level.requests * load.isl,
            output_tokens=level.requests * load.osl, seconds=seconds,
            ttft=Times(*[ttft] * 5), tpot=Times(*[step] * 5), e2e=Times(*[e2e] * 5),
        )  # fmt: skip

    return put


@given(st.integers(1, 100))
def test_a_sweep_ends_after_the_load_that_fills_the_server(most):
    found = climb(levels(wb.Workload(32, 16), sweep=True, seed=1), server(most))
    asked = [each.level.concurrency for each in found.results]
    assert asked == sorted(asked)
    filled = next(number for number in doubling(bench.MOST) if number >= most)
    assert found.within.output_tokens_per_s == pytest.approx(most / 0.01, rel=sweep.RISES + 0.01)
    assert asked[-1] <= 2 * filled
    assert "no longer rises" in found.ended


def test_a_service_level_ends_it_and_the_load_before_is_the_largest():
    found = climb(levels(wb.Workload(32, 16), sweep=True, seed=1), server(8), wb.ServiceLevel(ttft=0.05))
    assert [each.level.concurrency for each in found.results] == [1, 2, 4, 8, 16]
    assert found.within.level.concurrency == 8
    assert found.ended == "at 16 at a time, TTFT p50 170 ms is above 50 ms"
    none = climb(levels(wb.Workload(32, 16), sweep=True, seed=1), server(8), wb.ServiceLevel(tpot=0.001))
    assert (len(none.results), none.within) == (1, None)


def test_a_rate_saturates_where_answers_come_later_than_requests():
    loads = levels(wb.Workload(32, 16), request_rate=[40, 10, 80, 20], sweep=True, seed=1)
    assert [each.request_rate for each in loads] == [10, 20, 40, 80]
    found = climb(loads, server(5))  # 31 requests a second at most
    assert [each.level.request_rate for each in found.results] == [10, 20, 40]
    assert "come faster than they are answered" in found.ended


def test_small_runs_at_a_rate_do_not_look_saturated():
    """The last answer is always late: ten requests a second, each of one second, take two seconds in all."""
    level = LoadLevel(wb.Workload(32, 16, request_rate=10.0), 10)
    assert saturated([result(level=level, completed=10, seconds=2.0, e2e=Times(*[1.0] * 5))]) == ""


def test_loads_have_prompts_of_their_own():
    loads = levels(wb.Workload(64, 16), concurrency=[1, 4, 32])
    assert [each.requests for each in loads] == [16, 16, 128]
    assert [each.warmups for each in loads] == [1, 4, 16]
    assert len({each.seed for each in loads}) == 3
    assert levels(wb.Workload(64, 16), concurrency=[1])[0].seed != levels(wb.Workload(64, 16), concurrency=[1])[0].seed
    rate = levels(wb.Workload(64, 16, request_rate=3.0), seed=0)[0]
    assert (rate.request_rate, rate.requests, rate.seed) == (3.0, 60, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 1, "request_rate": 1.0}, {"concurrency": []}, {"concurrency": 0}, {"request_rate": -1.0},
     {"concurrency": 8, "requests": 4}],
)  # fmt: skip
def test_loads_that_cannot_be(wrong):
    with pytest.raises(InvalidInput):
        levels(wb.Workload(64, 16), **wrong)


def options(level, manner=Manner("m")):  # noqa: B008
    line = words("http://h:1", manner, level, "folder")
    return line, dict(pairwise(line))


def test_the_tool_is_asked_for_what_the_workload_says():
    line, said = options(LoadLevel(wb.Workload(100, 20, 4, isl_cv=0.1, osl_cv=0.2), 16, seed=3))
    assert (said["--max-concurrency"], said["--request-rate"], said["--num-prompts"]) == ("4", "inf", "16")
    # uniform lengths between mean × (1 ± r) have a deviation of r/√3 of the mean
    assert said["--random-range-ratio"] == '{"input": 0.173205, "output": 0.34641}'
    assert (said["--seed"], said["--num-warmups"], said["--endpoint"]) == ("3", "0", "/v1/completions")
    line, said = options(LoadLevel(wb.Workload(100, 20, request_rate=2.5), 16), Manner("m", chat=True, minimum=True))
    assert "--max-concurrency" not in line
    assert (said["--request-rate"], said["--burstiness"], said["--backend"]) == ("2.5", "1.0", "openai-chat")
    assert said["--extra-body"] == '{"min_tokens": 20}'
    with pytest.raises(InvalidInput, match=r"isl_cv may be at most 0\.57"):
        options(LoadLevel(wb.Workload(100, 20, 4, isl_cv=0.6), 16))


def test_a_plan_stands_beside_each_load():
    plan = wb.plan("meta-llama/Llama-3.1-8B-Instruct", gpu="H100 SXM", max_model_len=4096)
    expected = plan.performance(wb.Workload(64, 16, 2, requests=32))
    rows = {row.quantity: row for row in beside(plan, result())}
    assert set(rows) == {"ttft", "tpot", "output_tokens_per_s", "ttft_p95", "tpot_p95", "itl_p99"}
    assert rows["ttft"].planned == expected.ttft
    assert (rows["ttft"].measured, rows["ttft"].inside) == (0.2, False)
    assert rows["ttft"].sentence.endswith("outside the interval, slower than planned.")
    exact = dataclasses.replace(rows["output_tokens_per_s"], measured=expected.output_tokens_per_s.value)
    assert (exact.inside, exact.error) == (True, 0.0)
    assert "inside the interval" in exact.sentence


def test_a_benchmark_says_whether_the_service_level_is_held():
    slow, fast = result(concurrency=4), result(concurrency=1, ttft=Times(*[0.01] * 5))
    level = wb.ServiceLevel(ttft=0.1)
    one = Benchmark((fast, slow), level, largest((fast, slow), level))
    assert not one.ok
    assert any("4 at a time, TTFT p50 190 ms" in said for said in one.sentences)
    swept = dataclasses.replace(one, ended="at 4 at a time, TTFT …")
    assert swept.ok
    assert any("within the service level is 1 at a time" in said for said in swept.sentences)
    assert list(one.frame()["concurrency"]) == [1, 4]
    assert one.to_json()["within"] == 0
    assert Benchmark((slow,)).ok
