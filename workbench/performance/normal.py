"""The standard normal distribution over arrays: NumPy has neither erf nor its inverse."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def normal_cdf(x: Floats) -> Floats:
    """Share of a standard normal distribution below ``x``; absolute error below 8e-8.

    References
    ----------
    Abramowitz, Stegun, "Handbook of Mathematical Functions", 1964, formula 26.2.17.

    Examples
    --------
    >>> normal_cdf(np.array([-1.0, 0.0, 1.96])).round(4)
    array([0.1587, 0.5   , 0.975 ])
    """
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * series
    return np.asarray(np.where(x < 0, tail, 1 - tail))


def normal_density(x: Floats) -> Floats:
    """exp(−x²/2) / √(2π).

    >>> normal_density(np.array([0.0])).round(4)
    array([0.3989])
    """
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def normal_quantile(share: Floats | float) -> Floats:
    """The x below which ``share`` (0–1) of a standard normal distribution lies; absolute error below 5e-4.

    References
    ----------
    Abramowitz, Stegun, "Handbook of Mathematical Functions", 1964, formula 26.2.23.

    Examples
    --------
    >>> normal_quantile(np.array([0.05, 0.5, 0.975])).round(3) + 0.0
    array([-1.645,  0.   ,  1.96 ])
    """
    share = np.clip(np.asarray(share, float), 1e-9, 1 - 1e-9)
    tail = np.minimum(share, 1 - share)
    t = np.sqrt(-2 * np.log(tail))
    size = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return np.asarray(np.where(share < 0.5, -size, size))
