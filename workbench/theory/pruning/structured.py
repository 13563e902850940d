"""Structured pruning: whole channels, heads and layers leave, and the matrices really become smaller.

A channel of an MLP is a row of the matrices into it and a column of the one out of it; a head is rows of Q, K and V and
columns of O. What is left is dense, so any kernel runs it, and both bytes and FLOPs fall by what was cut out. Only by
that: what is not cut (attention beside the MLP, the embedding, the output projection, the KV cache) takes as long as
before, so half of the channels is far from half of the time.

Setting a channel's weights to zero instead, as a mask does, removes nothing, and a bias then still speaks for it.

References
----------
Channels: Ma and others, "LLM-Pruner", arXiv 2305.11627, section 3.1 (what must go together). Heads: Michel and others,
"Are Sixteen Heads Really Better than One?", arXiv 1905.10650. Layers: Men and others, "ShortGPT", arXiv 2403.03853,
equation 1. Gated MLP: Shazeer, arXiv 2002.05202. The rest stays: Amdahl, https://doi.org/10.1145/1465482.1465560.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GatedMLP:
    """down (silu(gate x) · up x), as in Llama; no biases.

    Parameters
    ----------
    gate, up : ndarray, shape (channels, hidden)
    down : ndarray, shape (hidden, channels)
    """

    gate: Floats
    up: Floats
    down: Floats

    def __post_init__(self) -> None:
        if not self.gate.shape == self.up.shape == self.down.T.shape or self.gate.ndim != 2:
            raise InvalidInput(
                f"gate and up are (channels, hidden) and down (hidden, channels), not {self.gate.shape}, "
                f"{self.up.shape}, {self.down.shape}"
            )

    def activations(self, x: ArrayLike) -> Floats:
        """What each channel holds, shape (tokens, channels)."""
        gated = np.asarray(x) @ self.gate.T
        return np.asarray(gated / (1 + np.exp(-gated)) * (np.asarray(x) @ self.up.T))

    def __call__(self, x: ArrayLike) -> Floats:
        """Shape (tokens, hidden) to the same shape."""
        return np.asarray(self.activations(x) @ self.down.T)

    def contributions(self, x: ArrayLike) -> Floats:
        """How large what each channel adds is: root mean square of its activations × ||its column of down||.

        Parameters
        ----------
        x : array_like, shape (tokens, hidden)

        Returns
        -------
        ndarray, shape (channels,)
            Exactly the error that letting go of that channel alone makes.
        """
        return np.asarray(np.sqrt(np.mean(self.activations(x) ** 2, axis=0)) * np.linalg.norm(self.down, axis=0))

    def with_channels(self, keep: Sequence[int] | NDArray[np.intp]) -> GatedMLP:
        """The smaller MLP that has only these channels.

        Examples
        --------
        >>> mlp = GatedMLP(np.ones((4, 2)), np.ones((4, 2)), np.ones((2, 4)))
        >>> mlp.with_channels([0, 2]).down.shape
        (2, 2)
        """
        at = _indices(keep, len(self.gate), "channel")
        return GatedMLP(self.gate[at], self.up[at], self.down[:, at])


@dataclass(frozen=True)
class Heads:
    """The projections of an attention, heads one after the other; several query heads may share a key-value head.

    Parameters
    ----------
    query : ndarray, shape (heads × width, hidden)
    key, value : ndarray, shape (key-value heads × width, hidden)
    output : ndarray, shape (hidden, heads × width)
    width : int
        Of a head.
    """

    query: Floats
    key: Floats
    value: Floats
    output: Floats
    width: int

    def __post_init__(self) -> None:
        rows, shared = len(self.query), len(self.key)
        if (
            self.output.shape[1] != rows
            or self.value.shape != self.key.shape
            or rows % self.width
            or shared % self.width
        ):
            shapes = [each.shape for each in (self.query, self.key, self.value, self.output)]
            raise InvalidInput(f"the projections do not fit heads of {self.width}: {shapes}")
        if rows % shared:
            raise InvalidInput(f"{rows // self.width} query heads cannot share {shared // self.width} key-value heads")

    @property
    def sharing(self) -> int:
        """Query heads that share a key-value head."""
        return len(self.query) // len(self.key)

    def __call__(self, x: ArrayLike) -> Floats:
        """Causal attention, without positions: shape (tokens, hidden) to the same shape."""
        inputs = np.asarray(x, dtype=np.float64)
        q, k, v = (
            (inputs @ each.T).reshape(len(inputs), -1, self.width).swapaxes(0, 1)
            for each in (self.query, self.key, self.value)
        )
        k, v = (np.repeat(each, self.sharing, axis=0) for each in (k, v))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(self.width)
        scores = np.where(np.tri(len(inputs), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ v
        return np.asarray(mixed.swapaxes(0, 1).reshape(len(inputs), -1) @ self.output.T)

    def with_groups(self, keep: Sequence[int] | NDArray[np.intp]) -> Heads:
        """The smaller attention of only these key-value heads, each with all the query heads that share it.

        A query head cannot leave alone: the kernels want as many for each key-value head. The KV cache shrinks with it.
        """
        groups = _indices(keep, len(self.key) // self.width, "key-value head")
        shared = _rows(groups, self.width)
        own = _rows(groups, self.width * self.sharing)
        return replace(
            self, query=self.query[own], key=self.key[shared], value=self.value[shared], output=self.output[:, own]
        )


@dataclass(frozen=True)
class Decoder:
    """The sizes of a Llama: what it holds and what it computes.

    Parameters
    ----------
    layers, hidden, channels, heads, key_value_heads, width, vocabulary : int
        ``channels`` of the gated MLP, ``width`` of a head.
    tied : bool
        Whether the output projection is the embedding.

    Examples
    --------
    Llama-3.1-8B, and with a quarter of its layers gone. The guides' 32 / 24 is 1.33; the output projection stays.

    >>> llama = Decoder(32, 4096, 14336, 32, 8, 128, 128256)
    >>> llama.parameters
    8030261248
    >>> fewer = replace(llama, layers=24)
    >>> round(fewer.parameters / llama.parameters, 3), round(llama.flops_per_token() / fewer.flops_per_token(), 3)
    (0.783, 1.303)
    """

    layers: int
    hidden: int
    channels: int
    heads: int
    key_value_heads: int
    width: int
    vocabulary: int
    tied: bool = False

    @property
    def mlp_weights(self) -> int:
        """Of one layer: gate, up and down."""
        return 3 * self.hidden * self.channels

    @property
    def attention_weights(self) -> int:
        """Of one layer: query, key, value and output."""
        return 2 * self.hidden * self.width * (self.heads + self.key_value_heads)

    @property
    def parameters(self) -> int:
        """All of them, the norms' vectors included."""
        layer = self.mlp_weights + self.attention_weights + 2 * self.hidden
        tables = self.hidden * self.vocabulary * (1 if self.tied else 2)
        return self.layers * layer + tables + self.hidden

    def flops_per_token(self, context: int = 0) -> int:
        """Two for each multiply-add: every matrix once, the output projection included, and attention to `context`."""
        matrices = self.layers * (self.mlp_weights + self.attention_weights) + self.hidden * self.vocabulary
        return 2 * matrices + 4 * self.layers * self.heads * self.width * context

    def kv_values_per_token(self) -> int:
        """Numbers kept in the KV cache for each token."""
        return 2 * self.layers * self.key_value_heads * self.width

    def speedup(self, smaller: Decoder, context: int = 0) -> float:
        """How many times fewer FLOPs the smaller one needs: the most that can be gained where computing limits."""
        return self.flops_per_token(context) / smaller.flops_per_token(context)


def block_influence(before: ArrayLike, after: ArrayLike) -> float:
    """How much a layer turns what passes through it: 1 − mean cosine of its input and output (ShortGPT, equation 1).

    Measured on text, not guessed from the layer's place.

    Parameters
    ----------
    before, after : array_like, shape (tokens, hidden)

    Examples
    --------
    >>> block_influence([[1.0, 0.0]], [[1.0, 0.0]]), block_influence([[1.0, 0.0]], [[0.0, 1.0]])
    (0.0, 1.0)
    """
    a, b = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise InvalidInput(
            f"states before and after a layer have one shape (tokens, hidden), not {a.shape} and {b.shape}"
        )
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not norms.all():
        raise InvalidInput("a token's state is 0; it has no direction")
    return float(1 - np.mean((a * b).sum(axis=1) / norms))


def _indices(keep: Sequence[int] | NDArray[np.intp], count: int, what: str) -> NDArray[np.intp]:
    at = np.asarray(keep, dtype=np.intp)
    if at.ndim != 1 or at.size == 0 or len(set(at.tolist())) < at.size or at.min() < 0 or at.max() >= count:
        raise InvalidInput(f"keep at least one {what}, each once, from 0 to {count - 1}")
    return at


def _rows(groups: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    return (groups[:, None] * size + np.arange(size)).ravel()
