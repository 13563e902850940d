"""A slow, large memory that counts what is read from it and written to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(slots=True)
class SlowMemory:
    """A GPU's main memory (HBM) in the loops of this room: what computes reads blocks from it and writes them back.

    Attributes
    ----------
    read, written : int
        Numbers moved so far, whatever their width [elements].

    Examples
    --------
    >>> memory, matrix = SlowMemory(), np.ones((8, 4))
    >>> block = memory.load(matrix, slice(0, 2))
    >>> memory.store(matrix, slice(2, 4), 2 * block)
    >>> memory.read, memory.written, memory.moved
    (8, 8, 16)
    """

    read: int = field(default=0)
    written: int = field(default=0)

    def load(self, array: Floats, rows: slice) -> Floats:
        """Rows of an array, copied to where they are computed with."""
        block = array[rows].copy()
        self.read += block.size
        return block

    def store(self, array: Floats, rows: slice, block: Floats) -> None:
        """Write rows back."""
        array[rows] = block
        self.written += block.size

    @property
    def moved(self) -> int:
        """Read and written together [elements]."""
        return self.read + self.written
