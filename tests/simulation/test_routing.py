"""What each router is good for, and where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.deployment import Workload
from workbench.errors import UnknownName
from workbench.simulation.law import SharedStep
from workbench.simulation.lengths import Requests, requests, sharing_prefixes, with_urgent
from workbench.simulation.routing import ROUTERS, Routed, compare, route, router
from workbench.simulation.scheduler import Limits

LAW = SharedStep(base=0.008, per_token=4e-5, per_cached_token=2e-8, per_prompt_token=4e-5)
LIMITS = Limits(max_num_seqs=64, kv_cache_tokens=150_000)
REPLICAS = 4


def through(asked: Requests, *names: str) -> list[Routed]:
    return [route(name, LAW, LIMITS, asked, REPLICAS) for name in names]


def some_long(count: int = 5000) -> Requests:
    """One prompt in twelve is fifty times as long as the others."""
    asked = requests(Workload(300, 100, request_rate=30, isl_cv=0.3, osl_cv=0.3), count)
    return replace(asked, isl=np.where(np.random.default_rng(0).random(count) < 0.08, 16_000, asked.isl))


def documents(many: int, rate: float, count: int = 4000) -> Requests:
    """Questions about ``many`` documents of 3000 tokens; a replica's cache holds about forty."""
    return sharing_prefixes(
        requests(Workload(3300, 128, request_rate=rate, isl_cv=0.05, osl_cv=0.3), count), many, 3000
    )


def test_equal_requests_need_no_cleverness():
    turn, load = through(requests(Workload(1024, 128, request_rate=40), 4000), "round-robin", "load-aware")
    assert load.ttft_p99 == pytest.approx(turn.ttft_p99, rel=0.1)
    assert load.tpot_p50 == pytest.approx(turn.tpot_p50, rel=0.05)


def test_looking_at_the_load_pays_where_requests_differ():
    turn, load = through(some_long(), "round-robin", "load-aware")
    assert load.ttft_p95 < 0.7 * turn.ttft_p95
    assert load.ttft_p99 < 0.7 * turn.ttft_p99


def test_looking_at_lengths_spares_short_prompts_the_long_ones():
    load, length = through(some_long(), "load-aware", "length-aware")
    assert length.short_ttft_p95 < 0.5 * load.short_ttft_p95
    assert length.tpot_p95 < 0.8 * load.tpot_p95


def test_looking_at_prefixes_pays_where_one_cache_cannot_hold_them_all():
    load, prefix = through(documents(100, 22), "load-aware", "prefix-aware")
    assert prefix.hit_rate > 0.85 > 0.6 > load.hit_rate
    assert prefix.ttft_p50 < load.ttft_p50 / 3


def test_looking_at_prefixes_gains_nothing_where_every_cache_holds_them():
    load, prefix = through(documents(20, 30), "load-aware", "prefix-aware")
    assert prefix.hit_rate == pytest.approx(load.hit_rate, abs=0.03)
    assert prefix.ttft_p50 == pytest.approx(load.ttft_p50, rel=0.1)
    assert prefix.ttft_p99 > load.ttft_p99


def test_three_to_ten_times_lower_latency_and_two_to_five_times_more_throughput():
    """The claim of a vendor's stack, which a flag alone does not give: only where prefixes outgrow one replica's
    cache but not all replicas'."""
    slow, fast = through(documents(100, 22), "round-robin", "prefix-aware")
    assert 3 < slow.ttft_p50 / fast.ttft_p50 < 10
    slow, fast = through(documents(100, 90), "round-robin", "prefix-aware")
    assert 2 < fast.output_tokens_per_s / slow.output_tokens_per_s < 5
    slow, fast = through(documents(20, 30), "round-robin", "prefix-aware")
    assert fast.output_tokens_per_s == pytest.approx(slow.output_tokens_per_s, rel=0.02)


def test_a_popular_prefix_does_not_drown_its_replica():
    """Half of all questions are about one document."""
    asked = sharing_prefixes(
        requests(Workload(3300, 128, request_rate=36, isl_cv=0.05, osl_cv=0.3), 4000), 20, 3000, skew=1.5
    )
    load, prefix = through(asked, "load-aware", "prefix-aware")
    assert prefix.busiest < 1.3
    assert prefix.ttft_p95 < 1.5 * load.ttft_p95


def test_urgent_requests_do_not_wait_when_all_are_busy():
    asked = with_urgent(requests(Workload(1024, 256, request_rate=44, isl_cv=0.5, osl_cv=0.5), 5000), 0.1)
    load, first = through(asked, "load-aware", "priority")
    assert first.urgent_ttft_p95 < 0.5 * load.urgent_ttft_p95
    assert first.output_tokens_per_s == pytest.approx(load.output_tokens_per_s, rel=0.03)


def test_the_table_has_a_row_for_each_router():
    table = compare(LAW, LIMITS, documents(5, 10, count=300), 2)
    assert list(table["router"]) == list(ROUTERS)
    assert (table["output_tokens_per_s"] > 0).all()
    assert (table["ttft_p50"] <= table["ttft_p99"]).all()


@pytest.mark.parametrize("name", list(ROUTERS))
def test_one_replica_takes_everything(name):
    asked = documents(5, 5, count=200)
    choose = router(name, asked, 1)
    assert route(name, LAW, LIMITS, asked, 1).busiest == 1
    assert callable(choose)


def test_an_unknown_router_is_refused():
    with pytest.raises(UnknownName, match="load-aware"):
        router("load aware", documents(1, 1, count=2), 2)
