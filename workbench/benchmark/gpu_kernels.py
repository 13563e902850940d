"""Kernels, one row each: matrix products, attention, what lies between them, copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from workbench.benchmark.gpu_bench import Bench, Call
from workbench.benchmark.gpu_work import (
    BLOCK,
    WEIGHT_BYTES,
    Case,
    add_rmsnorm,
    attention_decode,
    attention_prefill,
    copy,
    gemm,
    rope,
    silu_mul,
)

KERNEL_COLUMNS = (
    "gpu", "operator", "format", "library", "version", "tokens", "inputs", "outputs", "requests", "context", "heads",
    "kv_heads", "head_dim", "bytes", "flops", "seconds", "date", "source",
)  # fmt: skip


def scaled_product(bench: Bench, form: str, x: Any, weight: Any) -> Call:
    """An FP8 matrix product of ``x`` (tokens × inputs) and ``weight`` (outputs × inputs), both 8 bit.

    Scales are ones: their values do not change the time.
    """
    torch, (tokens, inputs), outputs = bench.torch, x.shape, weight.shape[0]

    def ones(*shape: int) -> Any:
        return torch.ones(shape, device=bench.device)

    if form == "fp8_block":
        functional = torch.nn.functional
        kind = functional.ScalingType
        left = ones(math.ceil(inputs / BLOCK), tokens).t()
        right = ones(math.ceil(outputs / BLOCK), math.ceil(inputs / BLOCK)).t()
        return lambda: functional.scaled_mm(
            x, weight.t(), left, kind.BlockWise1x128, right, kind.BlockWise128x128, output_dtype=bench.half
        )
    left, right = (ones(tokens, 1), ones(1, outputs)) if form == "fp8_row" else (ones(), ones())
    return lambda: torch._scaled_mm(x, weight.t(), left, right, out_dtype=bench.half, use_fast_accum=True)


def products(bench: Bench, form: str, x: Any, weights: Sequence[Any]) -> list[Call]:
    """Matrix products of ``x`` with each of the weights."""

    def plain(weight: Any) -> Call:
        return lambda: x @ weight.t()

    if form == "bf16":
        return [plain(weight) for weight in weights]
    eighth = x.to(bench.eighth)
    return [scaled_product(bench, form, eighth, weight) for weight in weights]


def gemm_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Matrix products over the shapes and counts of tokens of the sweep, in every format torch offers."""
    for form in ("bf16", "fp8", "fp8_row", "fp8_block"):
        for inputs, outputs in bench.sweep.gemms:
            count = bench.copies(int(inputs * outputs * WEIGHT_BYTES[form]))
            weights = [bench.random(outputs, inputs) for _ in range(count)]
            if form != "bf16":
                weights = [weight.to(bench.eighth) for weight in weights]
            for tokens in bench.sweep.tokens:
                if bench.late():
                    continue
                case = gemm(form, tokens, inputs, outputs)
                calls = products(bench, form, bench.random(tokens, inputs), weights)
                taken = bench.tried(f"{form} {tokens} x {inputs} x {outputs}", calls, 16 if case.flops < 1e11 else 2)
                if taken < math.inf:
                    yield bench.row(case, "torch matmul" if form == "bf16" else "torch scaled_mm", taken)


def attention_calls(bench: Bench, copies: Sequence[tuple[Any, Any, Any]], causal: bool) -> dict[str, list[Call]]:
    """Ways torch has to attend, by name.

    Parameters
    ----------
    copies : sequence of (queries, keys, values)
        Each (requests, heads, tokens, head_dim).

    A single new token needs no mask, so the queries of a group may stand as tokens of one head: ``folded``.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    attend = bench.torch.nn.functional.scaled_dot_product_attention
    backends = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}

    def call(backend: Any, q: Any, k: Any, v: Any, grouped: bool) -> Call:
        def run() -> Any:
            with sdpa_kernel(backend):
                return attend(q, k, v, is_causal=causal, enable_gqa=grouped)

        return run

    ways = {}
    for name, backend in backends.items():
        ways[f"torch sdpa {name}"] = [call(backend, q, k, v, True) for q, k, v in copies]
        if not causal:
            ways[f"torch sdpa {name} folded"] = [
                call(backend, q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]), k, v, False) for q, k, v in copies
            ]
    return ways


def best_attention(bench: Bench, copies: Sequence[tuple[Any, Any, Any]], causal: bool) -> tuple[str, float]:
    """Fastest way to attend, and its time [s]; infinite if there is none."""
    requests, _, tokens, _ = copies[0][0].shape
    many = 2 if causal and tokens > 2048 else 8
    ways = attention_calls(bench, copies, causal)
    about = f"{requests} requests, {copies[0][1].shape[2]} tokens"
    times = {name: bench.tried(f"{name}, {about}", calls, many) for name, calls in ways.items()}
    name = min(times, key=lambda name: times[name])
    return name, times[name]


def attention_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Attention while decoding and over whole prompts, each by the fastest way."""
    d = bench.sweep.decoder
    jobs = [(r, c, False) for r in bench.sweep.requests for c in bench.sweep.contexts]
    jobs += [(1, c, True) for c in bench.sweep.prompts]
    for requests, context, causal in jobs:
        make = attention_prefill if causal else attention_decode
        case = make(requests, context, d.heads, d.kv_heads, d.head_dim)
        if bench.late() or not bench.fits(f"{requests} x {context}", 1.2 * case.moved):
            continue

        def tensors(requests: int = requests, context: int = context, causal: bool = causal) -> tuple[Any, Any, Any]:
            queries = bench.random(requests, context if causal else 1, d.heads, d.head_dim).transpose(1, 2)
            cached = [bench.random(requests, context, d.kv_heads, d.head_dim).transpose(1, 2) for _ in range(2)]
            return queries, cached[0], cached[1]

        copies = [tensors() for _ in range(bench.copies(case.moved))]
        name, taken = best_attention(bench, copies, causal)
        if taken < math.inf:
            yield bench.row(case, name, taken)


class Between:
    """What lies between the matrix products, as plain torch; compiled, each is one kernel."""

    def __init__(self, bench: Bench) -> None:
        self.torch = bench.torch

    def norm(self, x: Any, residual: Any, weight: Any) -> tuple[Any, Any]:
        """RMSNorm of the sum, and the sum."""
        summed = x + residual
        wide = summed.float()
        return (wide * (wide.square().mean(-1, keepdim=True) + 1e-5).rsqrt()).to(x.dtype) * weight, summed

    def silu(self, gate_up: Any) -> Any:
        """SiLU of the first half times the second."""
        gate, up = gate_up.chunk(2, -1)
        wide = gate.float()
        return (wide * wide.sigmoid()).to(up.dtype) * up

    def turn(self, x: Any, cos: Any, sin: Any) -> Any:
        """Heads turned by their position: x (tokens, heads, head_dim), cos and sin (tokens, 1, head_dim / 2)."""
        first, second = x.chunk(2, -1)
        return self.torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def elementwise_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """The same 16-bit tensors again and again: in a real step too they come out of the L2 cache where they fit."""
    d, between = bench.sweep.decoder, Between(bench)
    norm, silu, turn = bench.compile(between.norm), bench.compile(between.silu), bench.compile(between.turn)
    for tokens in bench.sweep.tokens:
        x, weight = bench.random(tokens, d.hidden), bench.random(d.hidden)
        gate_up, cos = bench.random(tokens, 2 * d.intermediate), bench.random(tokens, 1, d.head_dim // 2)
        heads = bench.random(tokens, d.heads + d.kv_heads, d.head_dim)
        jobs: list[tuple[str, Case, Call]] = [
            ("add_rmsnorm", add_rmsnorm(tokens, d.hidden), partial(norm, x, x, weight)),
            ("silu_mul", silu_mul(tokens, d.intermediate), partial(silu, gate_up)),
            ("rope", rope(tokens, d.heads, d.kv_heads, d.head_dim), partial(turn, heads, cos, cos)),
        ]
        for name, case, call in jobs:
            if not bench.late() and (taken := bench.tried(f"{name} {tokens}", [call])) < math.inf:
                yield bench.row(case, f"{bench.fused} {name}", taken)


def copy_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Copies on the card, the bandwidth that can be had."""
    for size in bench.sweep.copies:
        count = bench.copies(2 * size)
        pairs = [(bench.random(size // 2), bench.random(size // 2)) for _ in range(count)]
        taken = bench.tried(f"copy {size}", [partial(a.copy_, b) for a, b in pairs], 2)
        if taken < math.inf:
            yield bench.row(copy(size), "torch copy_", taken)


def kernel_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """All kernels."""
    for rows in (copy_rows, attention_rows, elementwise_rows, gemm_rows):
        yield from rows(bench)
        if bench.cuda:
            bench.torch.cuda.empty_cache()
