"""NF4: sixteen levels laid where a normal distribution has its values, scaled to each block's largest magnitude.

The levels are quantiles: seven below 0 and eight above, with 0 itself between, so that an exact 0 stays one. All are
divided by the largest, so that they end at ±1, and a block of 64 weights is divided by its absolute maximum to fit.
Between neighbours lies about the same share of a normal distribution. That is not what makes the squared error least
(:mod:`lloyd_max`), and the table knows nothing of how a block's values are spread once its maximum is 1.

References
----------
Dettmers and others, "QLoRA", arXiv 2305.14314, section 3 and appendix E. What is run is bitsandbytes's table:
``create_normal_map`` in bitsandbytes/functional.py, github:bitsandbytes-foundation/bitsandbytes; quantiles from 1/2 to
0.9677083, which lies halfway between 1 - 1/32 and 1 - 1/30. That the best table depends on the block's size: Yoshida,
arXiv 2306.06965.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.codebook import nearest, rising
from workbench.theory.quantisation.density import Floats
from workbench.theory.quantisation.sharing import finite, in_groups

#: The outermost quantile.
OFFSET = 0.9677083


def normal_quantiles(shares: ArrayLike) -> Floats:
    """Φ⁻¹: below which value such a share of the standard normal distribution lies; shape of `shares`.

    >>> normal_quantiles([0.5, 0.975]).round(3)
    array([0.  , 1.96])
    """
    inverse = NormalDist().inv_cdf
    return np.asarray(np.vectorize(inverse, otypes=[np.float64])(shares))


def normal_float(bits: int = 4, offset: float = OFFSET) -> Floats:
    """The levels of NormalFloat, from -1 to 1; shape (2^bits,).

    Parameters
    ----------
    bits : int
    offset : float
        The outermost quantile, between 1/2 and 1.

    Examples
    --------
    >>> normal_float()[:8].round(3)
    array([-1.   , -0.696, -0.525, -0.395, -0.284, -0.185, -0.091,  0.   ])
    >>> normal_float()[8:].round(3)
    array([0.08 , 0.161, 0.246, 0.338, 0.441, 0.563, 0.723, 1.   ])
    """
    if not 2 <= bits <= 8 or not 0.5 < offset < 1:
        raise InvalidInput(f"bits must be from 2 to 8 and offset between 0.5 and 1, not {bits} and {offset}")
    half = 2 ** (bits - 1)
    positive = normal_quantiles(np.linspace(0.5, offset, half + 1)[1:])
    negative = -normal_quantiles(np.linspace(0.5, offset, half)[1:])
    return np.asarray(np.sort(np.concatenate([negative, [0.0], positive])) / positive.max())


def normal_float_as_often_told(bits: int = 4) -> Floats:
    """Φ⁻¹((i + 1/2) / 2^b): the medians of 2^b equally likely parts; shape (2^bits,).

    It has no 0, is symmetric, and does not end at ±1. No library that loads NF4 uses it.

    >>> normal_float_as_often_told(2).round(3)
    array([-1.15 , -0.319,  0.319,  1.15 ])
    """
    count = 2**bits
    return normal_quantiles((np.arange(count) + 0.5) / count)


@dataclass(frozen=True)
class BlockCodes:
    """A tensor as indices into a table of levels, with a magnitude for each block.

    Parameters
    ----------
    codes : ndarray of uint8, shape of the tensor
    absmax : ndarray, shape (…, blocks)
        Largest magnitude of each block.
    levels : ndarray, shape (levels,)
        From -1 to 1.
    block : int
        Neighbours along the last axis that share a magnitude.
    """

    codes: NDArray[np.uint8]
    absmax: Floats
    levels: Floats
    block: int

    def values(self) -> Floats:
        """The numbers that the codes stand for; shape of the tensor."""
        level = in_groups(self.levels[self.codes], self.block)
        return np.asarray(level * self.absmax[..., None]).reshape(self.codes.shape)

    def bits_per_value(self, absmax_bits: float = 32) -> float:
        """Bits of a code and its share of a magnitude's.

        Parameters
        ----------
        absmax_bits : float
            32 as a float; 8 + 32/256 where the magnitudes are quantised again, 256 together (double quantisation,
            QLoRA section 3).

        Examples
        --------
        >>> quantised = quantise_blocks(np.arange(64.0), normal_float())
        >>> quantised.bits_per_value(), round(quantised.bits_per_value(8 + 32 / 256), 3)
        (4.5, 4.127)
        """
        return float(np.log2(self.levels.size)) + absmax_bits / self.block


def quantise_blocks(x: ArrayLike, levels: ArrayLike, block: int = 64) -> BlockCodes:
    """Divide each block by its largest magnitude, and take the nearest level.

    Parameters
    ----------
    x : array_like
        Blocks lie along its last axis. (bitsandbytes cuts the flattened matrix, which is the same where a row is a
        multiple of the block.)
    levels : array_like, shape (at most 256,)
        Rising, from -1 to 1: :func:`normal_float`, or any other table.
    block : int

    Examples
    --------
    >>> x = np.array([0.1, -2.0, 0.0, 0.7])
    >>> quantise_blocks(x, normal_float(), block=4).values().round(3)
    array([ 0.159, -2.   ,  0.   ,  0.676])
    """
    x, levels = finite(x), rising(levels)
    if levels.size > 256:
        raise InvalidInput("a code is one byte: give at most 256 levels")
    blocks = in_groups(x, block)
    absmax = np.abs(blocks).max(axis=-1)
    shrunk = blocks / np.where(absmax > 0, absmax, 1.0)[..., None]
    return BlockCodes(nearest(shrunk, levels).astype(np.uint8).reshape(x.shape), absmax, levels, block)
