"""Uniform quantisation: a number becomes an integer on an evenly spaced grid, and comes back as a multiple of the step.

Two kinds. *Symmetric*: zero lies in the middle of the grid, and the scale alone describes it. *Asymmetric*: the grid
spans from the smallest to the largest value, and an integer zero point says which code means 0. Both are used with one
grid for a whole tensor, for each channel, or for each group of neighbours in a row.

References
----------
Jacob and others, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
arXiv 1712.05877, equation 1: r = S (q - Z), with Z an integer. Krishnamoorthi, arXiv 1806.08342, section 2.
Groups: Frantar and others, "GPTQ", arXiv 2210.17323, section 4, "Additional Tricks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.sharing import finite, in_groups, sharing_axes

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Quantised:
    """A tensor as integers, and what turns them back into numbers.

    Parameters
    ----------
    codes : ndarray of int32, shape of the tensor
        From 0 to 2^bits - 1 (asymmetric), from -2^(bits-1) to 2^(bits-1) - 1 (symmetric).
    scale : ndarray of float64
        The step of the grid, in the tensor's own unit. Without groups it broadcasts against `codes` (its shape is
        (1, …) for a tensor, (channels, 1, …) for channels of axis 0); with groups it is (…, groups).
    zero_point : ndarray of int32, shape of `scale`
        The code that means 0; all 0 where the grid is symmetric.
    bits : int
    symmetric : bool
    group : int or None
        Neighbours along the last axis that share a scale.
    """

    codes: Integers
    scale: Floats
    zero_point: Integers
    bits: int
    symmetric: bool = True
    group: int | None = None

    def values(self) -> Floats:
        """The numbers that the codes stand for, scale × (code - zero point); shape of the tensor."""
        codes = in_groups(self.codes, self.group)
        scale, zero = (_beside(each, self.group) for each in (self.scale, self.zero_point))
        return np.asarray(scale * (codes - zero), dtype=np.float64).reshape(self.codes.shape)

    def bits_per_value(self, scale_bits: int = 16) -> float:
        """Bits stored for each value, its share of scales and zero points included.

        Parameters
        ----------
        scale_bits : int
            Bits of one scale; a zero point takes as many as a code.

        Examples
        --------
        Groups of 128 with a scale of 16 bits and a zero point of 4:

        >>> x = np.arange(256.0)
        >>> quantise(x, 4, symmetric=False, group=128).bits_per_value()
        4.15625
        """
        beside = scale_bits + (0 if self.symmetric else self.bits)
        return self.bits + beside * self.scale.size / self.codes.size


def code_range(bits: int, symmetric: bool = True) -> tuple[int, int]:
    """Lowest and highest code.

    >>> code_range(4), code_range(4, symmetric=False)
    ((-8, 7), (0, 15))

    Raises
    ------
    InvalidInput
        If `bits` is not a whole number from 2 to 16 (1 to 16 if asymmetric).
    """
    least = 2 if symmetric else 1
    if not isinstance(bits, int | np.integer) or isinstance(bits, bool) or not least <= bits <= 16:
        raise InvalidInput(f"bits is {bits!r}; give a whole number from {least} to 16")
    half = 2 ** (int(bits) - 1)
    return (-half, half - 1) if symmetric else (0, 2 * half - 1)


def symmetric_scale(most: ArrayLike, bits: int) -> Floats:
    """The step of a grid whose highest code means `most`: most / (2^(bits-1) - 1).

    The lowest code, -2^(bits-1), is then never needed: 15 of 16 codes of four bits are used.

    Parameters
    ----------
    most : array_like
        Largest magnitude that must be held; 0 gives the step 1, for a grid on which all is zero.

    Examples
    --------
    >>> symmetric_scale(3.5, 4)
    array(0.5)
    """
    _, highest = code_range(bits)
    return _positive(np.asarray(most, dtype=np.float64) / highest)


def asymmetric_scale(low: ArrayLike, high: ArrayLike, bits: int) -> tuple[Floats, Integers]:
    """Step and zero point of a grid from `low` to `high`: (high - low) / (2^bits - 1) and round(-low / step).

    The range is widened to hold 0, so that 0 has a code of its own: padding, ReLU and sparse weights give exact zeros,
    and those must come back as zeros. The zero point is an integer code and not the number `low`.

    Examples
    --------
    >>> asymmetric_scale(-1.0, 2.0, 2)
    (array(1.), array(1, dtype=int32))
    """
    _, highest = code_range(bits, symmetric=False)
    low = np.minimum(np.asarray(low, dtype=np.float64), 0.0)
    high = np.maximum(np.asarray(high, dtype=np.float64), 0.0)
    scale = _positive(high / highest - low / highest)  # each for itself: their difference may overflow
    zero_point = np.clip(np.rint(-low / scale), 0, highest)
    return scale, np.asarray(zero_point, dtype=np.int32)


def encode(x: ArrayLike, scale: ArrayLike, zero_point: ArrayLike, bits: int, symmetric: bool = True) -> Integers:
    """Codes on a given grid: clip(round(x / scale) + zero point), halves to the even code.

    Parameters
    ----------
    x : array_like
    scale, zero_point : array_like
        Broadcast against `x`.

    Examples
    --------
    >>> encode([-9.0, 0.26, 0.75], scale=0.5, zero_point=0, bits=4)
    array([-8,  1,  2], dtype=int32)
    """
    lowest, highest = code_range(bits, symmetric)
    rounded = np.rint(np.asarray(x, dtype=np.float64) / np.asarray(scale)) + np.asarray(zero_point)
    return np.asarray(np.clip(rounded, lowest, highest), dtype=np.int32)


def quantise(
    x: ArrayLike,
    bits: int,
    *,
    symmetric: bool = True,
    axis: int | None = None,
    group: int | None = None,
    limits: tuple[ArrayLike, ArrayLike] | None = None,
) -> Quantised:
    """Round a tensor to integers of so many bits.

    Parameters
    ----------
    x : array_like
        What is quantised; a weight is (outputs, inputs).
    bits : int
        From 2 to 16 (asymmetric: from 1).
    symmetric : bool
        Whether 0 is the middle of the grid, or the grid spans from the least to the largest value.
    axis : int, optional
        One grid for each index along this axis: 0 gives each output channel of a weight its own. Without `axis` and
        `group` the tensor has one.
    group : int, optional
        One grid for so many neighbours along the last axis, which it must divide.
    limits : (low, high), optional
        What the ends of the grid stand for, instead of the least and largest value; what lies beyond is clipped.
        Numbers, or arrays of the scale's shape. A symmetric grid takes the larger magnitude of the two.

    Returns
    -------
    Quantised

    Raises
    ------
    InvalidInput
        If `x` is empty or holds NaN or infinity, `bits` is out of range, both `axis` and `group` are given, the axis
        is none of `x`, `group` does not divide the last axis, or `limits` are not in order.

    Examples
    --------
    >>> x = np.array([[0.1, -0.7, 0.3, 16.0]])
    >>> quantise(x, 4).values().round(2)
    array([[ 0.,  0.,  0., 16.]])
    >>> quantise(x, 4, group=2).values().round(2)
    array([[ 0.1, -0.7,  0. , 16. ]])
    """
    x = finite(x)
    shaped = in_groups(x, group)
    over = sharing_axes(shaped.ndim, axis, group)
    if limits is None:
        low, high = shaped.min(axis=over, keepdims=True), shaped.max(axis=over, keepdims=True)
    else:
        low, high = (_beside(np.asarray(each, dtype=np.float64), group) for each in limits)
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
            raise InvalidInput("limits must be finite numbers, the low one first")
        shape = tuple(1 if at in over else size for at, size in enumerate(shaped.shape))
        low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    if symmetric:
        scale = symmetric_scale(np.maximum(np.abs(low), np.abs(high)), bits)
        zero_point = np.zeros(scale.shape, dtype=np.int32)
    else:
        scale, zero_point = asymmetric_scale(low, high, bits)
    codes = encode(shaped, scale, zero_point, bits, symmetric).reshape(x.shape)
    if group is not None:
        scale, zero_point = scale[..., 0], zero_point[..., 0]
    return Quantised(codes, scale, zero_point, int(bits), symmetric, group)


def _beside(scale: NDArray[Any], group: int | None) -> NDArray[Any]:
    """A scale a group, (…, groups), as (…, groups, 1)."""
    return scale if group is None or scale.ndim == 0 else scale[..., None]


def _positive(scale: Floats) -> Floats:
    """1 where the step would be 0: every value there is 0 (or too small for a step of its own)."""
    return np.where(scale > 0, scale, 1.0)
