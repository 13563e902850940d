"""From steps to service: what requests see of a deployment under a workload."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from workbench import cpu
from workbench.choices import Numbers, Rows, Setup
from workbench.deployment import Workload
from workbench.engines.registry import engine
from workbench.memory.ledger import Floats, Interval
from workbench.memory.offload import offloaded
from workbench.memory.registry import memory
from workbench.performance.batching import Flow, Steps, closed_loop, open_loop, running_at_once
from workbench.performance.constants import Overheads, overheads
from workbench.performance.drafting import drafting
from workbench.performance.here import BASIS, constants
from workbench.performance.lengths import mean_context
from workbench.performance.step import Batch, step_time
from workbench.performance.work import work
from workbench.quantities import weakest

#: Batch sizes at which a decode step is computed, up to the first that holds all that run; between them it is a line.
#: The same for every group, so that a plan is exactly a row of a search.
_POINTS = np.array([1.0, *(base * 2.0**power for power in range(1, 17) for base in (1.0, 1.5))])


@dataclass(frozen=True, slots=True)
class Service:
    """What requests see of a whole deployment; arrays of shape (rows,).

    Attributes
    ----------
    ttft, tpot : Interval
        Means [s]; infinite where more arrives than it can serve.
    output_tokens_per_s : Interval
        Of all replicas together.
    running : ndarray
        Requests that decode at a time, on all replicas.
    saturation : ndarray
        The most requests it can serve [1/s].
    flow : Flow
        Of one replica: distributions, gaps between tokens, preemptions.
    spread_ttft, spread_tpot : float
        Factor 1 + spread within which 90 % of measurements lie.
    basis : str
    """

    ttft: Interval
    tpot: Interval
    output_tokens_per_s: Interval
    running: Floats
    saturation: Floats
    flow: Flow
    spread_ttft: float
    spread_tpot: float
    basis: str

    def at(self, name: str, percentile: float) -> Interval:
        """``ttft``, ``tpot`` or ``itl`` below which ``percentile`` of requests (``itl``: of tokens) lie [s]."""
        value = getattr(self.flow, name).at(percentile)
        if name == "itl":
            value = np.asarray(value)
        return _spread(value, self.spread_ttft if name == "ttft" else self.spread_tpot)


@dataclass(frozen=True, slots=True)
class _Law:
    """Steps of a group of choices under a workload, the places each has, and the requests that reach one replica."""

    steps: Steps
    places: Floats
    arriving: Floats
    budget: Floats


def _law(
    setup: Setup, numbers: Numbers, kv_cache_tokens: Floats, load: Workload, k: Overheads, concurrency: Floats | float
) -> _Law:
    division = setup.division
    one = np.ones_like(kv_cache_tokens)
    arriving = np.maximum(np.ceil(concurrency / division.data), 1.0) * one
    budget = np.where(np.isnan(numbers.max_num_batched_tokens), 1e9, numbers.max_num_batched_tokens) * one
    most = np.full_like(one, np.inf) if load.request_rate else arriving
    if engine(setup.deployment.engine).preempts:
        places = running_at_once(most, numbers.max_num_seqs, kv_cache_tokens, load)
    else:
        fitting = np.floor(kv_cache_tokens / (load.isl + load.osl))
        places = np.clip(np.minimum(most, numbers.max_num_seqs), 1.0, np.maximum(fitting, 1.0))
    batches = _POINTS[: max(int(np.searchsorted(_POINTS, places.max())) + 1, 2)]
    context = mean_context(load.isl, load.osl, load.osl_cv)
    drafted = drafting(setup)
    queries, drafts = (1.0 + drafted.tokens, drafted.seconds) if drafted else (1.0, 0.0)
    verified = Batch.decode(batches / division.pipeline, np.full_like(batches, context), queries)
    decode = drafts + _step(setup, k, verified, False)
    eager = np.asarray(numbers.enforce_eager)
    samples = np.repeat(decode[:, None], len(one), axis=1)
    if eager.any():
        slow = drafts + _step(setup, k, verified, True)
        samples = np.where(eager[None, :], slow[:, None], samples)
    # What a prompt adds depends on the batch and the budget it meets: once for each pair that occurs.
    typical = np.minimum(places, arriving) if not load.request_rate else np.minimum(places, 32.0)
    pairs, where = np.stack([typical, budget, eager.astype(float)]), np.zeros(1, int)
    if one.size > 1:
        pairs, where = np.unique(pairs, axis=1, return_inverse=True)
    alone, added = _prompt(setup, k, load, context, *pairs)
    where = where.reshape(-1)
    prefill, longer = alone[where], added[where]
    share = np.minimum(k.prefill_share * longer / division.pipeline / prefill, 1.0)
    return _Law(Steps(batches, samples, prefill, share), places, arriving, budget)


def _prompt(
    setup: Setup, k: Overheads, load: Workload, context: float, batch: Floats, budget: Floats, eager: Floats
) -> tuple[Floats, Floats]:
    """Time of a mean prompt alone, and what it adds to the steps of a batch that decodes [s]."""
    one, none = np.ones_like(batch), np.zeros_like(batch)
    others = np.maximum(batch / setup.division.pipeline - 1, 0.0)
    read = max(load.isl * (1 - load.prefix_hit), 1.0)
    chunks = np.ceil(read / np.maximum(budget - others, 1.0))
    chunk = read / chunks
    cached = load.isl - read + (read - chunk) / 2
    # alone; with the others; the others without it
    decoding, prompts = np.concatenate([none, others, others]), np.concatenate([one, one, none])
    three = Batch(decoding, np.full_like(decoding, context), prompts, np.tile(chunk, 3), np.tile(cached, 3))
    times = _step(setup, k, three, False)
    if eager.any():
        times = np.where(np.tile(eager > 0, 3), _step(setup, k, three, True), times)
    alone, together, without = np.split(times, 3)
    return chunks * alone, chunks * np.maximum(together - np.where(others > 0, without, 0.0), 0.0)


def _host(setup: Setup) -> bool:
    """Whether the host computes or holds a part, whose speed is an order of magnitude only."""
    return bool(memory(setup).host_share(setup)) or bool(offloaded(setup).host.sum())


def _step(setup: Setup, k: Overheads, batch: Batch, eager: bool) -> Floats:
    """A step, with what of it the host computes or sends over the bus [s]."""
    time = step_time(setup, k, batch, np.full(batch.decoding.shape, eager))
    if host := memory(setup).host_share(setup):
        processor = replace(setup, card=cpu.card(cores=16))  # two channels of memory, sixteen cores
        slow = step_time(processor, overheads(setup.deployment.engine, processor.card), batch, batch.decoding > 0)
        held = work(setup)  # a prompt is computed on the GPU: the host's layers cross the bus for every physical batch
        size = held.dense_bytes + held.expert_bytes
        crossing = host * size * np.ceil(batch.chunk / 512) / setup.card.pcie_bandwidth
        time = np.where(batch.prompts > 0, time + crossing, time + host * (slow - time))
    if moved := float(offloaded(setup).host.sum()):  # weights in host memory are read over the bus in every step
        time = time + moved / setup.card.pcie_bandwidth
    return np.asarray(time)


def service(
    setup: Setup,
    numbers: Numbers,
    kv_cache_tokens: Floats,
    workload: Workload,
    k: Overheads | None = None,
    *,
    load: Floats | None = None,
) -> Service:
    """Steady state at a fixed concurrency, or at a request rate where the workload has one.

    The steps are those of :func:`~workbench.performance.step.step_time`; what service they make is
    :func:`~workbench.performance.concurrency.closed_loop`, :func:`~workbench.performance.arrivals.open_loop`. A
    pipeline holds as many batches as it has stages, so each is that much smaller, and a prompt delays each stage by its
    part. Replicas under data parallelism share the requests evenly.

    Parameters
    ----------
    setup, numbers
        A group of choices.
    kv_cache_tokens : ndarray
        Tokens the cache of one replica holds.
    workload : Workload
    k : Overheads, optional
        Other constants than ``data/performance.csv`` has.
    load : ndarray, optional
        Concurrency of each row instead of the workload's, or request rate where it has one [1/s]; shape (rows,).

    Returns
    -------
    Service
    """
    known = engine(setup.deployment.engine)
    k = k or constants(setup.deployment, setup.card, setup.model.parameters)
    if not workload.streamed:
        k = replace(k, request=min(k.request, k.offline_request))
    replicas = setup.division.data
    if load is None and kv_cache_tokens.size > 1:
        rows, where = _alike(numbers, kv_cache_tokens, workload, replicas)
        if rows.size < where.size:
            alike = replace(numbers, **{each.name: getattr(numbers, each.name)[rows] for each in fields(Numbers)})
            found = service(setup, alike, kv_cache_tokens[rows], workload, k, load=_load(workload, rows))
            expanded: Service = _for_rows(found, where)
            return expanded
    concurrency = workload.concurrency if load is None or workload.request_rate else load
    law = _law(setup, numbers, kv_cache_tokens, workload, k, concurrency)
    held = np.minimum(kv_cache_tokens, 1e12) if known.preempts else None
    drafted = drafting(setup)
    drafts = drafted.drafts(workload) if drafted else None
    if workload.request_rate:
        rate = np.broadcast_to(workload.request_rate if load is None else load, law.places.shape) / replicas
        flow = open_loop(
            law.steps, rate, law.places, workload, law.budget, k.ttft + law.steps.time(np.ones_like(rate)) / 2,
            kv_cache_tokens=held, drafts=drafts,
        )  # fmt: skip
    else:
        # A place that falls free is taken at once where others wait: a client's own time does not hold it.
        waits = law.arriving > law.places
        half = law.steps.time(np.minimum(law.places, law.arriving)) / 2
        flow = closed_loop(
            law.steps, law.arriving, law.places, workload, law.budget, np.where(waits, 0.0, k.ttft + half),
            kv_cache_tokens=held, drafts=drafts,
        )  # fmt: skip
    ttft, tpot = flow.ttft_mean, flow.tpot.mean
    if workload.request_rate:
        ttft = np.where(rate < flow.saturation, ttft, np.inf)
    output = flow.requests_per_s * workload.osl * replicas
    here = k.basis == BASIS
    unknown = (1.0 if here else known.speed_spread) * (2.0 if drafted else 1.0)  # the acceptance of drafts decides
    wide, narrow, rates = (x * unknown for x in (k.spread_ttft, k.spread_tpot, k.spread_rate))
    return Service(
        ttft=_spread(ttft, wide),
        tpot=_spread(tpot, narrow),
        output_tokens_per_s=_spread(output, rates),
        running=flow.running * replicas,
        saturation=flow.saturation * replicas,
        flow=flow,
        spread_ttft=wide,
        spread_tpot=narrow,
        basis=weakest(
            k.basis, "exact" if here else known.speed_basis, "roofline" if drafted or _host(setup) else "exact"
        ),
    )


def _load(workload: Workload, rows: Rows) -> Floats:
    return np.full(rows.size, float(workload.request_rate or workload.concurrency))


def _alike(numbers: Numbers, kv_cache_tokens: Floats, workload: Workload, replicas: int) -> tuple[Rows, Rows]:
    """Rows that differ in what they do under a workload, and for each row the one it is like.

    Most choices of a large grid are alike: a batch or a cache larger than the load ever fills changes nothing.
    """
    most = np.minimum(numbers.max_num_seqs, 1e6)
    if not workload.request_rate:
        most = np.minimum(most, np.ceil(workload.concurrency / replicas))
    longest = (workload.isl + workload.osl) * (1 + 4 * max(workload.isl_cv, workload.osl_cv))
    enough = np.minimum(kv_cache_tokens, 4 * most * longest)
    keys = np.stack([most, enough, np.nan_to_num(numbers.max_num_batched_tokens, nan=-1.0), numbers.enforce_eager])
    _, rows, where = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return rows, where.reshape(-1)


def _for_rows(found: Any, where: Rows) -> Any:
    """The same with every array taken at some rows."""
    if isinstance(found, np.ndarray):
        return found[where]
    if is_dataclass(found) and not isinstance(found, type):
        return replace(found, **{each.name: _for_rows(getattr(found, each.name), where) for each in fields(found)})
    return found


def _spread(value: Floats, factor: float) -> Interval:
    """Bounds a factor 1 + ``factor`` to either side."""
    return Interval(value, value / (1 + factor), value * (1 + factor))
