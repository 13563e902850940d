"""Multi-head latent attention (MLA) of DeepSeek, Kimi and GLM, dense or picked by an indexer."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.architecture.caches import Cache, IndexCache, LatentCache
from workbench.architecture.weights import Weight, prefixed, vector


@dataclass(frozen=True, slots=True)
class Indexer:
    """The small attention that picks which tokens a sparse attention reads (DeepSeek V3.2).

    Parameters
    ----------
    heads, head_dim : int
        Its query heads and their width; its one key head is cached besides the latent.
    picks : int
        Tokens it picks for a query.
    """

    heads: int
    head_dim: int
    picks: int

    def weights(self, hidden: int, query_rank: int) -> tuple[Weight, ...]:
        """Its projections and the LayerNorm on its keys."""
        return prefixed(
            "indexer",
            (
                Weight("wq_b", "attention", query_rank, self.heads * self.head_dim),
                Weight("wk", "attention", hidden, self.head_dim),
                vector("k_norm", 2 * self.head_dim),
                Weight("weights_proj", "router", hidden, self.heads),
            ),
        )


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Keys and values of all heads compressed into one latent vector a token.

    Parameters
    ----------
    heads : int
        Query heads.
    query_rank : int, optional
        Width queries are compressed to; None where they are projected at once (DeepSeek-V2-Lite).
    latent_rank : int
        Width of the latent (``kv_lora_rank``).
    nope, rope : int
        Width of a key head without and with position; the position part is shared by all heads.
    value_dim : int
        Width of a value head.
    bias : bool
        Whether the compressing projections carry a bias.
    indexer : Indexer, optional
        What picks tokens, where the attention is sparse.
    follows : bool
        Whether it reads the tokens an earlier layer's indexer picked (GLM-5.2).
    gated : bool
        Whether a projection as wide as the heads' output gates it (Kimi K3).

    References
    ----------
    DeepSeek-V2 technical report, arXiv:2405.04434, section 2.1.
    """

    heads: int
    query_rank: int | None
    latent_rank: int
    nope: int
    rope: int
    value_dim: int
    bias: bool = False
    indexer: Indexer | None = None
    follows: bool = False
    gated: bool = False

    @property
    def kv_heads(self) -> int:
        """One latent, which every GPU holds."""
        return 1

    @property
    def head_dim(self) -> int:
        """Width that carries the position."""
        return self.rope

    @property
    def window(self) -> int | None:
        """All tokens are cached; an indexer picks from all of them."""
        return None

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """The compressing and expanding projections, their norms, and the indexer's."""
        key = self.nope + self.rope
        if self.query_rank is None:
            held = [Weight("q_proj", "attention", hidden, self.heads * key, "column")]
        else:
            held = [
                Weight("q_a_proj", "attention", hidden, self.query_rank, bias=self.bias),
                vector("q_a_layernorm", self.query_rank),
                Weight("q_b_proj", "attention", self.query_rank, self.heads * key, "column"),
            ]
        held += [
            Weight("kv_a_proj_with_mqa", "attention", hidden, self.latent_rank + self.rope, bias=self.bias),
            vector("kv_a_layernorm", self.latent_rank),
            Weight("kv_b_proj", "attention", self.latent_rank, self.heads * (self.nope + self.value_dim), "column"),
            Weight("o_proj", "attention", self.heads * self.value_dim, hidden, "row", self.bias),
        ]
        if self.gated:
            held.append(Weight("g_proj", "attention", hidden, self.heads * self.value_dim, "column"))
        if self.indexer is not None:
            held += self.indexer.weights(hidden, self.query_rank or hidden)
        return prefixed("self_attn", held)

    @property
    def caches(self) -> tuple[Cache, ...]:
        """One latent and one rotated key a token, and the indexer's key.

        >>> LatentAttention(128, 1536, 512, 128, 64, 128).caches[0].bytes_per_token(2)
        1152.0
        """
        latent = LatentCache(1, self.latent_rank + self.rope, self.rope, self.indexer is not None or self.follows)
        return (latent,) if self.indexer is None else (latent, IndexCache(1, self.indexer.head_dim))

    def absorbed(self, hidden: int, how: str, parts: int = 1) -> int:
        """Values an engine keeps on one of ``parts`` GPUs so that queries meet the latent itself.

        Parameters
        ----------
        how : {"none", "products", "parts"}
            Nothing; the expanding projections multiplied with their neighbours (vLLM 0.7); or a second copy of the
            key and value halves of ``kv_b_proj`` (vLLM from 0.8 on: W_UK, W_UV).

        References
        ----------
        vLLM 0.7.1, ``attention/backends/mla/utils.py``; 0.8.0, ``v1/attention/backends/mla/common.py``.

        Examples
        --------
        >>> LatentAttention(128, 1536, 512, 128, 64, 128).absorbed(7168, "parts", 8)
        2097152
        """
        heads = self.heads // parts
        if how == "parts":
            return heads * self.latent_rank * (self.nope + self.value_dim)
        queries = self.query_rank or hidden
        return heads * (self.latent_rank * (queries + hidden) + self.rope * queries) if how == "products" else 0

    @property
    def flops_per_pair(self) -> int:
        """FLOPs for one query token against one latent, projections absorbed, as decoding does it."""
        return 2 * self.heads * (2 * self.latent_rank + self.rope)

    @property
    def expanded_flops_per_pair(self) -> int:
        """The same where keys and values are expanded from the latents first, as a prompt is read."""
        return 2 * self.heads * (self.nope + self.rope + self.value_dim)

    @property
    def picked(self) -> int | None:
        """Latents a query reads, where an indexer picks them."""
        return self.indexer.picks if self.indexer else None

    @property
    def flops_per_token(self) -> int:
        """Nothing besides projections and pairs."""
        return 0
