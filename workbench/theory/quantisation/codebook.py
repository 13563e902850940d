"""Sixteen numbers, or however many: each value becomes the nearest of them, wherever they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.density import Density, Floats, Moments, moments


def rising(levels: ArrayLike) -> Floats:
    """The levels, if there are any and each is above the one before.

    Raises
    ------
    InvalidInput
        If not.
    """
    levels = np.asarray(levels, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not np.all(np.isfinite(levels)) or np.any(np.diff(levels) <= 0):
        raise InvalidInput("levels must be finite numbers in rising order, in one dimension")
    return levels


def edges_of(levels: ArrayLike) -> Floats:
    """Where the nearest level changes: halfway between neighbours; shape (levels - 1,).

    >>> edges_of([-1.0, 0.0, 4.0])
    array([-0.5,  2. ])
    """
    levels = rising(levels)
    return (levels[1:] + levels[:-1]) / 2


def nearest(x: ArrayLike, levels: ArrayLike) -> NDArray[np.intp]:
    """Index of the level nearest to each value, the lower one at a tie; shape of `x`.

    >>> nearest([-9.0, 0.4, 0.6], [-1.0, 0.0, 1.0])
    array([0, 1, 2])
    """
    return np.asarray(np.searchsorted(edges_of(levels), np.asarray(x, dtype=np.float64), side="left"))


def expected_error(levels: ArrayLike, density: Density) -> float:
    """Mean squared error of rounding to the nearest level, exactly: the sum over cells of m2 - 2 q m1 + q² m0.

    Parameters
    ----------
    levels : array_like, shape (levels,)
    density : Density

    Examples
    --------
    One bit for a uniform density, with levels in the middle of its halves:

    >>> from workbench.theory.quantisation.density import Uniform
    >>> round(expected_error([-0.5, 0.5], Uniform()), 6) == round(1 / 12, 6)
    True
    """
    levels = rising(levels)
    mass, first, second = cells(levels, density)
    return float(np.sum(second - 2 * levels * first + levels**2 * mass))


def cells(levels: ArrayLike, density: Density) -> Moments:
    """Mass, first and second moment of what is nearest to each level; three arrays of shape (levels,)."""
    return moments(density, np.concatenate([[-np.inf], edges_of(levels), [np.inf]]))
