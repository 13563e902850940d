"""A paged cache of keys and values: which block of memory holds which tokens.

The cache is cut into blocks of a few tokens. A sequence has a table of blocks, wherever these lie, and takes one more
when its last is full; so it never holds more than its length and part of a block. Blocks are counted by who uses them:
sequences that begin alike share blocks, and one that would write into a shared block gets a copy first.

What is here keeps the books only; :func:`gather` reads keys or values through a table. A key depends on all tokens
before it, so a block may be shared only where its tokens and all before them are the same: its name is a hash of its
tokens and of the name of the block before it.

References
----------
Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023,
arXiv 2309.06180, sections 4.2 (block tables), 4.4 (reference counts, copy-on-write); vLLM's automatic prefix caching,
https://docs.vllm.ai/en/latest/design/prefix_caching/ (names of blocks, least recently used first to go).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InvalidInput, UnknownName, WorkbenchError

#: Name of a full block: a hash of all tokens to its end, long enough that no two texts share one.
Name = bytes


class OutOfBlocks(WorkbenchError):
    """No block is free; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A block whose contents must be copied before anything is written.

    Parameters
    ----------
    source, target : int
        Numbers of blocks.
    """

    source: int
    target: int


class PagedCache:
    """The books of a cache of ``blocks`` blocks of ``block_size`` tokens.

    Parameters
    ----------
    blocks, block_size : int
        At least 1. vLLM's block holds 16 tokens by default.

    Attributes
    ----------
    tables : dict of str to list of int
        Sequence -> its blocks, in the order of its tokens.
    tokens : dict of str to list of int
        Sequence -> its tokens.
    users : list of int
        How many tables hold each block.

    Raises
    ------
    InvalidInput
        For sizes below 1.

    Examples
    --------
    Two requests with the same first four tokens, blocks of two: two blocks are shared, and a fork shares all until it
    goes on.

    >>> cache = PagedCache(blocks=8, block_size=2)
    >>> cache.open("a", [1, 2, 3, 4, 5]), cache.open("b", [1, 2, 3, 4, 9])
    (0, 4)
    >>> cache.fork("a", "c")
    >>> cache.tables
    {'a': [0, 1, 2], 'b': [0, 1, 3], 'c': [0, 1, 2]}
    >>> cache.append("c", 6)
    Copy(source=2, target=4)
    >>> cache.users[:5], cache.free
    ([3, 3, 1, 1, 1], 3)
    """

    def __init__(self, blocks: int, block_size: int) -> None:
        if blocks < 1 or block_size < 1:
            raise InvalidInput(f"{blocks} blocks of {block_size} tokens; both must be at least 1")
        self.block_size = block_size
        self.tables: dict[str, list[int]] = {}
        self.tokens: dict[str, list[int]] = {}
        self.users = [0] * blocks
        #: Blocks nobody uses, the one to be taken next first; some still hold what a later request may ask for.
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))
        self._block_of: dict[Name, int] = {}
        self._name_of: dict[int, Name] = {}

    # ------------------------------------------------------------------------------------------ what is asked of it

    def open(self, sequence: str, tokens: Sequence[int]) -> int:
        """Begin a sequence.

        Parameters
        ----------
        sequence : str
            A name that is not open.
        tokens : sequence of int
            Its prompt, at least one.

        Returns
        -------
        int
            Tokens, from the first, whose keys and values are in the cache already. Never all of them: the last one has
            to be computed, since what comes next is read off it.

        Raises
        ------
        InvalidInput
            If the name is open, or there are no tokens.
        OutOfBlocks
            If too few blocks are free.
        """
        self._unused(sequence)
        if not tokens:
            raise InvalidInput(f"sequence {sequence!r} has no tokens; give at least one")
        found = self._found(tokens)
        wanted = _ceil(len(tokens), self.block_size) - len(found)
        if wanted > self.free - sum(not self.users[block] for block in found):
            raise OutOfBlocks(f"sequence {sequence!r} needs {wanted} more blocks than it shares; wait or free some")
        for block in found:
            self._use(block)
        table = [*found, *(self._take() for _ in range(wanted))]
        self.tables[sequence], self.tokens[sequence] = table, list(tokens)
        for at, name in enumerate(names(tokens, self.block_size)):
            self._write_down(table[at], name)
        return len(found) * self.block_size

    def append(self, sequence: str, token: int) -> Copy | None:
        """Add a token.

        Returns
        -------
        Copy or None
            What to copy before the token's key and value are written: its last block was shared.

        Raises
        ------
        UnknownName
            If the sequence is not open.
        OutOfBlocks
            If a block is needed and none is free.
        """
        table, tokens = self._open(sequence), self.tokens[sequence]
        copy = None
        if len(tokens) == len(table) * self.block_size:
            table.append(self._take())
        elif self.users[shared := table[-1]] > 1:
            table[-1] = self._take()
            copy = Copy(shared, table[-1])
            self._leave(shared)
        tokens.append(token)
        if len(tokens) % self.block_size == 0:
            self._write_down(table[-1], names(tokens, self.block_size)[-1])
        return copy

    def fork(self, sequence: str, into: str) -> None:
        """Another sequence that is the same so far, in the same blocks: a second answer, a beam.

        Raises
        ------
        UnknownName, InvalidInput
            If the one is not open, or the other is.
        """
        table = self._open(sequence)
        self._unused(into)
        self.tables[into], self.tokens[into] = list(table), list(self.tokens[sequence])
        for block in table:
            self._use(block)

    def close(self, sequence: str) -> None:
        """End a sequence; what its full blocks hold may be found again until they are needed.

        Raises
        ------
        UnknownName
            If it is not open.
        """
        table = self._open(sequence)
        for block in reversed(table):  # the end of a sequence is the least likely to be asked for again
            self._leave(block)
        del self.tables[sequence], self.tokens[sequence]

    # ------------------------------------------------------------------------------------------ how full it is

    @property
    def free(self) -> int:
        """Blocks that nobody uses."""
        return len(self._idle)

    @property
    def used(self) -> int:
        """Blocks that somebody uses, each counted once."""
        return len(self.users) - self.free

    @property
    def slack(self) -> int:
        """Places in used blocks that hold no token yet."""
        ends: dict[int, int] = {}  # the last block -> places filled; sequences that share it fill the same ones
        for sequence, table in self.tables.items():
            ends[table[-1]] = len(self.tokens[sequence]) - (len(table) - 1) * self.block_size
        return sum(self.block_size - filled for filled in ends.values())

    @property
    def saved(self) -> int:
        """Blocks that sharing saves: what the tables hold together, less the blocks behind them."""
        return sum(map(len, self.tables.values())) - self.used

    # ------------------------------------------------------------------------------------------ the books

    def _found(self, tokens: Sequence[int]) -> list[int]:
        """Blocks that hold the beginning of these tokens, but never the last token."""
        found = []
        for name in names(tokens[:-1], self.block_size):
            if name not in self._block_of:
                break
            found.append(self._block_of[name])
        return found

    def _take(self) -> int:
        """A block for one user; what it held before is forgotten."""
        if not self._idle:
            raise OutOfBlocks("no block is free; close a sequence or wait until one ends")
        block, _ = self._idle.popitem(last=False)
        if block in self._name_of:
            del self._block_of[self._name_of.pop(block)]
        self.users[block] = 1
        return block

    def _use(self, block: int) -> None:
        self._idle.pop(block, None)
        self.users[block] += 1

    def _leave(self, block: int) -> None:
        self.users[block] -= 1
        if not self.users[block]:
            self._idle[block] = None
            if block not in self._name_of:  # nothing in it can be found: it goes first
                self._idle.move_to_end(block, last=False)

    def _write_down(self, block: int, name: Name) -> None:
        """That a full block can be found by its name; the first one that held the same stays the one that is found."""
        if name not in self._block_of:
            self._block_of[name], self._name_of[block] = block, name

    def _open(self, sequence: str) -> list[int]:
        if sequence not in self.tables:
            raise UnknownName("sequence", sequence, self.tables)
        return self.tables[sequence]

    def _unused(self, sequence: str) -> None:
        if sequence in self.tables:
            raise InvalidInput(f"sequence {sequence!r} is open already; close it or take another name")


def names(tokens: Sequence[int], block_size: int) -> list[Name]:
    """Names of the full blocks of a sequence: each a hash of its tokens and of the name before.

    The second blocks here hold the same tokens, and yet other keys and values:

    >>> names([1, 2, 8, 9], 2)[1] == names([3, 4, 8, 9], 2)[1]
    False
    """
    found = [b""]
    for end in range(block_size, len(tokens) + 1, block_size):
        block = np.asarray(tokens[end - block_size : end], np.int64)
        found.append(sha256(found[-1] + block.tobytes()).digest())
    return found[1:]


def gather(cache: NDArray[np.float64], table: Sequence[int], length: int) -> NDArray[np.float64]:
    """Keys or values of a sequence, read through its table.

    Parameters
    ----------
    cache : ndarray, shape (blocks, block_size, width)
    table : sequence of int
    length : int
        Tokens of the sequence.

    Returns
    -------
    ndarray, shape (length, width)

    Examples
    --------
    >>> gather(np.arange(6.0).reshape(3, 2, 1), table=[2, 0], length=3).ravel()
    array([4., 5., 0.])
    """
    return cache[list(table)].reshape(-1, cache.shape[-1])[:length]


def slack_expected(block_size: int) -> float:
    """Places a sequence leaves empty in its last block, where all lengths are equally likely: (b − 1) / 2.

    >>> slack_expected(16)
    7.5
    """
    return (block_size - 1) / 2


def wasted_share(lengths: Iterable[int], block_size: int) -> float:
    """Share of the places in use that hold no token, for sequences that share nothing.

    >>> round(wasted_share([100, 200, 50], 16), 3)
    0.089
    """
    counted = list(lengths)
    places = sum(_ceil(length, block_size) * block_size for length in counted)
    return 1 - sum(counted) / places


def summary(cache: PagedCache) -> Mapping[str, Any]:
    """How full a cache is, in words for a table.

    >>> cache = PagedCache(8, 4)
    >>> _ = cache.open("a", [1, 2, 3, 4, 5])
    >>> dict(summary(cache))
    {'blocks used': 2, 'blocks free': 6, 'blocks saved by sharing': 0, 'empty places in used blocks': 3}
    """
    return {
        "blocks used": cache.used,
        "blocks free": cache.free,
        "blocks saved by sharing": cache.saved,
        "empty places in used blocks": cache.slack,
    }


def _ceil(number: int, size: int) -> int:
    return -(-number // size)
