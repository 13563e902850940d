"""What rounding costs: the error of a step, and signal to noise in decibels.

A value falls anywhere in its step of width s, so its error is spread evenly over ±s/2 and its square is s²/12 on
average. What that means against the signal depends on how much of the grid the signal fills, and that is where the
well-known 6.02 b + 1.76 dB is misread: the 1.76 belongs to a sine that fills the grid, and no layer's weights are one.

References
----------
Bennett, "Spectra of Quantized Signals", Bell System Technical Journal 27, 1948 (s²/12, and the sine). Overload of a
clipped normal signal: Jayant and Noll, "Digital Coding of Waveforms", 1984, section 4.3.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.codebook import expected_error
from workbench.theory.quantisation.density import Density, Floats, normal_beyond, normal_height
from workbench.theory.quantisation.uniform import code_range, symmetric_scale


def mean_square_error(x: ArrayLike, rounded: ArrayLike) -> float:
    """Mean of (x - rounded)²; both of one shape.

    >>> mean_square_error([1.0, 2.0], [1.0, 2.5])
    0.125
    """
    return float(np.mean(np.square(np.asarray(x, dtype=np.float64) - np.asarray(rounded, dtype=np.float64))))


def decibels(power: float, error: float) -> float:
    """10 log10(power / error) [dB]; infinite without error.

    >>> decibels(1.0, 0.01)
    20.0
    """
    return math.inf if error == 0 else 10 * math.log10(power / error)


def sqnr(x: ArrayLike, rounded: ArrayLike) -> float:
    """Signal to quantisation noise [dB]: the mean of x² over the mean squared error.

    >>> round(sqnr([1.0, -1.0], [0.9, -0.9]), 6)
    20.0
    """
    return decibels(float(np.mean(np.square(np.asarray(x, dtype=np.float64)))), mean_square_error(x, rounded))


def step_error(step: ArrayLike) -> Floats:
    """Mean squared error within the grid: s² / 12; shape of `step`.

    >>> float(step_error(0.5)) == 0.25 / 12
    True
    """
    return np.asarray(np.square(np.asarray(step, dtype=np.float64)) / 12)


def sqnr_uniform(bits: float) -> float:
    """For values spread evenly over the whole grid [dB]: 20 log10(2^b) = 6.02 b.

    Their power is A²/3, and a step of 2A / 2^b costs A² / (3 · 4^b).

    >>> round(sqnr_uniform(8), 2)
    48.16
    """
    return 20 * bits * math.log10(2)


def sqnr_sine(bits: float) -> float:
    """For a sine that fills the grid [dB]: 6.02 b + 10 log10(3/2), which is the 1.76.

    Its power is A²/2 instead of A²/3; the error is the same. For few bits it is an approximation, since a sine's values
    are not spread evenly within each step.

    >>> round(sqnr_sine(8), 2)
    49.93
    """
    return sqnr_uniform(bits) + 10 * math.log10(1.5)


def overload_error(clip: ArrayLike) -> Floats:
    """What clipping at ±`clip` costs values of a standard normal distribution; shape of `clip`.

    Twice ∫ (x - k)² φ(x) dx from k on: 2 [(1 + k²) (1 - Φ(k)) - k φ(k)].

    >>> overload_error([1.0, 3.0]).round(6)
    array([0.15068 , 0.000407])
    """
    clip = np.asarray(clip, dtype=np.float64)
    return np.asarray(2 * ((1 + clip**2) * normal_beyond(clip) - clip * normal_height(clip)))


def sqnr_normal(bits: int, clip: float) -> float:
    """For values of a normal distribution on a symmetric grid that ends at `clip` standard deviations [dB].

    The error is s²/12 within the grid and :func:`overload_error` beyond it. Close where the step is well below a
    standard deviation; :func:`sqnr_of` is exact.

    Parameters
    ----------
    bits : int
    clip : float
        What the highest code stands for [standard deviations].

    Examples
    --------
    >>> round(sqnr_normal(8, 4.0), 1), round(sqnr_normal(8, 6.0), 1)
    (40.5, 37.3)
    """
    step = float(symmetric_scale(_positive(clip), bits))
    inside = 1 - 2 * float(normal_beyond(clip))
    return decibels(1.0, float(step_error(step)) * inside + float(overload_error(clip)))


def sqnr_of(density: Density, bits: int, clip: float) -> float:
    """For any density on a symmetric grid, exactly [dB]: the cells' moments summed.

    Parameters
    ----------
    density : Density
    bits : int
    clip : float
        What the highest code stands for, in the density's own unit.

    Examples
    --------
    >>> from workbench.theory.quantisation.density import Normal
    >>> round(sqnr_of(Normal(), 8, 4.0), 1)
    40.5
    """
    return decibels(density.power, expected_error(grid(bits, clip), density))


def best_clip(density: Density, bits: int, clips: ArrayLike) -> tuple[float, float]:
    """Of some clips the one with the best :func:`sqnr_of`, and that [dB].

    Examples
    --------
    >>> from workbench.theory.quantisation.density import Normal
    >>> clip, found = best_clip(Normal(), 4, np.arange(1.0, 6.0, 0.05))
    >>> round(clip, 2), round(found, 1)
    (2.35, 19.3)
    """
    found = [(sqnr_of(density, bits, float(clip)), float(clip)) for clip in np.asarray(clips, dtype=np.float64)]
    best, clip = max(found)
    return clip, best


def grid(bits: int, clip: float) -> Floats:
    """All values of a symmetric grid whose highest code stands for `clip`; shape (2^bits,).

    >>> grid(3, 1.5)
    array([-2. , -1.5, -1. , -0.5,  0. ,  0.5,  1. ,  1.5])
    """
    lowest, highest = code_range(bits)
    return np.arange(lowest, highest + 1) * symmetric_scale(_positive(clip), bits)


def sqnr_as_often_told(bits: float) -> float:
    """6.02 b + 1.76 dB whatever the values are: right for a sine only, and 10 dB too good for eight-bit weights.

    >>> round(sqnr_as_often_told(8), 1)
    49.9
    """
    return 6.02 * bits + 1.76


def _positive(clip: float) -> float:
    if not (math.isfinite(clip) and clip > 0):
        raise InvalidInput(f"clip is {clip}; give a finite number above 0")
    return clip
