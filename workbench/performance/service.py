"""From steps to service: TTFT, TPOT and throughput of a fixed concurrency under continuous batching."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench import cpu
from workbench.choices import Numbers, Setup
from workbench.deployment import Workload
from workbench.engines.registry import engine
from workbench.memory.ledger import Floats, Interval, spread
from workbench.memory.offload import offloaded
from workbench.memory.registry import memory
from workbench.performance.constants import Overheads, overheads
from workbench.performance.step import Batch, step_time
from workbench.performance.work import work
from workbench.quantities import weakest


@dataclass(frozen=True, slots=True)
class Service:
    """Times [s] and rates [tokens/s of the whole deployment]; arrays of shape (rows,)."""

    ttft: Interval
    tpot: Interval
    output_tokens_per_s: Interval
    running: Floats
    basis: str


@dataclass(frozen=True, slots=True)
class Load:
    """A workload as numbers or arrays of shape (rows,); see :class:`~workbench.deployment.Workload`."""

    isl: Floats | float
    osl: Floats | float
    concurrency: Floats | float
    prefix_hit: Floats | float = 0.0
    waves: Floats | float = np.inf

    @classmethod
    def of(cls, workload: Workload) -> Load:
        """The load of a workload; ``waves`` is how often the whole concurrency is served in the run."""
        waves = workload.requests / workload.concurrency if workload.requests else np.inf
        return cls(workload.isl, workload.osl, workload.concurrency, workload.prefix_hit, waves)


def running_requests(numbers: Numbers, setup: Setup, kv_cache_tokens: Floats, load: Load) -> Floats:
    """Requests that run at a time on one replica: what arrives, at most what fits in batch and cache.

    A request is let in for the tokens it has, not for those it will have, so over its life it holds ISL + OSL / 2.
    """
    arriving = np.ceil(load.concurrency / setup.division.data) * np.ones_like(kv_cache_tokens)
    fitting = np.floor(kv_cache_tokens / (load.isl + np.asarray(load.osl) / 2))
    return np.asarray(np.clip(np.minimum(arriving, numbers.max_num_seqs), 1, np.maximum(fitting, 1)))


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps a service is made of [s]: ``decode`` alone; ``chunks`` steps that read a prompt, each ``mixed``.

    ``share`` is the part of a step's token budget that a prompt takes: as many share a step as fit.
    """

    decode: Floats
    mixed: Floats
    chunks: Floats
    share: Floats


def steps(setup: Setup, numbers: Numbers, load: Load, running: Floats, k: Overheads) -> Steps:
    """Times of the steps that ``running`` requests of a load make."""
    one = np.ones_like(running)
    read = np.maximum(np.asarray(load.isl) * (1 - np.asarray(load.prefix_hit)), 1.0) * one
    context = (np.asarray(load.isl) + np.asarray(load.osl) / 2) * one
    batch = np.maximum(running / setup.division.pipeline, 1.0)
    budget = np.where(np.isnan(numbers.max_num_batched_tokens), np.inf, numbers.max_num_batched_tokens)
    room = np.maximum(budget - (batch - 1), 1.0)
    chunks = np.ceil(read / room)
    chunk = read / chunks
    cached = load.isl - read + (read - chunk) / 2
    decode = step_time(setup, k, Batch.decode(batch, context), numbers.enforce_eager)
    prompt = Batch(np.maximum(batch - 1, 0.0), context, one, chunk, cached)
    mixed = step_time(setup, k, prompt, numbers.enforce_eager)
    host = memory(setup).host_share(setup)
    if host:
        decode = decode + host * (_on_host(setup, batch, context) - decode)
        mixed = mixed + _brought_over(setup, host, chunk)
    if moved := float(offloaded(setup).host.sum()):  # weights in host memory are read over the bus in every step
        decode, mixed = (each + moved / setup.card.pcie_bandwidth for each in (decode, mixed))
    return Steps(decode, mixed, chunks, read / room)


def service(
    setup: Setup,
    numbers: Numbers,
    kv_cache_tokens: Floats,
    workload: Workload | Load,
    k: Overheads | None = None,
) -> Service:
    """Steady state at a fixed concurrency.

    A decode step of the running batch takes d, a step that also reads (a chunk of) a prompt m. Each of the others
    inserts one prompt while a request decodes, and every one of the prompt's steps takes m − d longer for all. With
    A = OSL · d, B = share · (running − 1) · chunks · (m − d), a request decodes for the x in which
    x = A + B · x / (x + TTFT): the others insert as many prompts as they finish. TTFT is a fixed cost, half a step,
    the prompt's own steps, those of the prompts it meets, and the wait for a place where more arrive than fit; where
    the run's start counts, the first prompts queue behind each other.

    Parameters
    ----------
    setup, numbers
        A group of choices.
    kv_cache_tokens : ndarray
        Tokens the cache of one replica holds.
    workload : Workload or Load
    k : Overheads, optional
        Other constants than ``data/performance.csv`` has.

    Returns
    -------
    Service
    """
    load = workload if isinstance(workload, Load) else Load.of(workload)
    known = engine(setup.deployment.engine)
    k = k or overheads(setup.deployment.engine, setup.card)
    running = running_requests(numbers, setup, kv_cache_tokens, load)
    made = steps(setup, numbers, load, running, k)
    osl, others = np.asarray(load.osl), np.maximum(running - 1, 0)
    own = made.chunks * made.mixed
    inserted = made.chunks * np.maximum(made.mixed - made.decode, 0) / setup.division.pipeline
    queued = inserted + made.share * made.decode  # a prompt ahead in the queue: its share of the steps it is read in
    met = k.met * queued * np.minimum(others / 8, 1.0) / 2
    burst = queued * others / 2 / np.asarray(load.waves)
    first = k.ttft + made.decode / 2 + own + met
    alone, added = osl * made.decode, k.prefill_share * others * inserted
    slack = first - alone - added
    decoding = (np.sqrt(slack * slack + 4 * alone * first) - slack) / 2
    tpot = decoding / osl
    arriving = np.ceil(np.asarray(load.concurrency) / setup.division.data)
    # Where more arrive than fit, a place that falls free is taken at once: what a client waits for does not hold it.
    held = np.where(arriving > running, own, first) + decoding
    waiting = np.maximum(arriving / running - 1, 0) * held
    ttft = first + burst + waiting
    rate = running * setup.division.data * osl / held
    return Service(
        ttft=_spread(ttft, k.spread_ttft * known.speed_spread),
        tpot=_spread(tpot, k.spread_tpot * known.speed_spread),
        output_tokens_per_s=_spread(rate, k.spread_rate * known.speed_spread),
        running=running * setup.division.data,
        basis=weakest(k.basis, known.speed_basis),
    )


def _spread(value: Floats, factor: float) -> Interval:
    """Bounds a factor 1 + ``factor`` to either side."""
    return spread(value, factor / (1 + factor), factor)


def _on_host(setup: Setup, batch: Floats, context: Floats) -> Floats:
    """A decode step of the whole model on the host's processor [s]: two channels of memory, sixteen cores."""
    processor = replace(setup, card=cpu.card(cores=16))
    k = overheads(setup.deployment.engine, processor.card)
    return step_time(processor, k, Batch.decode(batch, context), batch > 0)


def _brought_over(setup: Setup, host: float, chunk: Floats) -> Floats:
    """A prompt is computed on the GPU: the host's layers cross the bus once for every physical batch [s]."""
    held = work(setup)
    return np.asarray(host * (held.dense_bytes + held.expert_bytes) * np.ceil(chunk / 512) / setup.card.pcie_bandwidth)
