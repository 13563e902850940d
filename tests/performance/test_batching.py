"""From steps to service: what must hold whatever the numbers; nearness to a scheduler is tested in tests/simulation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.deployment import Workload
from workbench.performance.batching import (
    Drafts,
    Steps,
    closed_loop,
    open_loop,
    running_at_once,
    saturation_rate,
)
from workbench.performance.concurrency import backlog
from workbench.performance.normal import normal_cdf, normal_quantile
from workbench.performance.pressure import (
    kv_demand,
    overflow_probability,
    preemptions,
    pressure_from,
    recomputed_tokens,
    stalled,
)
from workbench.performance.queueing import Delayed, Spread, pollaczek_khinchine, wait_for_a_place, waits_for_a_place

PERCENTILES = (1, 25, 50, 75, 95, 99, 99.9)


def one(value: float) -> np.ndarray:
    return np.array([float(value)])


laws = st.builds(
    lambda base, slope, prefill, share: Steps(
        np.array([1.0, 8.0, 64.0, 512.0]),
        (base + slope * np.array([1.0, 8.0, 64.0, 512.0]))[:, None],
        one(prefill),
        share,
    ),
    base=st.floats(0.002, 0.05),
    slope=st.floats(0, 2e-4),
    prefill=st.floats(0.002, 0.5),
    share=st.floats(0.2, 1),
)
loads = st.builds(
    Workload,
    isl=st.integers(1, 20_000),
    osl=st.integers(4, 2000),
    isl_cv=st.sampled_from([0.0, 0.06, 0.5, 1.5]),
    osl_cv=st.sampled_from([0.0, 0.06, 0.5, 1.5]),
    prefix_hit=st.sampled_from([0.0, 0.5, 1.0]),
    requests=st.sampled_from([None, 2000]),
)
budgets = st.sampled_from([512.0, 2048.0, 8192.0])


# ---------------------------------------------------------------------------------------------- the step law


@given(steps=laws, n=st.floats(0, 2000))
def test_a_step_is_as_given_on_straight_lines_between_and_beyond(steps, n):
    base, slope = steps.decode[0, 0] - steps.slope(one(1))[0], steps.slope(one(1))[0]
    assert steps.time(one(n))[0] == pytest.approx(base + slope * n, rel=1e-6)


def test_a_step_known_at_one_batch_is_the_same_at_all():
    steps = Steps(np.array([1.0]), np.array([[0.01, 0.02]]), np.array([0.1, 0.1]))
    assert steps.time(np.array([5.0, 500.0])).tolist() == [0.01, 0.02]


@given(steps=laws, factor=st.floats(1, 5000))
def test_settling_solves_its_equation(steps, factor):
    n = steps.settle(one(factor))
    if np.isfinite(n[0]):
        assert n[0] == pytest.approx(factor * steps.time(n)[0], rel=1e-6)
    else:
        assert factor * steps.slope(one(1e6))[0] >= 1 - 1e-6


def test_rows_do_not_touch_each_other():
    batches = np.array([1.0, 64.0, 512.0])
    decode = np.array([[0.01, 0.02, 0.005], [0.012, 0.03, 0.02], [0.02, 0.08, 0.09]])
    prefill, load = np.array([0.02, 0.2, 0.05]), Workload(2048, 200, osl_cv=0.3)
    budget, places, rate = np.array([2048.0, 8192.0, 4096.0]), np.array([64.0, 16.0, 256.0]), np.array([5.0, 1.0, 9.0])
    cache = np.array([100_000.0, 40_000.0, 500_000.0])
    together = [
        closed_loop(Steps(batches, decode, prefill), places * 2, places, load, budget, kv_cache_tokens=cache),
        open_loop(Steps(batches, decode, prefill), rate, places, load, budget, kv_cache_tokens=cache),
    ]
    for row in range(3):
        steps, i = Steps(batches, decode[:, [row]], prefill[[row]]), [row]
        alone = [
            closed_loop(steps, places[i] * 2, places[i], load, budget[i], kv_cache_tokens=cache[i]),
            open_loop(steps, rate[i], places[i], load, budget[i], kv_cache_tokens=cache[i]),
        ]
        for many, single in zip(together, alone, strict=True):
            for name in ("ttft", "tpot", "itl"):
                assert getattr(many, name).at(95)[row] == pytest.approx(getattr(single, name).at(95)[0])
                assert getattr(many, name).mean[row] == pytest.approx(getattr(single, name).mean[0])
            assert many.requests_per_s[row] == pytest.approx(single.requests_per_s[0])


# ---------------------------------------------------------------------------------------------- a fixed concurrency


@given(steps=laws, load=loads, budget=budgets, concurrency=st.integers(1, 500), places=st.integers(1, 500))
@settings(max_examples=200, deadline=None)
def test_times_of_a_closed_loop_are_in_order(steps, load, budget, concurrency, places):
    flow = closed_loop(steps, one(concurrency), one(places), load, one(budget))
    assert 0 < flow.requests_per_s[0] <= flow.saturation[0]
    assert flow.running[0] <= min(concurrency, places)
    assert flow.ttft.mean[0] > 0
    assert flow.ttft_mean[0] > 0
    for times in (flow.ttft, flow.itl):
        found = [float(times.at(q)[0]) for q in PERCENTILES]
        assert all(a <= b + 1e-12 for a, b in pairwise(found))
        assert min(found) > 0


@given(steps=laws, load=loads, budget=budgets, concurrency=st.integers(1, 500))
@settings(max_examples=200, deadline=None)
def test_little_s_law_of_a_closed_loop(steps, load, budget, concurrency):
    """Requests in flight = rate × (TTFT + the time of the other tokens)."""
    flow = closed_loop(steps, one(concurrency), one(concurrency), load, one(budget))
    latency = flow.ttft.mean + flow.tpot.mean * max(load.osl - 1, 1e-6)
    assert flow.requests_per_s[0] * latency[0] == pytest.approx(concurrency, rel=1e-3)


@given(steps=laws, load=loads, budget=budgets, concurrency=st.integers(1, 250))
@settings(max_examples=100, deadline=None)
def test_more_in_flight_serve_no_fewer_and_no_faster(steps, load, budget, concurrency):
    """But for the few per cent by which regimes of a short budget do not meet."""
    few, many = (closed_loop(steps, one(n), one(n), load, one(budget)) for n in (concurrency, 2 * concurrency))
    assert many.requests_per_s[0] >= few.requests_per_s[0] * 0.98
    assert many.tpot.mean[0] >= few.tpot.mean[0] * 0.9


def test_one_request_takes_its_prefill_and_its_steps():
    steps = Steps(np.array([1.0, 2.0]), np.array([[0.01], [0.02]]), one(0.3), 0.4)
    flow = closed_loop(steps, one(1), one(1), Workload(1000, 101), one(8192))
    assert flow.ttft.mean[0] == pytest.approx(0.3, rel=0.03)
    assert flow.tpot.mean[0] == pytest.approx(0.01, rel=0.03)


def test_requests_of_one_token_only_wait_for_their_prompt():
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.05), 0.5)
    load = Workload(1000, 1)
    flow = closed_loop(steps, one(4), one(4), load, one(8192))
    assert flow.requests_per_s[0] == pytest.approx(1 / 0.05, rel=0.01)
    assert flow.ttft.mean[0] == pytest.approx(4 * 0.05, rel=0.01)
    flow = open_loop(steps, one(1.0), one(4), load, one(8192))
    assert flow.ttft.mean[0] == pytest.approx(0.05, rel=0.05)


def test_what_does_not_fit_waits():
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.05))
    fit, wait = (closed_loop(steps, one(n), one(32), Workload(1000, 200), one(8192)) for n in (32, 64))
    assert wait.requests_per_s[0] == pytest.approx(fit.requests_per_s[0])
    assert wait.tpot.mean[0] == pytest.approx(fit.tpot.mean[0])
    assert wait.ttft.mean[0] == pytest.approx(fit.ttft.mean[0] + 32 / fit.requests_per_s[0], rel=0.01)


def test_equal_outputs_sent_at_once_keep_step_and_wait_for_each_other_s_prompts():
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.05))
    equal, spread = (
        closed_loop(steps, one(64), one(64), Workload(1000, 500, 64, osl_cv=cv, requests=6400), one(8192))
        for cv in (0.0, 0.3)
    )
    assert equal.ttft.mean[0] > 2 * spread.ttft.mean[0]
    assert equal.tpot.mean[0] < spread.tpot.mean[0]
    assert equal.requests_per_s[0] == pytest.approx(spread.requests_per_s[0], rel=0.02)


def test_a_short_run_counts_its_start():
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.05))
    load = Workload(1000, 500, 64, osl_cv=0.06, requests=640)
    flow = closed_loop(steps, one(64), one(64), load, one(8192))
    assert flow.start_share[0] == 0.1
    assert flow.start[0] > 10 * flow.ttft.mean[0]
    assert flow.ttft_mean[0] == pytest.approx(0.1 * flow.start[0] + 0.9 * flow.ttft.mean[0])


# ---------------------------------------------------------------------------------------------- a rate


@given(steps=laws, load=loads, budget=budgets, places=st.integers(1, 500), share=st.floats(0.01, 0.97))
@example(
    steps=Steps(np.array([1.0, 8.0, 64.0]), np.array([[0.0021], [0.0031], [0.0108]]), np.array([0.5]), 0.25),
    load=Workload(isl=1, osl=134, osl_cv=1.5), budget=512.0, places=164, share=0.96875,
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_times_of_an_open_loop_are_in_order(steps, load, budget, places, share):
    rate = share * saturation_rate(steps, one(places), load, one(budget))
    flow = open_loop(steps, rate, one(places), load, one(budget))
    assert flow.requests_per_s[0] == rate[0]
    assert flow.utilisation[0] == pytest.approx(share)
    assert 0 < flow.running[0] <= places
    for times in (flow.ttft, flow.itl):
        found = [float(times.at(q)[0]) for q in PERCENTILES]
        assert np.isfinite(found).all()
        assert all(a <= b + 1e-12 for a, b in pairwise(found))
        assert min(found) > 0
    assert np.isfinite(flow.ttft.mean[0])
    assert flow.tpot.mean[0] > 0


@given(steps=laws, load=loads, budget=budgets, places=st.integers(1, 500))
@settings(max_examples=100, deadline=None)
def test_a_higher_rate_is_never_faster_and_in_the_end_too_much(steps, load, budget, places):
    most = saturation_rate(steps, one(places), load, one(budget))
    flows = [open_loop(steps, share * most, one(places), load, one(budget)) for share in (0.2, 0.5, 0.8, 1.2)]
    assert all(a.running[0] <= b.running[0] + 1e-9 for a, b in pairwise(flows))
    assert np.isfinite([flow.ttft.mean[0] for flow in flows[:3]]).all()
    assert np.isinf(flows[3].ttft.mean[0])
    assert np.isinf(flows[3].ttft.at(50)[0])
    assert flows[3].requests_per_s[0] <= most[0]


def test_alone_a_request_takes_its_prefill_and_its_steps():
    steps = Steps(np.array([1.0, 2.0]), np.array([[0.01], [0.02]]), one(0.3), 0.4)
    flow = open_loop(steps, one(1e-9), one(64), Workload(1000, 101), one(8192), overhead=0.05)
    assert flow.ttft.mean[0] == pytest.approx(0.35)
    assert flow.tpot.mean[0] == pytest.approx(0.01)


def test_a_cached_prefix_saves_its_part_of_the_budget():
    batches, decode = np.array([1.0, 512.0]), np.array([[0.01], [0.02]])
    cold, warm = (
        saturation_rate(
            Steps(batches, decode, one(0.1 * (1 - hit))), one(512), Workload(16_384, 64, prefix_hit=hit), one(2048)
        )[0]
        for hit in (0.0, 0.9)
    )
    assert warm > 4 * cold


@given(steps=laws, load=loads, budget=budgets, n=st.integers(1, 500))
@settings(max_examples=100, deadline=None)
def test_saturation_is_what_a_closed_loop_of_all_places_serves(steps, load, budget, n):
    full = closed_loop(steps, one(4 * n), one(n), load, one(budget))
    assert full.requests_per_s[0] == pytest.approx(full.saturation[0], rel=0.25)
    assert full.requests_per_s[0] <= full.saturation[0] * 1.001


# ---------------------------------------------------------------------------------------------- KV pressure


def test_what_runs_at_a_time_is_what_fits():
    load = Workload(1000, 200)
    assert running_at_once(one(10), one(256), one(1e6), load)[0] == 10
    assert running_at_once(one(1000), one(256), one(1e6), load)[0] == 256
    assert running_at_once(one(1000), one(256), one(110_000), load)[0] == pytest.approx(99.5)
    assert running_at_once(one(1000), one(256), one(10), load)[0] == 1
    shared = running_at_once(one(1000), one(2560), one(110_000), load, shared_tokens=800)[0]
    assert shared == pytest.approx(109_200 / 300 - 0.5)


@given(load=loads, tokens=st.floats(50_000, 5e6))
@settings(max_examples=50, deadline=None)
def test_pressure_starts_where_its_share_says(load, tokens):
    n = pressure_from(one(tokens), load, share=0.05)
    if n[0] > 1:
        assert overflow_probability(one(tokens), n, 0.0, load)[0] == pytest.approx(0.05, abs=0.002)


@given(load=loads, n=st.floats(1, 500))
def test_pressure_grows_with_what_runs(load, n):
    mean, deviation = kv_demand(one(n), 0.0, load)
    more, wider = kv_demand(one(2 * n), one(n), load)
    assert more[0] == pytest.approx(2 * mean[0])
    assert wider[0] > deviation[0]
    low, high = (overflow_probability(one(100_000), one(m), 0.0, load)[0] for m in (n, 2 * n))
    assert high >= low - 1e-7


def test_what_is_sent_back_is_computed_again():
    load = Workload(256, 1024)
    full = one(1.0)
    assert recomputed_tokens(full, load)[0] == 1024
    assert preemptions(full, load)[0] == pytest.approx(1024 / 358.4)
    assert stalled(one(5), one(30), full, load)[0] <= 5
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.02))
    args = steps, one(100), one(30), load, one(8192)
    free, tight = closed_loop(*args), closed_loop(*args, kv_cache_tokens=one(30 * 768))
    assert tight.requests_per_s[0] < free.requests_per_s[0]
    assert tight.preemptions[0] > 2.5
    assert free.preemptions[0] == 0


# ---------------------------------------------------------------------------------------------- drafts


def test_drafts_take_fewer_steps_and_more_budget():
    steps = Steps(np.array([1.0, 512.0]), np.array([[0.01], [0.02]]), one(0.005))
    args = steps, one(64), one(64), Workload(1000, 201, osl_cv=0.3), one(8192)
    plain, fast = closed_loop(*args), closed_loop(*args, drafts=Drafts(3, 80))
    assert fast.tpot.mean[0] < 0.55 * plain.tpot.mean[0]
    assert fast.itl.mean[0] > plain.itl.mean[0]  # prompts share fewer steps
    narrow = closed_loop(steps, one(64), one(64), Workload(8000, 201, osl_cv=0.3), one(512))
    drafted = closed_loop(steps, one(64), one(64), Workload(8000, 201, osl_cv=0.3), one(512), drafts=Drafts(7, 200))
    assert drafted.running[0] < narrow.running[0]


# ---------------------------------------------------------------------------------------------- waits and spreads


def test_pollaczek_khinchine_of_known_queues():
    """M/M/1: ρ / (1 − ρ) services; M/D/1: half of that."""
    rate, mean = one(0.8), one(1.0)
    assert pollaczek_khinchine(rate, mean, one(2.0))[0] == pytest.approx(4.0)
    assert pollaczek_khinchine(rate, mean, one(1.0))[0] == pytest.approx(2.0)


def erlang_c(servers: int, load: float) -> float:
    terms = np.cumprod(np.concatenate([[1.0], load / np.arange(1, servers)]))
    last = terms[-1] * load / servers * servers / (servers - load)
    return float(last / (terms.sum() + last))


@pytest.mark.parametrize("servers", [30, 100, 300])
@pytest.mark.parametrize("beta", [0.2, 0.7, 1.5])
def test_waiting_for_a_place_is_near_erlang_s(servers, beta):
    load = servers - beta * np.sqrt(servers)
    found = waits_for_a_place(one(servers), one(load), one(np.sqrt(load)))[0]
    assert found == pytest.approx(erlang_c(servers, load), abs=0.03)


def test_waiting_lengthens_towards_saturation():
    waits = [wait_for_a_place(one(rho), one(10.0), 0.5)[0] for rho in (0.5, 0.8, 0.9, 0.99)]
    assert waits == sorted(waits)
    assert wait_for_a_place(one(0.99), one(10.0), 1.0)[0] < 0.1 / 0.01


@given(mean=st.floats(0.1, 10), cv=st.floats(0.05, 1.0))
@settings(max_examples=40, deadline=None)
def test_spreads_are_gamma_distributed(mean, cv):
    drawn = 1 + np.random.default_rng(0).gamma(1 / cv**2, mean * cv**2, 200_000)
    found = Spread(one(1), one(1 + mean), one(mean * cv))
    for q in (5, 50, 95, 99):
        assert found.at(q)[0] == pytest.approx(np.percentile(drawn, q), rel=0.03, abs=0.05 * mean)


def test_some_wait_and_some_do_not():
    rng = np.random.default_rng(0)
    drawn = 0.1 + np.where(rng.random(400_000) < 0.3, rng.exponential(2.0, 400_000), 0.0)
    found = Delayed(Spread(one(0.1), one(0.1), one(0.0)), one(0.3), one(2.0))
    assert found.mean[0] == pytest.approx(drawn.mean(), rel=0.01)
    for q in (50, 80, 95, 99):
        assert found.at(q)[0] == pytest.approx(np.percentile(drawn, q), rel=0.02, abs=0.01)


@given(load=st.floats(0.01, 0.95))
@settings(max_examples=20, deadline=None)
def test_prompts_of_a_whole_budget_queue_as_in_slotted_time(load):
    """X' = (X + Poisson − 1)⁺ has E[X] = ρ² / (2 (1 − ρ))."""
    assert backlog(one(load), one(1.0), 1.0)[0] == pytest.approx(load**2 / (2 * (1 - load)))


@given(x=st.floats(-5, 5))
def test_the_normal_quantile_undoes_the_distribution(x):
    assert normal_quantile(normal_cdf(one(x)))[0] == pytest.approx(x, abs=2e-3)
