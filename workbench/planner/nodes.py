"""Blocks of GPUs in nodes: who goes where, or that they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from workbench.errors import InvalidInput


def split(gpus: int, per_node: int) -> tuple[int, ...]:
    """So many GPUs as full nodes and a rest.

    >>> split(12, 8), split(12, 4)
    ((8, 4), (4, 4, 4))
    """
    if gpus < 0 or per_node < 1:
        raise InvalidInput(f"{gpus} GPUs in nodes of {per_node} is no fleet")
    full, rest = divmod(gpus, per_node)
    return (per_node,) * full + ((rest,) if rest else ())


def pack(blocks: Sequence[int], nodes: Sequence[int]) -> tuple[int, ...] | None:
    """The node of each block, so that no node holds more than it has; None if there is no such way.

    The largest block first, each into the fullest node that has room. Where every size divides the next larger one,
    as powers of two do, this fails only if there is no way: the places for a size that are left do not depend on
    where larger blocks went. Other sizes are tried exhaustively.

    Parameters
    ----------
    blocks : sequence of int
        GPUs of each block, which must lie in one node.
    nodes : sequence of int
        GPUs of each node.

    Examples
    --------
    >>> pack([2, 4, 2, 4], [8, 4])
    (0, 1, 0, 0)
    >>> pack([4, 8], [4, 4, 4]) is None
    True
    """
    order = sorted(range(len(blocks)), key=lambda at: -blocks[at])
    free, where = list(nodes), [0] * len(blocks)
    for at in order:
        room = [node for node in range(len(free)) if free[node] >= blocks[at]]
        if not room:
            sizes = sorted(set(blocks))
            nested = all(large % small == 0 for small, large in pairwise(sizes))
            return None if nested else _exhaustive(blocks, order, nodes)
        where[at] = min(room, key=lambda node: free[node])
        free[where[at]] -= blocks[at]
    return tuple(where)


def _exhaustive(blocks: Sequence[int], order: Sequence[int], nodes: Sequence[int]) -> tuple[int, ...] | None:
    """Every way, nodes with equal room being the same."""
    if sum(blocks) > sum(nodes):
        return None

    @cache
    def rooms(at: int, free: tuple[int, ...]) -> tuple[int, ...] | None:
        """Room taken for each block from the one at this place on, free being sorted."""
        if at == len(order):
            return ()
        size = blocks[order[at]]
        for room in sorted({have for have in free if have >= size}):
            left = list(free)
            left.remove(room)
            rest = rooms(at + 1, tuple(sorted([*left, room - size])))
            if rest is not None:
                return (room, *rest)
        return None

    found = rooms(0, tuple(sorted(nodes)))
    if found is None:
        return None
    free, where = list(nodes), [0] * len(blocks)
    for at, room in zip(order, found, strict=True):
        where[at] = free.index(room)
        free[where[at]] -= blocks[at]
    return tuple(where)
