"""A whole decoder of random weights, written plainly in torch: the time of its steps, the memory it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from workbench.benchmark.gpu_bench import Bench, Call
from workbench.benchmark.gpu_kernels import Between, attention_calls, best_attention
from workbench.benchmark.gpu_work import Decoder, step_work

STEP_COLUMNS = (
    "gpu", "model", "format", "kv_format", "stage", "requests", "isl", "step_ms", "achieved_bandwidth_fraction",
    "achieved_flops_fraction", "library", "version", "date", "source",
)  # fmt: skip
MEMORY_COLUMNS = (
    "gpu", "model", "format", "quantity", "requests", "context", "bytes_measured", "bytes_planned", "library",
    "version", "date", "source",
)  # fmt: skip


class Network:
    """A decoder of random weights with a static cache, its matrices in 16 bit or in FP8 with a scale a row."""

    def __init__(self, bench: Bench, decoder: Decoder, form: str) -> None:
        self.bench, self.decoder, self.form = bench, decoder, form
        self.embedding = bench.random(decoder.vocabulary, decoder.hidden)
        self.head = bench.random(decoder.vocabulary, decoder.hidden) * 0.02
        self.norms = [bench.random(decoder.hidden) for _ in range(2 * decoder.layers + 1)]
        self.weights = [
            {name: self._weight(*shape) for name, shape in decoder.matrices().items()} for _ in range(decoder.layers)
        ]
        self.cache: list[Any] = []

        def quantised(x: Any) -> Any:
            scale = x.float().abs().amax(-1, keepdim=True).clamp(min=1e-4) / 448
            return (x.float() / scale).to(bench.eighth), scale

        between = Between(bench)
        operand = quantised if form == "fp8_row" else (lambda x: x)

        def norm(x: Any, residual: Any, weight: Any) -> Any:
            h, summed = between.norm(x, residual, weight)
            return operand(h), summed

        def store(qkv: Any, cos: Any, sin: Any, keys: Any, values: Any, at: Any) -> Any:
            q, k, v = qkv.split([decoder.heads, decoder.kv_heads, decoder.kv_heads], 1)
            requests, tokens = keys.shape[0], at.shape[0]
            keys[:, at] = between.turn(k, cos, sin).reshape(requests, tokens, decoder.kv_heads, -1)
            values[:, at] = v.reshape(requests, tokens, decoder.kv_heads, -1)
            return between.turn(q, cos, sin)

        self.norm, self.store = bench.compile(norm), bench.compile(store)
        self.silu, self.operand = bench.compile(lambda x: operand(between.silu(x))), bench.compile(operand)
        self.plain_norm = bench.compile(between.norm)

    def _weight(self, inputs: int, outputs: int) -> Any:
        bench = self.bench
        weight = bench.random(outputs, inputs) * inputs**-0.5
        if self.form == "bf16":
            return weight
        return weight.to(bench.eighth), bench.torch.ones(1, outputs, device=bench.device)

    def product(self, operand: Any, weight: Any) -> Any:
        if self.form == "bf16":
            return operand @ weight.t()
        (x, scale), (w, weight_scale) = operand, weight
        return self.bench.torch._scaled_mm(
            x, w.t(), scale, weight_scale, out_dtype=self.bench.half, use_fast_accum=True
        )

    def reserve(self, requests: int, context: int) -> None:
        """Make the cache, random."""
        d = self.decoder
        self.cache = []
        self.cache = [
            (self.bench.random(requests, context, d.kv_heads, d.head_dim),
             self.bench.random(requests, context, d.kv_heads, d.head_dim))
            for _ in range(d.layers)
        ]  # fmt: skip

    def step(self, ids: Any, at: Any, cos: Any, sin: Any, attend: Callable[[Any, Any, Any], Any]) -> Any:
        """One pass: ``ids`` (requests × tokens), written to the cache at positions ``at``; the next token of each."""
        d, requests = self.decoder, self.cache[0][0].shape[0]
        x = self.embedding[ids]
        residual = self.bench.torch.zeros_like(x)
        for n, (layer, (keys, values)) in enumerate(zip(self.weights, self.cache, strict=True)):
            h, residual = self.norm(x, residual, self.norms[2 * n])
            qkv = self.product(h, layer["qkv"]).view(ids.shape[0], -1, d.head_dim)
            q = self.store(qkv, cos, sin, keys, values, at).view(requests, at.shape[0], d.heads, d.head_dim)
            a = attend(q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2))
            a = a.transpose(1, 2).reshape(ids.shape[0], d.heads * d.head_dim)
            x = self.product(self.operand(a), layer["o"])
            h, residual = self.norm(x, residual, self.norms[2 * n + 1])
            x = self.product(self.silu(self.product(h, layer["gate_up"])), layer["down"])
        if at.shape[0] > 1:  # only the last token of a prompt is sampled
            last = slice(at.shape[0] - 1, None, at.shape[0])
            x, residual = x[last], residual[last]
        h, _ = self.plain_norm(x, residual, self.norms[-1])
        return (h @ self.head.t()).argmax(-1)

    def call(self, requests: int, tokens: int, context: int, way: str, ids: Any = None) -> Call:
        """A pass of ``tokens`` new tokens a request, any or ``ids``, that end at ``context``, attending by ``way``."""
        bench, d, torch = self.bench, self.decoder, self.bench.torch
        if ids is None:
            ids = torch.randint(d.vocabulary, (requests * tokens,), device=bench.device)
        at = torch.arange(context - tokens, context, device=bench.device)
        rates = 5e5 ** -(torch.arange(0, d.head_dim, 2, device=bench.device) / d.head_dim)
        angles = (at[:, None] * rates).repeat(requests, 1)[:, None]
        cos, sin = angles.cos().to(bench.half), angles.sin().to(bench.half)

        def attend(q: Any, k: Any, v: Any) -> Any:
            a = attention_calls(bench, [(q, k, v)], tokens > 1)[way][0]()
            return a.reshape(q.shape)

        def run() -> Any:
            with torch.no_grad():
                return self.step(ids, at, cos, sin, attend)

        return run

    def way(self, tokens: int) -> tuple[str, float]:
        """Fastest way to attend over the cache as it is."""
        copies = [(k, v) for k, v in self.cache[: self.bench.copies(2 * self.cache[0][0].numel() * 2)]]
        requests = copies[0][0].shape[0]
        q = self.bench.random(requests, tokens, self.decoder.heads, self.decoder.head_dim).transpose(1, 2)
        turned_copies = [(q, k.transpose(1, 2), v.transpose(1, 2)) for k, v in copies]
        return best_attention(self.bench, turned_copies, tokens > 1)


def step_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Steps of the whole decoder: decoding over requests and contexts, and whole prompts."""
    d = bench.sweep.decoder
    for form in ("bf16", "fp8_row"):
        network = Network(bench, d, form)
        jobs = [("decode", r, c) for r in bench.sweep.step_requests for c in bench.sweep.step_contexts]
        jobs += [("prefill", 1, c) for c in bench.sweep.step_prompts]
        for stage, requests, isl in jobs:
            network.cache = []
            size = 1.1 * requests * isl * d.kv_bytes_per_token + 6e9
            if bench.late() or not bench.fits(f"{form} {stage} {requests} x {isl}", size):
                continue
            network.reserve(requests, isl)
            tokens = isl if stage == "prefill" else 1
            way, taken = network.way(tokens)
            if taken == math.inf:
                continue
            taken = bench.tried(f"{form} {stage} {requests} x {isl}", [network.call(requests, tokens, isl, way)], 1)
            if taken == math.inf:
                continue
            moved, flops = step_work(d, form, stage, requests, isl)
            bandwidth = bench.card.bandwidth if bench.card else math.nan
            rate = bench.card.flops.get(form.split("_")[0], math.nan) if bench.card else math.nan
            yield {
                **bench.facts, "model": d.name, "format": form, "kv_format": "bf16", "stage": stage,
                "requests": requests, "isl": isl, "step_ms": f"{1e3 * taken:.4g}", "library": f"torch, {way}",
                "achieved_bandwidth_fraction": f"{moved / taken / bandwidth:.3f}",
                "achieved_flops_fraction": f"{flops / taken / rate:.3f}",
            }  # fmt: skip
        del network


def memory_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """What the decoder takes: weights, cache, activations of a prompt; what CUDA counts, and keeps for itself."""
    cuda, d = bench.torch.cuda, bench.sweep.decoder

    def row(form: str, quantity: str, size: int, requests: int | str = "", context: int | str = "") -> dict[str, Any]:
        return {
            **bench.facts, "model": d.name, "format": form, "quantity": quantity, "requests": requests,
            "context": context, "bytes_measured": size, "bytes_planned": "", "library": "torch",
        }  # fmt: skip

    bench.random(16, 16) @ bench.random(16, 16)  # the library of matrix products takes its workspace
    cuda.synchronize()
    cuda.empty_cache()
    free, total = cuda.mem_get_info()
    yield row("bf16", "cuda_total", total)
    yield row("bf16", "non_torch", total - free - cuda.memory_reserved())
    for form in ("bf16", "fp8_row"):
        cuda.empty_cache()
        before = cuda.memory_allocated()
        network = Network(bench, d, form)
        yield row(form, "weights", cuda.memory_allocated() - before)
        for requests, context in ((1, 2048), (16, 2048), (16, 8192), (1, 8192)):
            network.cache = []
            before = cuda.memory_allocated()
            network.reserve(requests, context)
            yield row(form, "kv_cache", cuda.memory_allocated() - before, requests, context)
        for tokens in (2048, 8192):
            network.reserve(1, tokens)
            run = network.call(1, tokens, tokens, network.way(tokens)[0])
            run()
            cuda.synchronize()
            cuda.reset_peak_memory_stats()
            before = cuda.memory_allocated()
            run()
            cuda.synchronize()
            yield row(form, "activation_peak", cuda.max_memory_allocated() - before, 1, tokens)
        del network, run
