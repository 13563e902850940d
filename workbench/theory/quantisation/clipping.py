"""Where the grid ends: calibrators look at values and say what its ends stand for.

A wide grid clips nothing and has coarse steps; a narrow one has fine steps and cuts the outliers. With few bits,
cutting pays; with eight it rarely does.

References
----------
Wu and others, "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation", arXiv
2004.09602 (maximum, percentile). Search for the least squared error: Banner and others, arXiv 1810.05723; Nagel and
others, "A White Paper on Neural Network Quantization", arXiv 2106.08295, "Quantization range setting".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.error import mean_square_error
from workbench.theory.quantisation.sharing import finite
from workbench.theory.quantisation.uniform import quantise


class Limits(NamedTuple):
    """What the ends of a grid stand for; ``quantise(x, bits, limits=…)`` takes it.

    Parameters
    ----------
    low, high : float
    """

    low: float
    high: float


def min_max(x: ArrayLike) -> Limits:
    """The least and the largest value: nothing is clipped, and one outlier decides.

    >>> min_max([-1.0, 0.5, 20.0])
    Limits(low=-1.0, high=20.0)
    """
    x = finite(x)
    return Limits(float(x.min()), float(x.max()))


def k_sigma(x: ArrayLike, k: float) -> Limits:
    """The mean and k standard deviations to either side.

    >>> k_sigma([-1.0, 1.0], 3.0)
    Limits(low=-3.0, high=3.0)
    """
    if not (math.isfinite(k) and k > 0):
        raise InvalidInput(f"k is {k}; give a finite number above 0")
    x = finite(x)
    mean, deviation = float(x.mean()), float(x.std())
    return Limits(mean - k * deviation, mean + k * deviation)


def coverage(k: float) -> float:
    """Share of a normal distribution within k standard deviations: erf(k / √2).

    99.7 % belongs to k = 3. At k = 6 it is two values in a thousand million that lie outside.

    >>> round(coverage(3.0), 4), f"{1 - coverage(6.0):.1e}"
    (0.9973, '2.0e-09')
    """
    return math.erf(k / math.sqrt(2))


def percentile(x: ArrayLike, share: float) -> Limits:
    """The values between which the middle `share` of all lie.

    >>> percentile(np.arange(101.0), 0.5)
    Limits(low=25.0, high=75.0)
    """
    if not 0 < share <= 1:
        raise InvalidInput(
            f"share is {share}; give what is kept, above 0 and at most 1 (0.999 clips one in a thousand)"
        )
    low, high = np.quantile(finite(x), [(1 - share) / 2, (1 + share) / 2])
    return Limits(float(low), float(high))


def least_error(x: ArrayLike, bits: int, *, symmetric: bool = True, candidates: int = 100) -> Limits:
    """Of the value range shrunk by equal parts, the one that rounds with the least mean squared error.

    Parameters
    ----------
    x : array_like
    bits : int
    symmetric : bool
        As of :func:`uniform.quantise`, for which the range is searched.
    candidates : int
        The whole range is one of them, so the result is never worse than :func:`min_max`.

    Examples
    --------
    >>> x = np.append(np.linspace(-1.0, 1.0, 201), 10.0)
    >>> limits = least_error(x, 4)
    >>> round(limits.high, 1)
    6.7
    """
    if candidates < 1:
        raise InvalidInput(f"candidates is {candidates}; give at least 1")
    x = finite(x)
    low, high = min_max(x)
    shrunk = [Limits(low * part / candidates, high * part / candidates) for part in range(candidates, 0, -1)]
    return min(
        shrunk, key=lambda each: mean_square_error(x, quantise(x, bits, symmetric=symmetric, limits=each).values())
    )
