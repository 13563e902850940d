"""How many requests a cache holds at once, and how much of it is put to use: in pages, and reserved beforehand.

Before paging, a request took one piece of memory for all it might become. Three losses follow: places reserved for
tokens that come later, places for tokens that never come, and holes between pieces that nothing fits into. Here
requests arrive in order, as many as find room, and all grow by one token a step; each way of giving them room is a
class.

References
----------
Kwon et al., "PagedAttention", arXiv 2309.06180, section 3.1 and figure 2: 20.4 % of the cache held tokens where the
longest was reserved ("Orca (Max)"), 26.8 % where the answer was reserved up to the next power of two, 38.2 % where its
exact length was, which nobody knows beforehand, and 96.3 % in pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and what is answered [tokens]."""

    prompt: int
    answer: int

    def __post_init__(self) -> None:
        if self.prompt < 1 or self.answer < 1:
            raise InvalidInput(f"a request of {self.prompt} and {self.answer} tokens; both must be at least 1")

    @property
    def length(self) -> int:
        """Tokens it has in the end."""
        return self.prompt + self.answer


class Room(Protocol):
    """A way of giving requests room in a cache of ``places`` tokens."""

    places: int

    def admit(self, number: int, request: Request) -> bool:
        """Give it room to begin, or say no and change nothing."""
        ...

    def grow(self, number: int, tokens: int) -> bool:
        """Room for so many tokens in all, or no."""
        ...

    def leave(self, number: int) -> None:
        """It has ended."""
        ...

    def held(self) -> int:
        """Places given away."""
        ...

    def owners(self) -> NDArray[np.int64]:
        """Who holds each place, −1 where it is free; shape (places,)."""
        ...

    def filled(self, number: int, tokens: int) -> NDArray[np.int64]:
        """Places that hold its first tokens; shape (tokens,)."""
        ...


@dataclass
class Reserved:
    """One piece a request, first place it fits, from the first token to the last.

    Parameters
    ----------
    places : int
        Tokens the cache holds.
    """

    places: int
    _pieces: dict[int, slice] = field(default_factory=dict, init=False)

    def reserved(self, request: Request) -> int:
        """Places asked for beforehand."""
        raise NotImplementedError

    def admit(self, number: int, request: Request) -> bool:
        wanted, begin = self.reserved(request), 0
        for piece in sorted(self._pieces.values(), key=lambda piece: piece.start):
            if piece.start - begin >= wanted:
                break
            begin = piece.stop
        if begin + wanted > self.places:
            return False
        self._pieces[number] = slice(begin, begin + wanted)
        return True

    def grow(self, number: int, tokens: int) -> bool:
        return True

    def leave(self, number: int) -> None:
        del self._pieces[number]

    def held(self) -> int:
        return sum(piece.stop - piece.start for piece in self._pieces.values())

    def owners(self) -> NDArray[np.int64]:
        found = np.full(self.places, -1)
        for number, piece in self._pieces.items():
            found[piece] = number
        return found

    def filled(self, number: int, tokens: int) -> NDArray[np.int64]:
        begin = self._pieces[number].start
        return np.arange(begin, begin + tokens)


@dataclass
class Longest(Reserved):
    """Every request gets what the longest may need: ``longest`` [tokens]."""

    longest: int = 2048

    def reserved(self, request: Request) -> int:
        return max(self.longest, request.length)


@dataclass
class PowerOfTwo(Reserved):
    """The prompt, and the next power of two of the answer."""

    def reserved(self, request: Request) -> int:
        return request.prompt + (1 << (request.answer - 1).bit_length())


@dataclass
class Exact(Reserved):
    """The final length to the token, as if it were known."""

    def reserved(self, request: Request) -> int:
        return request.length


@dataclass
class Paged:
    """Blocks of ``block_size`` tokens, taken as they are needed, wherever they lie.

    A request is let in where its prompt finds room and a block a running request is left to grow into.
    """

    places: int
    block_size: int = 16
    _tables: dict[int, list[int]] = field(default_factory=dict, init=False)
    _free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise InvalidInput(f"block_size is {self.block_size!r}; it must be at least 1")
        self._free = list(range(self.places // self.block_size))[::-1]

    def admit(self, number: int, request: Request) -> bool:
        if -(-request.prompt // self.block_size) + len(self._tables) > len(self._free):
            return False
        self._tables[number] = []
        return self.grow(number, request.prompt)

    def grow(self, number: int, tokens: int) -> bool:
        table = self._tables[number]
        wanted = -(-tokens // self.block_size) - len(table)
        if wanted > len(self._free):
            return False
        table.extend(self._free.pop() for _ in range(wanted))
        return True

    def leave(self, number: int) -> None:
        self._free.extend(reversed(self._tables.pop(number)))

    def held(self) -> int:
        return self.block_size * sum(map(len, self._tables.values()))

    def owners(self) -> NDArray[np.int64]:
        found = np.full(self.places, -1)
        for number, table in self._tables.items():
            for block in table:
                found[block * self.block_size : (block + 1) * self.block_size] = number
        return found

    def filled(self, number: int, tokens: int) -> NDArray[np.int64]:
        blocks = np.asarray(self._tables[number])[:, None] * self.block_size
        return np.asarray((blocks + np.arange(self.block_size)).ravel()[:tokens])


#: What a place of the cache is: free, held for nothing yet, or a token's.
FREE, HELD, FILLED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Played:
    """A run of all requests.

    Parameters
    ----------
    running : ndarray, shape (steps,)
        Requests at each step.
    filled, held : ndarray, shape (steps,)
        Share of the places that hold a token, and share given away, those among them.
    sent_back : int
        How often a request lost its place, to begin anew, because another could not grow.
    waited : int
        Steps at which requests still waited for room: only then does room decide how many run.
    snapshot : ndarray, shape (places,)
        FREE, HELD or FILLED, at the step that was asked for.
    """

    running: NDArray[np.int64]
    filled: NDArray[np.float64]
    held: NDArray[np.float64]
    sent_back: int
    waited: int
    snapshot: NDArray[np.int64]

    @property
    def share_filled(self) -> float:
        """Mean share of the places that hold a token, while requests wait."""
        return float(self.filled[: self.waited or None].mean())

    @property
    def mean_running(self) -> float:
        """Mean number of requests at once, while others wait."""
        return float(self.running[: self.waited or None].mean())


def play(room: Room, requests: Sequence[Request], snapshot: int = 0) -> Played:
    """Serve requests in order: let in those that find room, grow all by one token, let go those that are done.

    Where a request cannot grow, the one let in last is sent back to the head of the queue and begins anew.

    Parameters
    ----------
    room : Room
        Empty: :class:`Longest`, :class:`PowerOfTwo`, :class:`Exact` or :class:`Paged`.
    requests : sequence of Request
    snapshot : int
        The step at which every place is written down; the last one if there are fewer.

    Returns
    -------
    Played

    Raises
    ------
    InvalidInput
        If a request does not fit even alone.

    Examples
    --------
    Four requests that could become 64 tokens long and become 24, in 128 places.

    >>> requests = [Request(8, 16)] * 4
    >>> [int(play(room, requests).running.max()) for room in (Longest(128, 64), Paged(128, 8))]
    [2, 4]
    """
    waiting = list(range(len(requests)))[::-1]
    lengths: dict[int, int] = {}
    running: list[int] = []
    filled: list[float] = []
    held: list[float] = []
    sent_back = waited = 0
    seen = np.full(room.places, FREE)
    while waiting or lengths:
        while waiting and room.admit(waiting[-1], requests[waiting[-1]]):
            number = waiting.pop()
            lengths[number] = requests[number].prompt
        if not lengths:
            raise InvalidInput(f"request {waiting[-1]} does not fit even alone; give the cache more places")
        sent_back += _grow(room, lengths, waiting)
        ends = not waiting and all(tokens == requests[n].length for n, tokens in lengths.items())
        if len(running) == snapshot or (ends and len(running) < snapshot):
            seen = _seen(room, lengths)
        running.append(len(lengths))
        waited = len(running) if waiting else waited
        filled.append(sum(lengths.values()) / room.places)
        held.append(room.held() / room.places)
        for number in [n for n, tokens in lengths.items() if tokens == requests[n].length]:
            room.leave(number)
            del lengths[number]
    return Played(np.asarray(running), np.asarray(filled), np.asarray(held), sent_back, waited, seen)


def _grow(room: Room, lengths: dict[int, int], waiting: list[int]) -> int:
    """One more token for each, first come first served; how many were sent back for it."""
    sent_back = 0
    for number in list(lengths):
        if number not in lengths:
            continue
        while not room.grow(number, lengths[number] + 1):
            last = list(lengths)[-1]
            if last == number and len(lengths) == 1:
                raise InvalidInput(f"request {number} does not fit even alone; give the cache more places")
            room.leave(last)
            del lengths[last]
            waiting.append(last)
            sent_back += 1
            if last == number:
                break
        else:
            lengths[number] += 1
    return sent_back


def _seen(room: Room, lengths: dict[int, int]) -> NDArray[np.int64]:
    found = np.where(room.owners() >= 0, HELD, FREE)
    for number, tokens in lengths.items():
        found[room.filled(number, tokens)] = FILLED
    return found
