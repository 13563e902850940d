"""Grouped-query attention that reads only the blocks of tokens an indexer picks (MiniMax M3)."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.architecture.attention.softmax import FullAttention
from workbench.architecture.caches import Cache, PlainIndexCache, TokenCache
from workbench.architecture.weights import Weight, prefixed, vector


@dataclass(frozen=True, slots=True)
class BlockSparseAttention(FullAttention):
    """Full attention over ``blocks`` blocks of ``block`` tokens, picked by their best index score.

    Parameters
    ----------
    index_heads, index_dim : int
        Query heads of the indexer and their width; its one key head is cached besides keys and values.
    block, blocks : int
        Tokens of a block, blocks a query reads.

    References
    ----------
    transformers 5.17, ``models/minimax_m3_vl``; vLLM 0.32.0, ``models/minimax_m3/nvidia/model.py``.
    """

    index_heads: int = 4
    index_dim: int = 128
    block: int = 128
    blocks: int = 16

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Those of full attention, and the indexer's: its queries divide as the KV heads do."""
        index = (
            Weight(
                "index_q_proj", "attention", hidden, self.index_heads * self.index_dim, "column", most=self.kv_heads
            ),
            Weight("index_k_proj", "attention", hidden, self.index_dim),
            vector("index_q_norm", self.index_dim),
            vector("index_k_norm", self.index_dim),
        )
        return (*FullAttention.weights(self, hidden), *prefixed("self_attn", index))

    @property
    def caches(self) -> tuple[Cache, ...]:
        """Keys and values, and the indexer's key."""
        return (TokenCache(self.kv_heads, 2 * self.head_dim), PlainIndexCache(1, self.index_dim))

    @property
    def picked(self) -> int:
        """Tokens a query reads."""
        return self.block * self.blocks

    @property
    def flops_per_pair(self) -> int:
        """FLOPs of scoring one cached token."""
        return 2 * self.index_heads * self.index_dim

    @property
    def flops_per_token(self) -> int:
        """The picked blocks."""
        return 4 * self.heads * self.head_dim * self.block * self.blocks
