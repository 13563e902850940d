"""Attention in tiles: forward without the matrix of scores, backward by computing it once more.

A tile of scores, B_r queries by B_c keys, is computed, used and forgotten; only its largest score and its sum are kept
(:mod:`workbench.theory.attention.softmax`). Which loop is the outer one decides what is read often: with queries
outside (FlashAttention-2) the keys and values are read once a block of queries; with keys outside (FlashAttention) the
queries and the unfinished output are.

References
----------
Dao et al., "FlashAttention", arXiv 2205.14135, algorithms 1 and 4; Dao, "FlashAttention-2", arXiv 2307.08691,
algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InvalidInput
from workbench.theory.attention.memory import SlowMemory
from workbench.theory.attention.naive import Gradients, checked, scores_of
from workbench.theory.attention.softmax import Seen

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tile:
    """How much is computed at a time.

    Parameters
    ----------
    queries, keys : int
        B_r and B_c [tokens].
    """

    queries: int
    keys: int

    def __post_init__(self) -> None:
        if self.queries < 1 or self.keys < 1:
            raise InvalidInput(f"a tile of {self.queries} queries by {self.keys} keys; both must be at least 1")


@dataclass(frozen=True, slots=True)
class Forward:
    """What a forward pass leaves.

    Parameters
    ----------
    output : ndarray, shape (N, d)
    logsumexp : ndarray, shape (N,)
        log Σ exp of each row of scores: all that is kept of the matrix for the way back.
    """

    output: Floats
    logsumexp: Floats


def forward(
    queries: Floats,
    keys: Floats,
    values: Floats,
    tile: Tile,
    *,
    causal: bool = False,
    memory: SlowMemory | None = None,
) -> Forward:
    """Attention of one head with the queries in the outer loop, as FlashAttention-2 has it.

    Parameters
    ----------
    queries, keys, values : ndarray, shape (N, d)
    tile : Tile
    causal : bool
        Tiles that lie whole in the future are not even read.
    memory : SlowMemory, optional
        Counts what is moved.

    Returns
    -------
    Forward

    Raises
    ------
    InvalidInput
        For shapes that do not go together.

    Examples
    --------
    >>> from workbench.theory.attention.naive import attention
    >>> q, k, v = np.random.default_rng(0).normal(size=(3, 10, 4))
    >>> bool(np.allclose(forward(q, k, v, Tile(3, 4)).output, attention(q, k, v)))
    True
    """
    checked(queries, keys, values)
    memory = memory or SlowMemory()
    output, logsumexp = np.empty((len(queries), values.shape[1])), np.empty(len(queries))
    for rows in blocks(len(queries), tile.queries):
        q = memory.load(queries, rows)
        seen = Seen.nothing(len(q), values.shape[1])
        for columns in blocks(len(keys), tile.keys):
            if causal and columns.start >= rows.stop:
                break
            k, v = memory.load(keys, columns), memory.load(values, columns)
            seen = seen.and_then(scores_of(q, k, rows.start, columns.start, causal=causal), v)
        memory.store(output, rows, seen.mean)
        memory.store(logsumexp, rows, seen.logsumexp)
    return Forward(output, logsumexp)


def forward_keys_outside(
    queries: Floats, keys: Floats, values: Floats, tile: Tile, *, memory: SlowMemory | None = None
) -> Forward:
    """The same with the keys in the outer loop, as the first FlashAttention has it.

    Every output is unfinished until the last block of keys: it is read and written back, with its two numbers a row,
    once a block. Parameters as of :func:`forward`.

    Examples
    --------
    >>> q, k, v = np.random.default_rng(0).normal(size=(3, 10, 4))
    >>> ours, theirs = forward(q, k, v, Tile(3, 4)), forward_keys_outside(q, k, v, Tile(3, 4))
    >>> bool(np.allclose(ours.output, theirs.output))
    True
    """
    checked(queries, keys, values)
    memory = memory or SlowMemory()
    rows_in_all, width = len(queries), values.shape[1]
    unfinished = Seen.nothing(rows_in_all, width)
    for columns in blocks(len(keys), tile.keys):
        k, v = memory.load(keys, columns), memory.load(values, columns)
        for rows in blocks(rows_in_all, tile.queries):
            q = memory.load(queries, rows)
            before = Seen(
                memory.load(unfinished.largest, rows),
                memory.load(unfinished.total, rows),
                memory.load(unfinished.weighted, rows),
            )
            after = before.and_then(scores_of(q, k, causal=False), v)
            memory.store(unfinished.largest, rows, after.largest)
            memory.store(unfinished.total, rows, after.total)
            memory.store(unfinished.weighted, rows, after.weighted)
    return Forward(unfinished.mean, unfinished.logsumexp)


def backward(
    queries: Floats,
    keys: Floats,
    values: Floats,
    kept: Forward,
    output_gradient: Floats,
    tile: Tile,
    *,
    causal: bool = False,
    memory: SlowMemory | None = None,
) -> Gradients:
    """Gradients from Q, K, V, O and one number a row: each tile of P is computed once more.

    P = exp(S − L) needs no sum, since L is kept. D = rowsum(dO ∘ O) stands for rowsum(dP ∘ P), so no row of dP is
    ever whole either. Keys are in the outer loop, so that dK and dV are finished in place; dQ is added to.

    Parameters
    ----------
    queries, keys, values, output_gradient : ndarray, shape (N, d)
    kept : Forward
        What the forward pass left.
    tile : Tile
    causal : bool
        As it was on the way forward.
    memory : SlowMemory, optional

    Returns
    -------
    Gradients

    Raises
    ------
    InvalidInput
        For shapes that do not go together.

    Examples
    --------
    >>> from workbench.theory.attention.naive import gradients
    >>> q, k, v, o = np.random.default_rng(0).normal(size=(4, 10, 4))
    >>> found = backward(q, k, v, forward(q, k, v, Tile(3, 4)), o, Tile(4, 3))
    >>> bool(np.allclose(found.queries, gradients(q, k, v, o).queries))
    True
    """
    checked(queries, keys, values)
    if output_gradient.shape != kept.output.shape or len(kept.output) != len(queries):
        raise InvalidInput(f"the output's gradient has shape {output_gradient.shape}, unlike the output")
    memory = memory or SlowMemory()
    scale = 1 / np.sqrt(queries.shape[1])
    found = Gradients(np.zeros_like(queries), np.zeros_like(keys), np.zeros_like(values))
    balance = _balance(output_gradient, kept.output, tile, memory)
    for columns in blocks(len(keys), tile.keys):
        k, v = memory.load(keys, columns), memory.load(values, columns)
        of_k, of_v = np.zeros_like(k), np.zeros_like(v)
        for rows in blocks(len(queries), tile.queries):
            if causal and columns.start >= rows.stop:
                continue
            q, of_o = memory.load(queries, rows), memory.load(output_gradient, rows)
            row_sums, taken_off = memory.load(kept.logsumexp, rows), memory.load(balance, rows)
            p = np.exp(scores_of(q, k, rows.start, columns.start, causal=causal) - row_sums[:, None])
            of_s = p * (of_o @ v.T - taken_off[:, None])
            of_v += p.T @ of_o
            of_k += of_s.T @ q * scale
            memory.store(found.queries, rows, memory.load(found.queries, rows) + of_s @ k * scale)
        memory.store(found.keys, columns, of_k)
        memory.store(found.values, columns, of_v)
    return found


def blocks(length: int, size: int) -> Iterator[slice]:
    """Pieces of a length, the last one shorter where it must be.

    >>> [(b.start, b.stop) for b in blocks(7, 3)]
    [(0, 3), (3, 6), (6, 7)]
    """
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _balance(output_gradient: Floats, output: Floats, tile: Tile, memory: SlowMemory) -> Floats:
    """D = rowsum(dO ∘ O), shape (N,)."""
    found = np.empty(len(output))
    for rows in blocks(len(output), tile.queries):
        of_o, o = memory.load(output_gradient, rows), memory.load(output, rows)
        memory.store(found, rows, (of_o * o).sum(axis=1))
    return found
