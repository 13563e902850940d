"""Rates and percentiles between two pages of a real Prometheus registry."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin_engine import Numbers

from workbench.engines.vllm.metrics import Metrics, parse_metrics
from workbench.monitoring.engine import Rates, between, restarted, same_process, says_something


@pytest.mark.parametrize("old", [False, True])
def test_what_happened_between_two_readings(old: bool) -> None:
    numbers = Numbers(old=old)
    for _ in range(50):  # long ago, and quicker
        numbers.itl.observe(0.002)
        numbers.said.inc(1000)
    before = parse_metrics(numbers.page())
    numbers.running.set(7)
    numbers.waiting.set(2)
    numbers.kv_usage.set(0.625)
    numbers.said.inc(300)
    numbers.prompt.inc(1000)
    numbers.queries.inc(1000)
    numbers.hits.inc(250)
    numbers.preemptions.inc(4)
    for seconds in (0.05, 0.05, 0.05, 0.5):
        numbers.itl.observe(seconds)
    for tokens in (32, 32, 512):
        numbers.step.observe(tokens)
    found = between(before, parse_metrics(numbers.page()), 2.0)
    assert (found.running, found.waiting, found.kv_usage) == (7, 2, 0.625)
    assert (found.generation_tokens, found.prompt_tokens, found.cached_tokens) == (150, 500, 125)
    assert (found.preemptions, found.requests, found.accepted) == (2, 0, None)
    assert found.itl is not None
    assert (found.itl.count, found.itl.mean) == (4, pytest.approx(0.1625))
    assert 0.01 <= found.itl.p50 <= 0.1 <= found.itl.p95 <= 1.0
    assert found.ttft is None, "nothing came to its first token"
    assert (found.steps, found.step_tokens) == (1.5, pytest.approx(192))
    assert found.prefix_caching is True
    assert between(before, before, 1.0).itl is None


def test_one_reading_alone_says_what_stands_and_no_rate() -> None:
    numbers = Numbers(enable_prefix_caching="False")
    numbers.work()
    found = between(None, parse_metrics(numbers.page()), 0.0)
    assert found == Rates(0.0, running=3.0, waiting=0.0, kv_usage=0.2, prefix_caching=False)


def test_a_restart_is_seen_by_its_date_or_by_a_counter_that_went_back() -> None:
    first = Numbers()
    first.work()
    before = parse_metrics(first.page())
    first.work()
    on = parse_metrics(first.page())
    assert before.started is not None
    assert not restarted(before, on)
    assert same_process(before, on)
    time.sleep(0.6)
    busier = Numbers()  # has already said more than the old one when it is next read
    for _ in range(9):
        busier.work()
    after = parse_metrics(busier.page())
    assert restarted(on, after)
    undated, blind = Numbers(dated=False), Metrics(counters=before.counters)
    assert parse_metrics(undated.page()).started is None
    assert restarted(blind, parse_metrics(undated.page()))
    for _ in range(9):
        undated.work()
    assert not restarted(blind, parse_metrics(undated.page()))
    assert not same_process(blind, parse_metrics(undated.page())), "nobody can tell, so nobody says so"


def test_the_date_of_the_process_counts_where_the_page_has_it() -> None:
    page = Numbers().page() + "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e+09\n"
    assert parse_metrics(page).started == 1.7e9


def test_a_page_of_something_else() -> None:
    other = "# TYPE llamacpp:tokens counter\nllamacpp:tokens_total 3.0\n"
    assert not says_something(parse_metrics(other))
    assert says_something(parse_metrics(Numbers().page()))


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=8).map(sorted), st.floats(0.05, 5.0),
)  # fmt: skip
def test_rates_of_parts_add_up_to_the_rate_of_the_whole(counts: list[int], seconds: float) -> None:
    pages = [Metrics(counters={"generation_tokens": float(value)}) for value in counts]
    parts = [between(a, b, seconds).generation_tokens for a, b in pairwise(pages)]
    whole = between(pages[0], pages[-1], seconds * len(parts)).generation_tokens
    assert all(part is not None and part >= 0 for part in parts)
    assert whole == pytest.approx(sum(parts) / len(parts))  # type: ignore[arg-type]
