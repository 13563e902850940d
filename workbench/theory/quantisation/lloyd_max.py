"""The levels that lose least: Lloyd's and Max's, found by turns.

Two conditions hold at the optimum. Each value goes to the nearest level, so an edge lies halfway between two levels.
And each level is the mean of what comes to it, since no other number has a smaller squared error there. Taking turns at
both never makes the error larger.

References
----------
Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28, 1982 (written 1957). Max,
"Quantizing for Minimum Distortion", IRE Transactions on Information Theory 6, 1960: equations 3 and 4; table I has the
optimal levels for a normal density, table II those that are evenly spaced. For a normal density the mean of a cell is
(φ(a) - φ(b)) / (Φ(b) - Φ(a)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import InvalidInput
from workbench.theory.quantisation.codebook import cells, expected_error
from workbench.theory.quantisation.density import Density, Floats


@dataclass(frozen=True)
class Found:
    """Levels, their error, and how it fell.

    Parameters
    ----------
    levels : ndarray, shape (count,)
        Rising.
    error : float
        Mean squared error.
    path : ndarray, shape (turns,)
        The error before each turn.
    """

    levels: Floats
    error: float
    path: Floats


def lloyd_max(density: Density, count: int, *, turns: int = 5000, closeness: float = 1e-9) -> Found:
    """Optimal levels for a density.

    Parameters
    ----------
    density : Density
    count : int
        How many levels: 16 for four bits. The search begins with these spread evenly over the density's span.
    turns : int
        Most turns taken.
    closeness : float
        It ends when no level moves by more than this, in root mean squares.

    Raises
    ------
    InvalidInput
        If `count` is not from 1 to 64.

    Examples
    --------
    >>> from workbench.theory.quantisation.density import Normal
    >>> found = lloyd_max(Normal(), 4)
    >>> found.levels.round(3), round(found.error, 4)
    (array([-1.51 , -0.453,  0.453,  1.51 ]), 0.1175)
    """
    if not 1 <= count <= 64:
        raise InvalidInput(f"count is {count}; give a number of levels from 1 to 64")
    size = density.power**0.5
    low, high = density.span
    levels = (low + high) / 2 + spread(count, (high - low) / 2)
    path = []
    for _ in range(turns):
        mass, first, second = cells(levels, density)
        path.append(float(np.sum(second - 2 * levels * first + levels**2 * mass)))
        # The mean of what comes to a level; one to which nothing comes stays where it is.
        moved = np.where(mass > 1e-12, first / np.maximum(mass, 1e-12), levels)
        settled = np.abs(moved - levels).max() <= closeness * size
        levels = moved
        if settled:
            break
    return Found(levels, expected_error(levels, density), np.array(path))


def spread(count: int, reach: float) -> Floats:
    """Levels in the middle of equal parts of -reach … reach.

    >>> spread(4, 1.0)
    array([-0.75, -0.25,  0.25,  0.75])
    """
    return reach * (2 * np.arange(count) + 1 - count) / count


def best_spread(density: Density, count: int) -> Found:
    """Of evenly spaced levels around 0, those that lose least; by golden section over their reach.

    Examples
    --------
    >>> from workbench.theory.quantisation.density import Normal
    >>> round(best_spread(Normal(), 16).error, 4)
    0.0115
    """
    size = density.power**0.5
    reaches = np.linspace(0.1 * size, 2 * max(map(abs, density.span)), 64)
    # More than one valley where the density has sharp ends: look over all of them first.
    at = int(np.argmin([expected_error(spread(count, reach), density) for reach in reaches]))
    low, high = float(reaches[max(at - 1, 0)]), float(reaches[min(at + 1, 63)])
    golden = (5**0.5 - 1) / 2
    path = []
    while high - low > 1e-9 * size:
        inner, outer = high - golden * (high - low), low + golden * (high - low)
        errors = [expected_error(spread(count, reach), density) for reach in (inner, outer)]
        path.append(min(errors))
        low, high = (low, outer) if errors[0] < errors[1] else (inner, high)
    levels = spread(count, (low + high) / 2)
    return Found(levels, expected_error(levels, density), np.array(path))
