"""Time of one engine step: a batch of decoding requests, or a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from workbench.choices import Setup
from workbench.hardware import interconnect
from workbench.performance.constants import Overheads
from workbench.performance.kernels import collective, dense_rate, kernel
from workbench.performance.roofline import all_reduce_bytes, distinct_experts, grouped_time, operator_time
from workbench.performance.work import AttentionWork, Experts, Gemm, work

Floats = npt.NDArray[np.float64]

#: Tokens of the largest step that vLLM captures as a CUDA graph unless told otherwise (``config/compilation.py``).
MOST_CAPTURED = 512
#: Bytes that norms, rotary embedding, activation and casts move for a token, layer and unit of width: about ten passes
#: over it in 16 bit, as the fused kernels of vLLM make them.
_ELEMENTWISE_PASSES = 10 * 2.0


@dataclass(frozen=True, slots=True)
class _Gemms:
    """Multiplications of a step as columns, shape (operators, 1): so many arrays, one evaluation."""

    layers: Floats
    weight_bytes: Floats
    bytes_per_token: Floats
    flops_per_token: Floats
    bandwidth: Floats
    rate: Floats
    fixed: Floats

    def time(self, tokens: Floats) -> Floats:
        """All of them for ``tokens`` tokens [s]; shape of ``tokens``."""
        moved = self.weight_bytes + self.bytes_per_token * tokens
        spent = operator_time(moved, self.flops_per_token * tokens, self.bandwidth, self.rate)
        return np.asarray((self.layers * (spent + self.fixed)).sum(axis=0))


def _achieved(setup: Setup, operator: str, format: str, slower: float, fixed: float) -> tuple[float, float, float]:
    """Bandwidth [B/s], rate [FLOP/s] and fixed time [s]: the kernel's, so much slower, never beyond the card."""
    found, card = kernel(setup.card, operator, format), setup.card
    bandwidth = min(found.bandwidth_fraction / slower, 1.0) * card.bandwidth
    rate = min(found.compute_fraction / slower, 1.0) * dense_rate(card, format)
    return bandwidth, rate, found.fixed * fixed


@lru_cache(maxsize=2048)
def _gemms(setup: Setup, k: Overheads, head: bool) -> _Gemms:
    w = work(setup)
    gemms: tuple[Gemm, ...] = (w.head,) if head else w.gemms
    reached = [_achieved(setup, "gemm", gemm.format, k.gemm, k.fixed) for gemm in gemms]
    columns = (
        [gemm.layers for gemm in gemms],
        [gemm.weight_bytes for gemm in gemms],
        [gemm.bytes_per_token for gemm in gemms],
        [gemm.flops_per_token for gemm in gemms],
        *(list(column) for column in zip(*reached, strict=True)),
    )
    return _Gemms(*(np.array(column, dtype=float).reshape(-1, 1) for column in columns))


def gemm_time(setup: Setup, k: Overheads, tokens: Floats, sampled: Floats) -> Floats:
    """Projections, dense MLPs and the output projection in one step [s].

    Parameters
    ----------
    setup : Setup
    k : Overheads
    tokens : ndarray
        Tokens in the step on one tensor-parallel group.
    sampled : ndarray
        How many of them are sampled (one a request).
    """
    return _gemms(setup, k, False).time(tokens) + _gemms(setup, k, True).time(sampled)


def expert_time(setup: Setup, k: Overheads, tokens: Floats) -> Floats:
    """Routed experts of all layers in one step [s]; ``tokens`` are those of one tensor-parallel group."""
    total = np.zeros_like(tokens)
    everyone = tokens * setup.division.data
    for part in work(setup).experts:
        total = total + part.layers * _experts(setup, k, part, everyone)
    return total


def _experts(setup: Setup, k: Overheads, part: Experts, tokens: Floats) -> Floats:
    whole = setup.division.expert_parallel
    share = min(part.here / part.experts, 1.0) if whole else 1.0
    touched = distinct_experts(part.experts, part.experts_per_token, tokens * k.distinct) * share
    pairs = tokens * part.experts_per_token * share
    if whole and share < 1:  # the GPU that most of the tokens go to is the one that all wait for
        pairs = pairs * k.imbalance
        touched = np.minimum(touched * k.imbalance, part.here)
    bandwidth, rate, fixed = _achieved(setup, "moe", part.format, k.moe, k.moe_fixed)
    moved = touched * part.expert_bytes + pairs * part.bytes_per_pair
    return grouped_time(moved, pairs * part.flops_per_pair, bandwidth, rate) + fixed


def attention_time(
    setup: Setup, k: Overheads, queries: Floats, requests: Floats, context: Floats, *, prompt: bool
) -> Floats:
    """Attention of ``requests`` requests with ``queries`` new tokens each over ``context`` cached ones [s].

    A ``prompt`` runs the kernels of prefill, one token a request those of decoding. No requests take no time.
    """
    total = np.zeros_like(context)
    for part in work(setup).attention:
        total = total + part.layers * _attention(setup, k, part, queries, requests, context, prompt)
    return np.where(requests > 0, total, 0.0)


def _attention(
    setup: Setup, k: Overheads, part: AttentionWork, queries: Floats, requests: Floats, context: Floats, prompt: bool
) -> Floats:
    operator = f"{part.kind}_{'prefill' if prompt else 'decode'}"
    smallest = {"latent": k.latent, "state": k.state}.get(part.kind, k.fixed)
    bandwidth, rate, fixed = _achieved(setup, operator, part.format, k.attention, smallest)
    most = np.inf if part.window is None else part.window
    seen = np.minimum(context, most)
    moved = requests * (seen * part.kv_bytes_per_token + 2 * part.state_bytes)
    moved = moved + requests * queries * (part.kv_bytes_per_token + part.bytes_per_query)
    pairs = queries * np.minimum(seen + queries / 2, most)
    each = part.prefill_flops_per_pair if prompt else part.flops_per_pair
    flops = requests * (pairs * each + queries * part.flops_per_token)
    return operator_time(moved, flops, bandwidth, rate) + fixed


def communication_time(setup: Setup, k: Overheads, tokens: Floats) -> Floats:
    """What a step exchanges between GPUs [s].

    Two all-reduces a layer under tensor parallelism; one hand-over a stage under pipeline parallelism; where attention
    is data parallel, every MoE layer gathers the tokens of all groups and scatters the results (vLLM's default
    all-to-all, ``allgather_reducescatter``).
    """
    w, division = work(setup), setup.division
    size = tokens * w.hidden * 2.0
    total = np.zeros_like(tokens)
    if division.tensor > 1:
        link = interconnect(setup.card, division.tensor)
        reached = collective(setup.card, link, division.tensor)
        bandwidth = min(reached.bandwidth_fraction / k.collective, 1.0) * link.bandwidth
        crossing = all_reduce_bytes(size, division.tensor) / bandwidth
        total = total + w.reduced * crossing + (w.reduced + w.norms_reduced) * reached.fixed * k.collective
    if division.pipeline > 1:
        link = interconnect(setup.card, division.tensor * division.pipeline)
        reached = collective(setup.card, link, 2)
        total = total + (division.pipeline - 1) * (size / (link.bandwidth * reached.bandwidth_fraction) + reached.fixed)
    if division.data > 1 and w.experts:
        group = division.tensor * division.data
        link = interconnect(setup.card, group)
        reached = collective(setup.card, link, group)
        layers = sum(part.layers for part in w.experts)
        crossing = 2 * (division.data - 1) * size / (link.bandwidth * min(reached.bandwidth_fraction, 1.0))
        total = total + layers * (crossing + 2 * reached.fixed)
    return total


def elementwise_time(setup: Setup, k: Overheads, tokens: Floats) -> Floats:
    """Norms, rotary embedding, activations and casts of all layers [s]."""
    w = work(setup)
    return np.asarray(w.layers * (k.layer + tokens * w.hidden * _ELEMENTWISE_PASSES / setup.card.bandwidth))


@dataclass(frozen=True, slots=True)
class Batch:
    """What is in a step; arrays of shape (rows,).

    Attributes
    ----------
    decoding : ndarray
        Requests that get one token each.
    context : ndarray
        Cached tokens of each.
    prompts, chunk, cached : ndarray
        Prompts that are read, tokens read of each, tokens of each that are cached already.
    queries : float
        Tokens of each decoding request that are computed: one, and those drafted.
    """

    decoding: Floats
    context: Floats
    prompts: Floats
    chunk: Floats
    cached: Floats
    queries: float = 1.0

    @classmethod
    def decode(cls, requests: Floats, context: Floats, queries: float = 1.0) -> Batch:
        """Nothing but decoding."""
        none = np.zeros_like(requests)
        return cls(requests, context, none, none, none, queries)


def step_time(setup: Setup, k: Overheads, batch: Batch, eager: npt.NDArray[np.bool_]) -> Floats:
    """One pass of a batch through the whole model [s]; shape (rows,).

    The sum over its operators, and what the engine does around it. A step outside CUDA graphs (``eager``, or of more
    tokens than were captured) takes the time to launch its kernels one by one from the host, or the kernels' own,
    whichever is longer.

    Parameters
    ----------
    setup : Setup
    k : Overheads
    batch : Batch
    eager : ndarray of bool
    """
    w = work(setup)
    requests = batch.decoding + batch.prompts
    tokens = batch.decoding * batch.queries + batch.prompts * batch.chunk
    one = np.full_like(batch.decoding, batch.queries)
    kernels = (
        gemm_time(setup, k, tokens, batch.decoding * batch.queries + batch.prompts)
        + expert_time(setup, k, tokens)
        + attention_time(setup, k, one, batch.decoding, batch.context, prompt=False)
        + communication_time(setup, k, tokens)
        + elementwise_time(setup, k, tokens)
    )
    if batch.prompts.any():
        kernels = kernels + attention_time(setup, k, batch.chunk, batch.prompts, batch.cached, prompt=True)
    launches = w.layers * k.eager_layer + sum(part.layers for part in w.experts) * k.eager_moe
    captured = setup.deployment.max_cudagraph_capture_size or MOST_CAPTURED
    launched = np.where(eager | (tokens > captured), launches, 0.0)
    return np.asarray(np.maximum(kernels, launched) + k.step + k.request * requests)
