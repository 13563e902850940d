"""What an operator and a step of a decoder must do: bytes to move, floating-point operations. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Bytes of a weight, and of an activation that enters a matrix product, by format: FP8 with one scale a tensor, a row
#: or a block of 128; 4-bit integers in groups of 128 with 16-bit scales, multiplied in 16 bit.
WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8_row": 1.0, "fp8_block": 1.0, "w4a16": 0.5}
ACTIVATION_BYTES = {"bf16": 2, "fp8": 1, "fp8_row": 1, "fp8_block": 1, "w4a16": 2}
BLOCK = 128


@dataclass(frozen=True, slots=True)
class Decoder:
    """A Llama: grouped-query attention and a gated MLP in every layer, an output projection of its own.

    Examples
    --------
    >>> LLAMA_8B.parameters, LLAMA_8B.kv_bytes_per_token
    (8030261248, 131072)
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int

    def matrices(self, tensor: int = 1) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a layer's fused matrices on one of ``tensor`` GPUs.

        Examples
        --------
        >>> LLAMA_8B.matrices()["qkv"], LLAMA_8B.matrices(4)["down"]
        ((4096, 6144), (3584, 4096))
        """
        query, both = self.heads * self.head_dim // tensor, 2 * self.kv_heads * self.head_dim // tensor
        inner = self.intermediate // tensor
        return {
            "qkv": (self.hidden, query + both),
            "o": (query, self.hidden),
            "gate_up": (self.hidden, 2 * inner),
            "down": (inner, self.hidden),
        }

    @property
    def matrix_parameters(self) -> int:
        """Parameters of the matrices of all layers."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.matrices().values())

    @property
    def head_parameters(self) -> int:
        """Parameters of the output projection; the embedding has as many."""
        return self.vocabulary * self.hidden

    @property
    def norm_parameters(self) -> int:
        """Two norms a layer and the last one."""
        return (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.matrix_parameters + 2 * self.head_parameters + self.norm_parameters

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers, 16 bit [B]."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim

    def weight_bytes(self, form: str) -> int:
        """All weights as this worker holds them [B]; FP8 leaves embedding, norms and output projection in 16 bit.

        Examples
        --------
        >>> LLAMA_8B.weight_bytes("bf16"), LLAMA_8B.weight_bytes("fp8_row")
        (16060522496, 9086705664)
        """
        scales = self.layers * sum(outputs for _, outputs in self.matrices().values()) if form == "fp8_row" else 0
        sixteen = 2 * self.head_parameters + self.norm_parameters
        return int(self.matrix_parameters * WEIGHT_BYTES[form]) + 4 * scales + 2 * sixteen


LLAMA_8B = Decoder("meta-llama/Llama-3.1-8B-Instruct", 32, 4096, 32, 8, 128, 14336, 128256)
LLAMA_70B = Decoder("meta-llama/Llama-3.1-70B-Instruct", 80, 8192, 64, 8, 128, 28672, 128256)
TINY = Decoder("tiny", 2, 256, 4, 2, 64, 512, 1024)


@dataclass(frozen=True, slots=True)
class Case:
    """One operator and what it must do.

    Attributes
    ----------
    moved : int
        Weights, cached keys and values, activations in and out: each byte once [B].
    flops : int
        Floating-point operations, two a multiply-add; 0 for operators that only move.
    """

    operator: str
    format: str
    moved: int
    flops: int = 0
    tokens: int | None = None
    inputs: int | None = None
    outputs: int | None = None
    requests: int | None = None
    context: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None


def gemm(form: str, tokens: int, inputs: int, outputs: int) -> Case:
    """A matrix product of ``tokens`` activations; 16-bit results.

    Examples
    --------
    >>> gemm("bf16", 1, 4096, 4096).moved
    33570816
    >>> gemm("fp8_row", 1, 4096, 4096).moved - gemm("fp8", 1, 4096, 4096).moved   # a scale a row, less the two
    16380
    """
    blocks = math.ceil(inputs / BLOCK)
    scales = {
        "bf16": 0,
        "fp8": 4 * 2,
        "fp8_row": 4 * (tokens + outputs),
        "fp8_block": 4 * blocks * (tokens + math.ceil(outputs / BLOCK)),
        "w4a16": 2 * blocks * outputs,
    }[form]
    weights = int(inputs * outputs * WEIGHT_BYTES[form])
    moved = weights + scales + tokens * (inputs * ACTIVATION_BYTES[form] + 2 * outputs)
    return Case("gemm", form, moved, 2 * tokens * inputs * outputs, tokens, inputs, outputs)


def attention_decode(requests: int, context: int, heads: int, kv_heads: int, head_dim: int) -> Case:
    """One new token of each request over ``context`` cached ones, itself among them; 16 bit.

    Examples
    --------
    >>> attention_decode(1, 1000, 32, 8, 128).moved, attention_decode(1, 1000, 32, 8, 128).flops
    (4112384, 16384000)
    """
    cached = 2 * requests * context * kv_heads * head_dim
    passing = 2 * requests * heads * head_dim
    flops = 4 * requests * context * heads * head_dim
    return Case(
        "attention_decode", "bf16", 2 * (cached + passing), flops, requests, requests=requests, context=context,
        heads=heads, kv_heads=kv_heads, head_dim=head_dim,
    )  # fmt: skip


def attention_prefill(requests: int, context: int, heads: int, kv_heads: int, head_dim: int) -> Case:
    """Causal attention of whole prompts of ``context`` tokens; 16 bit.

    Examples
    --------
    >>> attention_prefill(1, 2, 1, 1, 128).flops      # three pairs of tokens
    1536
    """
    tokens = requests * context
    pairs = requests * context * (context + 1) // 2
    moved = 2 * tokens * head_dim * (2 * heads + 2 * kv_heads)
    return Case(
        "attention_prefill", "bf16", moved, 4 * pairs * heads * head_dim, tokens, requests=requests, context=context,
        heads=heads, kv_heads=kv_heads, head_dim=head_dim,
    )  # fmt: skip


def add_rmsnorm(tokens: int, hidden: int) -> Case:
    """Residual addition and RMSNorm: two tensors in, two out; 16 bit."""
    return Case("elementwise", "bf16", 2 * hidden * (4 * tokens + 1), 0, tokens, hidden, hidden)


def silu_mul(tokens: int, intermediate: int) -> Case:
    """Gate and up in, their product out; 16 bit."""
    return Case("elementwise", "bf16", 2 * 3 * tokens * intermediate, 0, tokens, 2 * intermediate, intermediate)


def rope(tokens: int, heads: int, kv_heads: int, head_dim: int) -> Case:
    """Queries and keys turned by their position, cosines and sines read; 16 bit."""
    width = (heads + kv_heads) * head_dim
    return Case(
        "elementwise", "bf16", 2 * tokens * (2 * width + head_dim), 0, tokens, width, width,
        heads=heads, kv_heads=kv_heads, head_dim=head_dim,
    )  # fmt: skip


def copy(size: int) -> Case:
    """A copy of ``size`` bytes on the card: read once, written once."""
    return Case("copy", "bf16", 2 * size)


def step_work(decoder: Decoder, form: str, stage: str, requests: int, isl: int) -> tuple[int, int]:
    """Bytes and FLOPs of one step of the whole decoder, the floor that no implementation can pass.

    ``decode``: one token of each request, ``isl`` tokens of context. ``prefill``: prompts of ``isl`` tokens, of which
    only the last is sampled. Counted: every weight once, the keys and values of the context; no activations.

    Examples
    --------
    >>> moved, flops = step_work(LLAMA_8B, "bf16", "decode", 1, 2048)
    >>> round(moved / 4.8e12 * 1e3, 2)      # milliseconds at 4.8 TB/s
    3.18
    """
    tokens = requests * (isl if stage == "prefill" else 1)
    pairs = requests * (isl * (isl + 1) // 2 if stage == "prefill" else isl)
    read = decoder.weight_bytes(form) - 2 * decoder.head_parameters  # the embedding is looked up, not read
    moved = read + requests * isl * decoder.kv_bytes_per_token
    flops = 2 * (tokens * decoder.matrix_parameters + requests * decoder.head_parameters)
    return moved, flops + 4 * decoder.layers * pairs * decoder.heads * decoder.head_dim


def sum_of_kernels(rows: Iterable[Mapping[str, Any]], decoder: Decoder, requests: int, context: int) -> float:
    """Time of one 16-bit decode step if its kernels ran one after another [s].

    Parameters
    ----------
    rows : iterable of mappings
        Kernels of one GPU, with :data:`KERNEL_COLUMNS`.

    Raises
    ------
    KeyError
        If a kernel of the step was not measured.
    """
    times: dict[tuple[Any, ...], float] = {}
    for row in rows:
        if row["format"] != "bf16":
            continue
        shape = (row["context"], row["heads"], row["kv_heads"]) if row["operator"] == "attention_decode" else ()
        key = (row["operator"], row["tokens"], row["inputs"], row["outputs"], *shape)
        found = tuple(int(x) if str(x or "").isdigit() else None if x in ("", None) else x for x in key)
        times[found] = min(times.get(found, math.inf), float(row["seconds"]))

    def time_of(case: Case) -> float:
        shape = (case.context, case.heads, case.kv_heads) if case.operator == "attention_decode" else ()
        return times[case.operator, case.tokens, case.inputs, case.outputs, *shape]

    d = decoder
    layer = [gemm("bf16", requests, *shape) for shape in d.matrices().values()]
    layer += [attention_decode(requests, context, d.heads, d.kv_heads, d.head_dim), silu_mul(requests, d.intermediate)]
    layer += [rope(requests, d.heads, d.kv_heads, d.head_dim)] + 2 * [add_rmsnorm(requests, d.hidden)]
    last = [gemm("bf16", requests, d.hidden, d.vocabulary), add_rmsnorm(requests, d.hidden)]
    return d.layers * sum(map(time_of, layer)) + sum(map(time_of, last))
