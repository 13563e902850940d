"""vLLM's memory: what utilisation multiplies, what is taken, what is left for the KV cache, in vLLM's own counting.

requested = capacity × gpu_memory_utilization;
KV cache = requested − weights − activation peak − non-torch (− CUDA graphs from 0.21 on).

References
----------
vLLM 0.32.0: ``v1/worker/gpu_worker.py`` (determine_available_memory), ``v1/worker/cpu_worker.py``,
``v1/core/kv_cache_utils.py`` (blocks, groups, concurrency, admission). Constants: ``data/engines/vllm.csv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from workbench.choices import Numbers, Setup
from workbench.memory import adapters, drafts, loading, occupied, offload
from workbench.memory.activation import activation_peak
from workbench.memory.graphs import cuda_graphs
from workbench.memory.intervals import half_widths
from workbench.memory.ledger import Floats, Interval, Ledger, remainder, spread
from workbench.memory.longest import longest_request
from workbench.memory.pages import Pages, pages
from workbench.memory.shares import stage_weights


def in_flight(numbers: Numbers, setup: Setup) -> Floats:
    """Tokens scheduled and not settled yet: a full batch for every step that runs at once."""
    batches = 1 if setup.on_cpu else setup.version.batches_in_flight  # scheduling is not asynchronous on a CPU
    if setup.division.pipeline > 1:
        batches += setup.division.pipeline - 1
    return np.asarray(batches * numbers.max_num_batched_tokens)


def states_per_request(setup: Setup) -> int:
    """Recurrent states kept for a request: one, and with prefix caching the last one aligned to a block besides.

    Speculation keeps one more for every token drafted (``num_speculative_blocks``).
    """
    asked = setup.deployment.enable_prefix_caching
    kept = 2 if (setup.version.caches_states if asked is None else asked) else 1
    return kept + drafts.scored_tokens(setup) - 1


@dataclass(frozen=True, slots=True)
class _Stage:
    """One pipeline stage's share of the ledger."""

    pages: Pages
    weights: Interval
    activation_peak: Interval
    kv_cache: Interval
    blocks: Interval
    block: Floats
    per_block: Floats


def _each(make: Callable[[str], Floats]) -> Interval:
    """An interval from what ``make`` gives for each bound."""
    return Interval(make("value"), make("low"), make("high"))


def weights_held(setup: Setup) -> Floats:
    """Bytes that "Model loading took" on one GPU of each pipeline stage [B]: weights, adapters, draft, less what the
    host keeps."""
    version = setup.version
    held = stage_weights(setup.model, setup.division, setup.scheme, setup.float_bytes, version.latent)
    moved = offload.offloaded(setup)
    total = held + adapters.adapter_bytes(setup) - moved.host + moved.staging
    total[-1] += drafts.draft_weights(setup)
    return np.asarray(total)


def _stages(
    setup: Setup, numbers: Numbers, requested: Interval, others: list[Interval], ones: Floats
) -> Iterator[_Stage]:
    version, division = setup.version, setup.division
    held = weights_held(setup)
    pools = pages(
        setup.model,
        division,
        setup.kv_element_bytes,
        setup.float_bytes,
        version.group_padding_ratio,
        version.hybrid_cache,
        version.latent != "none",
        drafts.draft_caches(setup),
    )
    given = ~np.isnan(numbers.kv_cache_memory_bytes)
    for i, (weight, pool) in enumerate(zip(held, pools, strict=True)):
        peak = np.zeros_like(ones)
        if not setup.on_cpu:
            peak = activation_peak(setup, numbers, samples=i == division.pipeline - 1)
            if i == division.pipeline - 1 and setup.deployment.speculative_config is not None:
                peak = np.maximum(peak, drafts.draft_peak(setup, numbers))
        weights = spread(weight * ones, *half_widths(setup, "weights"))
        activation = spread(peak, *half_widths(setup, "activation_peak"))
        # The intervals were learned where graphs were not subtracted yet.
        outside, graphs = others[:1], tuple(others[1:])
        left = remainder(requested, half_widths(setup, "kv_cache"), weights, activation, *outside, unlearned=graphs)
        kv = _each(lambda b, left=left: np.where(given, numbers.kv_cache_memory_bytes, getattr(left, b)))  # type: ignore[misc]
        block = pool.block_tokens(numbers.block_size)
        per_block = pool.bytes_per_token * block
        blocks = _each(lambda b, kv=kv, per=per_block: _blocks(getattr(kv, b), per, numbers))  # type: ignore[misc]
        yield _Stage(pool, weights, activation, kv, blocks, block, per_block)


def ledger(setup: Setup, numbers: Numbers) -> Ledger:
    """vLLM's ledger for one group of choices: the fullest GPU, and the tokens of the stage with the fewest blocks.

    Parameters
    ----------
    setup : Setup
        What the choices share.
    numbers : Numbers
        Their columns, shape (rows,).

    Returns
    -------
    Ledger
        Arrays of shape (rows,). On a CPU only weights and the KV cache are counted, which is all vLLM counts there.
    """
    version, division = setup.version, setup.division
    ones = np.ones_like(numbers.max_model_len)
    capacity = _each(lambda b: getattr(setup.card.capacity, b) * ones)
    used = 1.0 if setup.on_cpu else numbers.gpu_memory_utilization  # with an explicit cache, vLLM ignores it there
    requested = _each(lambda b: np.ceil(getattr(capacity, b) * used))
    graphs, outside, idle = np.zeros_like(ones), 0.0, 0.0
    if not setup.on_cpu:
        alone = division.tensor * division.pipeline == 1
        graphs = _graphs(setup, numbers)
        outside = version.non_torch_tp if division.tensor > 1 else version.non_torch_pp
        outside, idle = (version.non_torch_tp1, version.idle_tp1) if alone else (outside, version.idle_tp)
        outside, idle = outside + occupied.inside_budget(setup), idle + occupied.beside_budget(setup)
    graph_memory = spread(graphs, *half_widths(setup, "cuda_graphs"))
    non_torch = spread(outside * ones, *half_widths(setup, "non_torch"))
    others = [non_torch, graph_memory] if version.graphs_in_budget else [non_torch]

    stages = list(_stages(setup, numbers, requested, others, ones))
    stage = min(stages, key=lambda s: float(s.blocks.value.sum()))  # every stage takes as many blocks as the poorest
    fullest = min(stages, key=lambda s: float(s.kv_cache.value.sum()))
    pool, blocks, ahead = stage.pages, stage.blocks, in_flight(numbers, setup)
    states = states_per_request(setup)
    per_request = np.maximum(pool.blocks_per_request(numbers.max_model_len, ahead, stage.block, states), 1.0)
    tokens = _each(lambda b: _tokens(version.tokens_logged, getattr(blocks, b), stage, numbers, per_request))
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = np.where(tokens.value > 0, fullest.kv_cache.value / tokens.value, pool.bytes_per_token)
    # The block pool keeps one block for itself. Versions from 0.29 refuse a request that needs it, older ones start
    # and then hang on it (vLLM pull request 47272).
    longest = longest_request(
        blocks.value - version.keeps_a_block,
        lambda tokens: pool.blocks_per_request(tokens, ahead, stage.block, states),
        setup.model.max_model_len,
    )
    return Ledger(
        capacity=capacity,
        requested=requested,
        weights=fullest.weights,
        activation_peak=fullest.activation_peak,
        non_torch=non_torch,
        cuda_graphs=graph_memory,
        kv_cache=fullest.kv_cache,
        kv_bytes_per_token=per_token,
        kv_cache_tokens=tokens,
        max_concurrency=_each(lambda b: getattr(blocks, b) / per_request),
        longest=longest,
        needed=per_request * stage.per_block,
        graphs_in_budget=np.full(len(ones), version.graphs_in_budget),
        idle=np.full(len(ones), idle),
        load_peak=np.full(len(ones), loading.load_peak(setup).max()),
    )


def _graphs(setup: Setup, numbers: Numbers) -> Floats:
    """CUDA graphs of the target, for every size of batch that drafts make of its requests, and of the draft."""
    scored = drafts.captured_requests(setup, numbers.max_num_seqs)
    graphs = cuda_graphs(scored, numbers.enforce_eager, setup) * adapters.graph_sets(setup)
    if setup.deployment.speculative_config is not None:
        graphs = graphs + drafts.draft_graphs(setup, numbers)
    return graphs


def _blocks(cache: Floats, per_block: Floats, numbers: Numbers) -> Floats:
    """Whole blocks a cache holds; where nothing is cached (encoders), one for every request of a batch."""
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.maximum(np.floor(cache / per_block), 0)
    return np.where(per_block > 0, whole, np.where(cache > 0, numbers.max_num_seqs, 0.0))


def _tokens(how: str, blocks: Floats, stage: _Stage, numbers: Numbers, per_request: Floats) -> Floats:
    """Tokens as the version's log line counts them."""
    if how == "concurrency" or not stage.pages.groups:
        return np.floor(blocks / per_request * numbers.max_model_len)
    return np.floor(blocks / len(stage.pages.groups)) * stage.block
