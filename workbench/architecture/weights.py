"""A weight of a layer: its shape, what it belongs to, and how tensor parallelism divides it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["attention", "mlp", "expert", "router", "norm", "convolution", "tower", "embedding", "lm_head"]
#: How a tensor-parallel group holds a matrix: divided by outputs (``column``), by inputs (``row``), by the padded
#: ``vocabulary``, or whole on every GPU.
Shard = Literal["column", "row", "vocabulary", "replicated"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight matrix, or ``copies`` equal ones.

    Parameters
    ----------
    name : str
        Module name as in the checkpoint, below the layer: ``self_attn.q_proj``.
    role : Role
        What it belongs to.
    inputs, outputs : int
        Columns and rows of the matrix. A vector (a norm, a sink) has ``inputs`` = 0 and counts as ``outputs``.
    shard : Shard
        How tensor parallelism divides it.
    bias : bool
        Whether ``outputs`` bias values come with it.
    copies : int
        How many such matrices a layer holds (experts).
    most : int
        Into how many parts it can be divided; beyond that it is replicated (KV projections: the KV heads).
    used : float
        Share of the copies one token multiplies with (experts_per_token / experts), 1 for everything else.
    float32 : bool
        Whether engines hold and multiply it in 32 bit, whatever the checkpoint's float (MiniMax-M2's router).
    """

    name: str
    role: Role
    inputs: int
    outputs: int
    shard: Shard = "replicated"
    bias: bool = False
    copies: int = 1
    most: int = 2**30
    used: float = 1.0
    float32: bool = False

    @property
    def elements(self) -> int:
        """Matrix elements, biases apart."""
        return self.copies * (self.inputs * self.outputs if self.inputs else 0)

    @property
    def extras(self) -> int:
        """Values that are never quantised: biases and vectors."""
        return self.copies * (self.outputs if self.bias or not self.inputs else 0)

    @property
    def parameters(self) -> int:
        """Matrix elements and extras together.

        >>> Weight("q", "attention", 4, 8, bias=True).parameters
        40
        """
        return self.elements + self.extras


def vector(name: str, size: int) -> Weight:
    """A norm's or sink's vector: replicated, never quantised."""
    return Weight(name, "norm", 0, size)


def prefixed(prefix: str, weights: Iterable[Weight]) -> tuple[Weight, ...]:
    """The same weights under a parent module's name."""
    return tuple(replace(w, name=f"{prefix}.{w.name}") for w in weights)
