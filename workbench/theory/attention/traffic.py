"""What attention moves through the slow memory, and what it computes, in closed form.

Counts are of numbers [elements] for one head and one forward pass; a number of 16 bits is two bytes. The loops of
:mod:`workbench.theory.attention.naive` and ``tiled`` count the same while they run.

The standard way writes and reads the N × N matrices of scores and weights: 4 N d + 4 N². Tiles never write them, but
read keys and values once a block of queries (or queries and outputs once a block of keys), and how large a block may
be is what the fast memory decides: Θ(N² d² / M), not O(N d). What is gained is about M / d², whatever N.

References
----------
Dao et al., "FlashAttention", arXiv 2205.14135: algorithm 1 (block sizes), theorem 2 (traffic), appendix B (backward);
Dao, "FlashAttention-2", arXiv 2307.08691, algorithm 1.
"""

from __future__ import annotations

import math

from workbench.errors import InvalidInput
from workbench.theory.attention.tiled import Tile


def standard(tokens: int, head_dim: int) -> int:
    """Elements moved where scores and weights are written out: 4 N d + 4 N².

    Parameters
    ----------
    tokens, head_dim : int
        N and d.

    Examples
    --------
    >>> standard(2048, 64)
    17301504
    """
    _checked(tokens, head_dim)
    return 4 * tokens * head_dim + 4 * tokens**2


def queries_outside(tokens: int, head_dim: int, tile: Tile) -> int:
    """Elements moved with queries in the outer loop: 2 N d (1 + ⌈N / B_r⌉) + N.

    Q is read and O written once; K and V are read once a block of queries; one number a row is kept for the way back.

    Examples
    --------
    >>> queries_outside(2048, 64, Tile(128, 64))
    4458496
    """
    _checked(tokens, head_dim)
    return 2 * tokens * head_dim * (1 + math.ceil(tokens / tile.queries)) + tokens


def keys_outside(tokens: int, head_dim: int, tile: Tile) -> int:
    """Elements moved with keys in the outer loop: 2 N d + ⌈N / B_c⌉ (3 N d + 4 N).

    K and V are read once; a block of keys reads Q, and reads and writes O and its two numbers a row.

    Examples
    --------
    >>> keys_outside(2048, 64, tile_for(98304, 64))
    2670592
    """
    _checked(tokens, head_dim)
    return 2 * tokens * head_dim + math.ceil(tokens / tile.keys) * (3 * tokens * head_dim + 4 * tokens)


def tile_for(capacity: int, head_dim: int) -> Tile:
    """The first FlashAttention's tile: B_c = ⌈M / 4 d⌉ keys, B_r = min(B_c, d) queries.

    With queries in the outer loop the roles change: as many queries as fit, few keys (:func:`turned`).

    Parameters
    ----------
    capacity : int
        M: what the fast memory of one multiprocessor holds [elements].
    head_dim : int
        d.

    Raises
    ------
    InvalidInput
        If not even a row of each of Q, K, V and O fits.

    Examples
    --------
    192 kB of an A100's multiprocessor, in 16 bits.

    >>> tile_for(192 * 1024 // 2, 64)
    Tile(queries=64, keys=384)
    """
    if head_dim < 1 or capacity < 4 * head_dim:
        raise InvalidInput(
            f"a fast memory of {capacity} elements holds no tile of head dimension {head_dim}; give at least "
            f"{4 * max(head_dim, 1)}"
        )
    keys = math.ceil(capacity / (4 * head_dim))
    return Tile(min(keys, head_dim), keys)


def turned(tile: Tile) -> Tile:
    """Queries for keys: the tile for the other loop outside."""
    return Tile(tile.keys, tile.queries)


def on_chip(tile: Tile, head_dim: int) -> int:
    """Elements that one tile needs at once: Q and O, K and V, and the scores; 2 B_r d + 2 B_c d + B_r B_c.

    Examples
    --------
    >>> on_chip(Tile(64, 384), 64)
    81920
    """
    return 2 * (tile.queries + tile.keys) * head_dim + tile.queries * tile.keys


def forward_flops(tokens: int, head_dim: int) -> int:
    """Q Kᵀ and P V, a multiplication and an addition each: 4 N² d.

    >>> forward_flops(1024, 64) / 1e6
    268.435456
    """
    _checked(tokens, head_dim)
    return 4 * tokens**2 * head_dim


def backward_flops(tokens: int, head_dim: int, *, recomputed: bool = True) -> int:
    """dV, dP, dQ and dK: four products of 2 N² d; a fifth where Q Kᵀ is computed once more.

    >>> backward_flops(1024, 64) / backward_flops(1024, 64, recomputed=False)
    1.25
    """
    _checked(tokens, head_dim)
    return (10 if recomputed else 8) * tokens**2 * head_dim


def compute_share(flops: float, moved: float, peak: float, bandwidth: float) -> float:
    """The time computing takes over the time moving takes; below 1, memory decides.

    Parameters
    ----------
    flops : float
    moved : float
        [B]
    peak : float
        [FLOP/s]
    bandwidth : float
        [B/s]

    Examples
    --------
    Standard attention of 1024 tokens on an A100 40 GB, in 16 bits.

    >>> round(compute_share(forward_flops(1024, 64), 2 * standard(1024, 64), 312e12, 1.5e12), 3)
    0.145
    """
    return (flops / peak) / (moved / bandwidth)


def traffic_as_often_told(tokens: int, head_dim: int) -> int:
    """What guides often give for FlashAttention: 4 N d, as if each of Q, K, V and O were moved once.

    It forgets that the inner loop runs once a block of the outer one.

    >>> traffic_as_often_told(2048, 64), queries_outside(2048, 64, Tile(128, 64))
    (524288, 4458496)
    """
    return 4 * tokens * head_dim


def gain_as_often_told(tokens: int, head_dim: int) -> float:
    """What follows from it: N / d times faster, more the longer the text.

    >>> gain_as_often_told(2048, 64), round(standard(2048, 64) / queries_outside(2048, 64, Tile(128, 64)), 1)
    (32.0, 3.9)
    """
    return tokens / head_dim


def _checked(tokens: int, head_dim: int) -> None:
    if tokens < 1 or head_dim < 1:
        raise InvalidInput(f"{tokens} tokens of head dimension {head_dim}; both must be at least 1")
