"""Floating point in eight bits: E4M3 for weights and activations, E5M2 for a wider range.

A code is a sign, an exponent e and a mantissa m of M bits. Normal numbers are (1 + m / 2^M) 2^(e - bias); with e = 0
the leading 1 is missing, (m / 2^M) 2^(1 - bias), and the step no longer shrinks: these are the subnormal numbers. So
the error of a float is relative down to the smallest normal number and absolute below it.

References
----------
Micikevicius and others, "FP8 Formats for Deep Learning", arXiv 2209.05433, table 1. Open Compute Project, "OCP 8-bit
Floating Point Specification (OFP8)", revision 1.0. E4M3 as in torch (``float8_e4m3fn``: finite, NaN only) and
ml_dtypes, github:jax-ml/ml_dtypes. AMD's MI300 has a variant with another bias, ``e4m3fnuz``, whose largest number is
240.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.sharing import finite, sharing_axes

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class FloatFormat:
    """A floating-point format of at most eight bits.

    Parameters
    ----------
    name : str
    exponent_bits, mantissa_bits : int
    specials : {"infinity and NaN", "NaN", "none"}
        What the highest codes mean. As in IEEE 754, a whole exponent for infinity and NaN; or the very highest code for
        NaN, which leaves the rest of that exponent to numbers; or nothing.

    Examples
    --------
    >>> E4M3FN.largest, E4M3FN.smallest_normal, E4M3FN.smallest
    (448.0, 0.015625, 0.001953125)
    >>> E5M2.largest
    57344.0
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    specials: Literal["infinity and NaN", "NaN", "none"]

    @property
    def bits(self) -> int:
        """Bits of a code: a sign, exponent and mantissa."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """What is taken from the stored exponent: 2^(exponent bits - 1) - 1."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def highest_code(self) -> int:
        """Code of the largest number, without its sign."""
        special = {"infinity and NaN": 1 << self.mantissa_bits, "NaN": 1, "none": 0}
        return (1 << (self.bits - 1)) - 1 - special[self.specials]

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return float(self.decode(self.highest_code))

    @property
    def smallest_normal(self) -> float:
        """2^(1 - bias): below it there are fewer bits of mantissa."""
        return float(2.0 ** (1 - self.bias))

    @property
    def smallest(self) -> float:
        """The smallest positive number, which is subnormal: 2^(1 - bias - mantissa bits)."""
        return float(2.0 ** (1 - self.bias - self.mantissa_bits))

    @property
    def relative_error(self) -> float:
        """Largest error of a normal number over the number itself, 1 / (2^(M+1) + 1): halfway up from a power of two.

        >>> round(E4M3FN.relative_error, 4)
        0.0588
        """
        return float(1 / (2 ** (self.mantissa_bits + 1) + 1))

    def values(self) -> Floats:
        """Every finite number of the format once, in order."""
        positive = self.decode(np.arange(self.highest_code + 1))
        return np.concatenate([-positive[:0:-1], positive])

    def exponent(self, x: ArrayLike) -> NDArray[np.int64]:
        """floor(log2 |x|), and the exponent of the smallest normal number for all below it; shape of `x`.

        >>> E4M3FN.exponent([0.0, 0.001, 0.5, 448.0])
        array([-6, -6, -1,  8])
        """
        x = np.abs(np.asarray(x, dtype=np.float64))
        _, above = np.frexp(x)  # |x| = f 2^above with 1/2 <= f < 1
        return np.where(x < self.smallest_normal, 1 - self.bias, above.astype(np.int64) - 1)

    def step(self, x: ArrayLike) -> Floats:
        """The distance between neighbours at `x`, as though there were no largest number; shape of `x`.

        >>> E4M3FN.step([0.001, 1.0, 1.9, 300.0])
        array([1.953125e-03, 1.250000e-01, 1.250000e-01, 3.200000e+01])
        """
        return np.asarray(np.exp2(self.exponent(x) - float(self.mantissa_bits)))

    def decode(self, codes: ArrayLike) -> Floats:
        """The numbers that codes stand for; shape of `codes`.

        >>> E4M3FN.decode([0x00, 0x01, 0x08, 0x38, 0x7E, 0xFE, 0x7F])
        array([ 0.000000e+00,  1.953125e-03,  1.562500e-02,  1.000000e+00,
                4.480000e+02, -4.480000e+02,           nan])
        """
        codes = np.asarray(codes)
        if codes.dtype.kind not in "ui" or np.any((codes < 0) | (codes >= 2**self.bits)):
            raise InvalidInput(f"codes of {self.name} are whole numbers from 0 to {2**self.bits - 1}")
        codes = codes.astype(np.int64)
        magnitude = codes & (2 ** (self.bits - 1) - 1)
        exponent, mantissa = magnitude >> self.mantissa_bits, magnitude & (2**self.mantissa_bits - 1)
        leading = np.where(exponent > 0, 2**self.mantissa_bits, 0)
        number = (leading + mantissa) * np.exp2(np.maximum(exponent, 1) - self.bias - float(self.mantissa_bits))
        beyond = np.where((self.specials == "infinity and NaN") & (mantissa == 0), np.inf, np.nan)
        number = np.where(magnitude > self.highest_code, beyond, number)
        return np.where(codes >= 2 ** (self.bits - 1), -number, number)

    def encode(self, x: ArrayLike, saturate: bool = True) -> Codes:
        """Codes of the nearest numbers, halves to the even mantissa.

        Parameters
        ----------
        x : array_like
        saturate : bool
            What is too large becomes the largest number; otherwise infinity, or NaN where the format has none. Both are
            allowed by OFP8, and libraries differ: torch's cast to E4M3 saturates since 2.12
            (https://github.com/pytorch/pytorch/pull/178817), before it gave NaN, as ml_dtypes does; its cast to E5M2
            gives infinity. Quantisers saturate.

        Returns
        -------
        ndarray of uint8, shape of `x`

        Raises
        ------
        InvalidInput
            If something has no code: NaN, or without saturation what is too large, in a format without specials.

        Examples
        --------
        464 lies between 448 and the 480 that would come next, and goes to the even one:

        >>> E4M3FN.decode(E4M3FN.encode([0.3, 464.0, 500.0]))
        array([3.125e-01, 4.480e+02, 4.480e+02])
        >>> E4M3FN.decode(E4M3FN.encode([0.3, 464.0, 500.0], saturate=False))
        array([3.125e-01, 4.480e+02,       nan])
        """
        x = np.asarray(x, dtype=np.float64)
        nan = np.isnan(x)
        if saturate:
            x = np.clip(x, -self.largest, self.largest)
        # Beyond twice the largest number nothing changes any more, and infinity has no step.
        size = np.where(nan, 0.0, np.minimum(np.abs(x), 2 * self.largest))
        steps = np.rint(size / self.step(size)).astype(np.int64)
        # Of 2^M steps a normal number's first are its leading 1, which is not stored; of a subnormal number none are.
        # One that rounds up to the next power of two carries into the exponent by itself.
        codes = (self.exponent(size) + self.bias - 1) * 2**self.mantissa_bits + steps
        if self.specials == "none" and (nan.any() or (codes > self.highest_code).any()):
            raise InvalidInput(
                f"{self.name} has neither NaN nor infinity: clip to {self.largest:g} and remove NaN first"
            )
        codes = np.minimum(codes, self.highest_code + 1)  # infinity, or NaN where there is none
        codes = np.where(nan, 2 ** (self.bits - 1) - 1, codes)
        return np.asarray(codes + np.signbit(x) * 2 ** (self.bits - 1), dtype=np.uint8)

    def round(self, x: ArrayLike, saturate: bool = True) -> Floats:
        """The nearest numbers of the format; see :meth:`encode`."""
        return self.decode(self.encode(x, saturate))


#: Three bits of mantissa and up to 448: NaN is the only special.
E4M3FN = FloatFormat("E4M3FN", 4, 3, "NaN")
#: The upper byte of a half: two bits of mantissa and up to 57344, with infinity.
E5M2 = FloatFormat("E5M2", 5, 2, "infinity and NaN")


@dataclass(frozen=True)
class ScaledFloats:
    """A tensor as codes of a small float with a scale.

    Parameters
    ----------
    codes : ndarray of uint8, shape of the tensor
    scale : ndarray of float64
        Broadcasts against `codes`.
    format : FloatFormat
    """

    codes: Codes
    scale: Floats
    format: FloatFormat

    def values(self) -> Floats:
        """The numbers that the codes stand for; shape of the tensor."""
        return np.asarray(self.scale * self.format.decode(self.codes))


def quantise_float(x: ArrayLike, format: FloatFormat = E4M3FN, *, axis: int | None = None) -> ScaledFloats:
    """Scale a tensor so that its largest magnitude is the format's largest number, and round.

    Parameters
    ----------
    x : array_like
    format : FloatFormat
    axis : int, optional
        A scale for each index along this axis; without it one for the tensor.

    Examples
    --------
    >>> quantise_float([0.01, 0.5, 7.0]).values().round(4)
    array([0.0098, 0.5   , 7.    ])
    """
    x = finite(x)
    most = np.abs(x).max(axis=sharing_axes(x.ndim, axis), keepdims=True)
    scale = np.where(most > 0, most / format.largest, 1.0)
    return ScaledFloats(format.encode(x / scale), scale, format)


def e4m3_as_often_told(x: ArrayLike) -> Floats:
    """E4M3 as some simulators make it: three bits of mantissa down to 2^-9, which they call the smallest normal number.

    The format's smallest normal number is 2^-6. Between 2^-9 and 2^-6 this keeps bits that the format does not have, so
    it makes the error of small values too small.

    Examples
    --------
    >>> e4m3_as_often_told([0.0033]), E4M3FN.round([0.0033])
    (array([0.00341797]), array([0.00390625]))
    """
    x = np.clip(np.asarray(x, dtype=np.float64), -448.0, 448.0)
    _, above = np.frexp(x)
    step = np.exp2(above - 1.0 - 3)
    return np.where(np.abs(x) < 2.0**-9, 0.0, np.rint(x / step) * step)
