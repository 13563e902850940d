"""One replica: the same as the plain rule, and nothing lost or made on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.naive import Request, serve

from workbench.deployment import Workload
from workbench.errors import InvalidInput
from workbench.simulation.law import RooflineStep, SharedStep
from workbench.simulation.lengths import Requests, requests, sharing_prefixes, with_urgent
from workbench.simulation.outcome import token_steps
from workbench.simulation.run import closed_loop, open_loop
from workbench.simulation.scheduler import Drafting, Limits, Replica

LAW = SharedStep(base=0.008, per_token=4e-5, per_cached_token=2e-8, per_prompt_token=2e-5, share=0.5)


def drawn(workload: Workload, count: int, seed: int, longest: int) -> Requests:
    return with_urgent(requests(workload, count, seed, longest), 0.3, seed)


def plain(asked: Requests) -> list[Request]:
    rows = zip(asked.arrival, asked.isl, asked.osl, asked.cached, asked.priority, strict=True)
    return [Request(number, float(at), *map(int, rest)) for number, (at, *rest) in enumerate(rows)]


limits = st.builds(
    Limits,
    max_num_seqs=st.integers(1, 12),
    max_num_batched_tokens=st.sampled_from([64, 200, 1000]),
    kv_cache_tokens=st.sampled_from([700, 1000, 5000]),
    block_size=st.sampled_from([1, 16]),
    scheduling_policy=st.sampled_from(["fcfs", "priority"]),
    reserve_prompt=st.booleans(),
)
loads = st.builds(
    Workload,
    isl=st.integers(1, 200),
    osl=st.integers(1, 60),
    request_rate=st.sampled_from([1.0, 20.0, 200.0]),
    isl_cv=st.sampled_from([0.0, 0.7]),
    osl_cv=st.sampled_from([0.0, 0.7]),
    prefix_hit=st.sampled_from([0.0, 0.5]),
)


@given(limits=limits, load=loads, seed=st.integers(0, 99), concurrency=st.sampled_from([None, 1, 7]))
@settings(max_examples=150, deadline=None)
def test_it_does_what_the_plain_rule_says(limits, load, seed, concurrency):
    asked = drawn(load, 40, seed, longest=300)
    slow = serve(plain(asked), LAW, limits, concurrency)
    fast = closed_loop(LAW, limits, asked, concurrency) if concurrency else open_loop(LAW, limits, asked)
    assert fast.first == pytest.approx([request.times[0] for request in slow])
    assert fast.last == pytest.approx([request.times[-1] for request in slow])
    assert fast.preemptions.tolist() == [request.preempted for request in slow]
    gaps = np.concatenate([np.diff(request.times) for request in slow])
    assert np.sort(fast.itl) == pytest.approx(np.sort(gaps))


@given(load=loads, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_without_chunks_a_prompt_waits_until_it_fits_the_budget(load, seed):
    asked = replace(drawn(load, 40, seed, longest=300), priority=np.zeros(40, np.int64))
    whole = Limits(max_num_seqs=12, max_num_batched_tokens=640, kv_cache_tokens=5000, enable_chunked_prefill=False)
    slow = serve(plain(asked), LAW, whole)
    assert open_loop(LAW, whole, asked).first == pytest.approx([request.times[0] for request in slow])


def test_a_prompt_longer_than_the_budget_needs_chunks():
    whole = Limits(max_num_seqs=12, max_num_batched_tokens=640, enable_chunked_prefill=False)
    with pytest.raises(InvalidInput, match="max_num_batched_tokens"):
        open_loop(LAW, whole, requests(Workload(700, 10), 1))


@given(
    load=loads,
    drafted=st.integers(0, 4),
    acceptance=st.sampled_from([0.0, 0.6, 1.0]),
    prefixes=st.integers(1, 5),
    policy=st.sampled_from(["fcfs", "priority"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_cache_is_never_exceeded_and_every_token_comes_once(load, drafted, acceptance, prefixes, policy, seed):
    asked = sharing_prefixes(drawn(load, 60, seed, longest=300), prefixes, tokens=100, seed=seed)
    limits = Limits(8, 200, 1000, scheduling_policy=policy)
    replica = Replica(LAW, limits, asked, Drafting(drafted, acceptance) if drafted else None, seed)
    for request in range(len(asked)):
        replica.push(request)
    while replica.busy:
        replica.step()
        assert replica.used_tokens + replica.prefixes.idle * limits.block_size <= limits.kv_cache_tokens
        assert len(replica.running) <= limits.max_num_seqs
        assert replica.outstanding_tokens >= 0
    assert replica.used_tokens == 0
    assert replica.outstanding_tokens == 0
    for request in range(len(asked)):
        steps = token_steps(replica.spells[request])
        assert len(steps) == asked.osl[request]
        assert (np.diff(steps) >= (0 if drafted else 1)).all()
        sent_back = replica.preemptions.get(request, 0)
        least = asked.isl[request] - replica.hits[request]
        assert replica.computed[request] >= least
        assert (replica.computed[request] == least) or sent_back


@pytest.mark.parametrize("policy", ["fcfs", "priority"])
def test_little_s_law_holds(policy):
    """Requests in the system on average = rate × mean time in it, counted step by step and request by request."""
    asked = with_urgent(requests(Workload(1024, 128, request_rate=12.0, isl_cv=0.5, osl_cv=0.5), 4000, seed=1), 0.2)
    replica = Replica(LAW, Limits(kv_cache_tokens=60_000, scheduling_policy=policy), asked)
    inside = 0.0  # requests in the system × seconds

    def step() -> float:
        many, since = replica.outstanding, replica.now
        replica.step()
        return many * (replica.now - since)

    for request, time in enumerate(asked.arrival.tolist()):
        while replica.now < time and replica.busy:
            inside += step()
        replica.now = max(replica.now, time)
        inside += replica.now - time  # it came while a step was under way
        replica.push(request)
    while replica.busy:
        inside += step()
    run = open_loop(LAW, Limits(kv_cache_tokens=60_000, scheduling_policy=policy), asked)
    rate = len(asked) / replica.now
    assert inside / replica.now == pytest.approx(rate * run.latency.mean(), rel=1e-6)


def test_the_same_seed_gives_the_same_run():
    asked = requests(Workload(500, 60, request_rate=10.0, osl_cv=0.5), 200, seed=3)
    runs = [open_loop(LAW, Limits(), asked, drafting=Drafting(3, 0.6), seed=5) for _ in range(2)]
    assert np.array_equal(runs[0].last, runs[1].last)
    other = open_loop(LAW, Limits(), asked, drafting=Drafting(3, 0.6), seed=6)
    assert not np.array_equal(runs[0].last, other.last)


def test_urgent_requests_pass_the_others():
    asked = with_urgent(requests(Workload(1024, 256, request_rate=20.0), 1500), 0.1)
    tight = Limits(max_num_seqs=16)
    first, fair = (open_loop(LAW, replace(tight, scheduling_policy=policy), asked) for policy in ("priority", "fcfs"))
    urgent = asked.priority == 0
    assert first.ttft[urgent].mean() < 0.1 * fair.ttft[urgent].mean()
    assert first.ttft[~urgent].mean() > fair.ttft[~urgent].mean()


def test_a_shared_prefix_is_computed_once():
    asked = sharing_prefixes(requests(Workload(1100, 20, request_rate=5.0), 50), 1, tokens=1024)
    run = open_loop(LAW, Limits(), asked)
    assert run.hits[0] == 0
    assert (run.hits[1:] == 1024).all()
    assert run.computed.sum() == 1100 + 49 * (1100 - 1024)


def test_a_full_cache_costs_a_computed_token_for_each_token_that_comes_out():
    """What ends makes place for prompts; outputs that go on growing push others out, token for token."""
    asked = requests(Workload(256, 512, isl_cv=0.3, osl_cv=0.3), 3000, seed=2)
    run = closed_loop(LAW, Limits(kv_cache_tokens=20_000), asked, concurrency=80, skip=0.1)
    again = (run.computed - run.isl).sum()
    assert again == pytest.approx(run.osl.sum(), rel=0.08)


def test_the_roofline_verifies_drafts_for_nothing_while_it_reads_weights():
    law = RooflineStep(overhead=0.001, weights=0.01, compute=5e-5)
    asked = requests(Workload(100, 101), 8)
    without = closed_loop(law, Limits(), asked, concurrency=8)
    with_drafts = closed_loop(law, Limits(), asked, concurrency=8, drafting=Drafting(4, 1.0))
    assert with_drafts.tpot.mean() == pytest.approx(without.tpot.mean() / 5, rel=0.01)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"max_num_seqs": 0}, "max_num_seqs"),
        ({"block_size": -1}, "block_size"),
        ({"scheduling_policy": "lifo"}, "scheduling_policy"),
        ({"max_num_batched_tokens": 100}, "max_num_batched_tokens"),
    ],
)
def test_limits_that_cannot_be_are_refused(change, word):
    with pytest.raises(InvalidInput, match=word):
        open_loop(LAW, replace(Limits(), **change), requests(Workload(10, 10), 1))


def test_a_request_that_never_fits_is_refused():
    with pytest.raises(InvalidInput, match="does not fit"):
        open_loop(LAW, Limits(kv_cache_tokens=500), requests(Workload(400, 200), 1))


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": 1, "skip": 0.5}])
def test_runs_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidInput):
        closed_loop(LAW, Limits(), requests(Workload(10, 10), 4), **wrong)
