"""Which values share a scale: a whole tensor, a channel, or a group of neighbours in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput


def finite(x: ArrayLike) -> NDArray[np.float64]:
    """The array in double precision, if it holds something and all of it is finite.

    Raises
    ------
    InvalidInput
        If it is empty or holds NaN or infinity.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.size == 0:
        raise InvalidInput("there is nothing to quantise: the array is empty")
    if not np.all(np.isfinite(x)):
        raise InvalidInput("the array holds NaN or infinity; no scale fits these, so remove them first")
    return x


def in_groups(x: NDArray[Any], group: int | None) -> NDArray[Any]:
    """Shape (…, inputs) as (…, groups, group); as it is without a group.

    >>> in_groups(np.arange(6.0).reshape(1, 6), 3).shape
    (1, 2, 3)

    Raises
    ------
    InvalidInput
        If the group does not divide the last axis.
    """
    if group is None:
        return x
    if group < 1 or x.ndim == 0 or x.shape[-1] % group:
        raise InvalidInput(f"group is {group}; give a whole number that divides the last axis of {x.shape}")
    return x.reshape(*x.shape[:-1], -1, group)


def sharing_axes(dimensions: int, axis: int | None = None, group: int | None = None) -> tuple[int, ...]:
    """The axes along which one scale serves all values.

    Parameters
    ----------
    dimensions : int
        Of the array, after :func:`in_groups`.
    axis : int, optional
        Each index along it has a scale of its own.
    group : int, optional
        Groups lie along the last axis.

    Examples
    --------
    A weight (outputs, inputs) with a scale for each output, and for the whole:

    >>> sharing_axes(2, axis=0), sharing_axes(2)
    ((1,), (0, 1))

    Raises
    ------
    InvalidInput
        If both are given, or there is no such axis.
    """
    if axis is not None and group is not None:
        raise InvalidInput("give axis or group, not both: a group already lies within one channel")
    if group is not None:
        return (dimensions - 1,)
    if axis is None:
        return tuple(range(dimensions))
    if not -dimensions <= axis < dimensions:
        raise InvalidInput(f"axis is {axis}; the array has {dimensions} axes, counted from 0")
    return tuple(each for each in range(dimensions) if each != axis % dimensions)
