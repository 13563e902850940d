"""Attention kinds: what each holds as weights, what it caches per token, what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.architecture.weights import Weight, prefixed, vector


@dataclass(frozen=True, slots=True)
class FullAttention:
    """Softmax attention over all earlier tokens: multi-head, grouped-query or multi-query by ``kv_heads``.

    Parameters
    ----------
    heads, kv_heads, head_dim : int
        Query heads, key-value heads, width of a head.
    bias : bool
        Whether the Q, K and V projections carry a bias.
    output_bias : bool
        Whether the output projection does.
    query_key_norm : {"none", "head", "full"}
        A norm on Q and K: none, one vector of ``head_dim`` each (Qwen3, Gemma 3), or one over all heads (OLMo 2).
    sinks : bool
        A learned sink value a head (gpt-oss).
    """

    heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    output_bias: bool = False
    query_key_norm: Literal["none", "head", "full"] = "none"
    sinks: bool = False

    @property
    def window(self) -> int | None:
        """Tokens a query can look back on; None means all."""
        return None

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """The projections, norms and sinks of one layer of width ``hidden``."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        held = [
            Weight("q_proj", "attention", hidden, q, "column", self.bias),
            Weight("k_proj", "attention", hidden, kv, "column", self.bias, most=self.kv_heads),
            Weight("v_proj", "attention", hidden, kv, "column", self.bias, most=self.kv_heads),
            Weight("o_proj", "attention", q, hidden, "row", self.output_bias),
        ]
        if self.query_key_norm == "head":
            held += [vector("q_norm", self.head_dim), vector("k_norm", self.head_dim)]
        elif self.query_key_norm == "full":
            held += [vector("q_norm", q), vector("k_norm", kv)]
        if self.sinks:
            held.append(vector("sinks", self.heads))
        return prefixed("self_attn", held)

    @property
    def kv_elements_per_token(self) -> int:
        """Values cached for a token in one layer: a key and a value for every KV head.

        >>> FullAttention(32, 8, 128).kv_elements_per_token
        2048
        """
        return 2 * self.kv_heads * self.head_dim

    @property
    def flops_per_pair(self) -> int:
        """FLOPs for one query token against one cached token: Q·K and P·V, 2 FLOPs a multiply-add."""
        return 4 * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class SlidingWindowAttention(FullAttention):
    """The same over the last ``size`` tokens only (Mistral 0.1, Gemma 2 and 3, gpt-oss).

    Raises nothing of its own; a window of at least the context length behaves like full attention.
    """

    size: int = 4096

    @property
    def window(self) -> int | None:
        """Tokens a query can look back on."""
        return self.size


Attention = FullAttention  # every kind so far is one; latent and linear attention will widen this
