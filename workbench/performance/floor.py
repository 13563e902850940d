"""What a step must move and compute on one GPU at least: no estimate may be faster than that."""

from __future__ import annotations

import numpy as np

from workbench.choices import Setup
from workbench.performance.kernels import dense_rate
from workbench.performance.roofline import Floats, distinct_experts
from workbench.performance.step import Batch
from workbench.performance.work import work


def step_totals(setup: Setup, batch: Batch, distinct: float = 1.0) -> tuple[Floats, Floats]:
    """Bytes moved [B] and FLOPs of one step on one GPU; shape (rows,).

    Weights are read once, KV entries once a request; experts as often as the tokens touch them, each token picking
    independently of ``distinct`` of the others.
    """
    w = work(setup)
    tokens = batch.decoding + batch.prompts * batch.chunk
    sampled = batch.decoding + batch.prompts
    moved = np.asarray(w.dense_bytes + w.head.weight_bytes + 0.0 * tokens)
    flops = np.asarray(w.dense_flops * tokens + w.head.flops_per_token * sampled)
    everyone = tokens * setup.division.data
    for part in w.experts:
        share = min(part.here / part.experts, 1.0) if setup.division.expert_parallel else 1.0
        touched = distinct_experts(part.experts, part.experts_per_token, everyone * distinct) * share
        moved = moved + part.layers * touched * part.expert_bytes
        flops = flops + part.layers * everyone * part.experts_per_token * share * part.flops_per_pair
    for each in w.attention:
        most = np.inf if each.window is None else each.window
        for requests, queries, context, pair in (
            (batch.decoding, np.ones_like(tokens), batch.context, each.flops_per_pair),
            (batch.prompts, batch.chunk, batch.cached, each.prefill_flops_per_pair),
        ):
            seen = np.minimum(context, most)
            moved = moved + each.layers * requests * ((seen + queries) * each.kv_bytes_per_token + 2 * each.state_bytes)
            pairs = queries * np.minimum(seen + queries / 2, most)
            flops = flops + each.layers * requests * (pairs * pair + queries * each.flops_per_token)
    return moved, flops


def compute_rate(setup: Setup) -> float:
    """Dense FLOP/s of the format that most of a model's multiplications run in."""
    w = work(setup)
    formats = [(gemm.layers * gemm.flops_per_token, gemm.format) for gemm in w.gemms]
    formats += [(part.layers * part.experts_per_token * part.flops_per_pair, part.format) for part in w.experts]
    return dense_rate(setup.card, max(formats)[1])


def floor(setup: Setup, batch: Batch) -> Floats:
    """The time below which no step can be [s]: bytes over bandwidth, or FLOPs over the card's fastest dense rate.

    Experts are counted as if all tokens picked the same ones.
    """
    moved, flops = step_totals(setup, batch, distinct=1e-9)
    return np.asarray(np.maximum(moved / setup.card.bandwidth, flops / max(setup.card.flops.values())))
