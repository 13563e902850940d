"""Attention kinds: what each holds as weights, what it caches, what it computes.

Every kind has the same face:

``heads``, ``kv_heads`` : int
    What tensor parallelism divides; ``kv_heads`` is 0 where nothing is cached a token.
``head_dim`` : int
    Width the rotary embedding's table is made for.
``caches`` : tuple of Cache
    What a sequence leaves in one layer.
``window`` : int or None
    Tokens a query can look back on.
``flops_per_pair`` : int
    FLOPs of one query token against one cached token.
``flops_per_token`` : int
    FLOPs of one token besides its projections and those pairs (a recurrence).
``expanded_flops_per_pair`` : int
    Only latent attention: the pairs of a prompt, whose keys and values are expanded first.
``picked`` : int or None
    Only sparse attention: cached tokens a query reads.
``weights(hidden)``
    Its matrices and vectors in a model of that width.
"""

from workbench.architecture.attention.compressed import CompressedAttention
from workbench.architecture.attention.latent import Indexer, LatentAttention
from workbench.architecture.attention.linear import GatedDeltaNet, KimiDeltaAttention, LightningAttention
from workbench.architecture.attention.picking import BlockSparseAttention
from workbench.architecture.attention.side_by_side import SideBySide
from workbench.architecture.attention.softmax import (
    BorrowedAttention,
    ChunkedAttention,
    EncoderAttention,
    FullAttention,
    SlidingWindowAttention,
)
from workbench.architecture.attention.state_space import Mamba2

Attention = (
    FullAttention
    | LatentAttention
    | CompressedAttention
    | GatedDeltaNet
    | KimiDeltaAttention
    | LightningAttention
    | Mamba2
    | SideBySide
)

__all__ = [
    "Attention",
    "BlockSparseAttention",
    "BorrowedAttention",
    "ChunkedAttention",
    "CompressedAttention",
    "EncoderAttention",
    "FullAttention",
    "GatedDeltaNet",
    "Indexer",
    "KimiDeltaAttention",
    "LatentAttention",
    "LightningAttention",
    "Mamba2",
    "SideBySide",
    "SlidingWindowAttention",
]
