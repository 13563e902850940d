"""The longest request that fits, where only "does this length fit" can be asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.memory.ledger import Floats


def longest_request(room: Floats, needed: Callable[[Floats], Floats], most: float) -> Floats:
    """The longest request that needs no more than ``room``, in whole tokens; 0 where none does.

    Parameters
    ----------
    room : ndarray, shape (rows,)
    needed : callable
        Lengths, shape (rows,) -> what such a request needs, shape (rows,); never less for a longer one.
    most : float
        The longest to ask about: it usually fits, so it is asked first.

    Examples
    --------
    >>> longest_request(np.array([1000.0, 1e9]), lambda length: 10 * length, 4096)
    array([ 100., 4096.])
    """
    high = np.full_like(room, most)
    low = np.where(needed(high) <= room, high, 0.0)
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        fits = needed(middle) <= room
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low
