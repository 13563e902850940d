"""How values are spread, as what a quantiser must know of it: mass and moments between two edges, in closed form.

The error of rounding x to a level q, over a cell from a to b, is ∫ (x - q)² p(x) dx = m2 - 2 q m1 + q² m0, with the
cell's moments mk = ∫ xᵏ p(x) dx. So whoever knows three moments of every cell knows the error exactly, with no sample.

References
----------
Moments of a truncated normal: Johnson, Kotz and Balakrishnan, "Continuous Univariate Distributions", volume 1, 1994,
section 13.10. The others by integration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.theory.quantisation.sharing import finite

Floats = NDArray[np.float64]
#: Mass, first and second moment of each cell.
Moments = tuple[Floats, Floats, Floats]


class Density(Protocol):
    """What every density can say."""

    @property
    def power(self) -> float:
        """Mean of x²."""
        ...

    @property
    def span(self) -> tuple[float, float]:
        """Between which two numbers all or nearly all of it lies: where a search for levels begins."""
        ...

    def below(self, edge: ArrayLike) -> Moments:
        """Mass, first and second moment of what lies below each edge, which may be infinite; shapes of `edge`."""
        ...


def moments(density: Density, edges: ArrayLike) -> Moments:
    """Mass, first and second moment between neighbouring edges.

    Parameters
    ----------
    density : Density
    edges : array_like, shape (cells + 1,)
        Rising; the outer ones may be infinite.

    Returns
    -------
    three ndarrays, each of shape (cells,)

    Examples
    --------
    >>> mass, first, second = moments(Normal(), [-np.inf, 0.0, np.inf])
    >>> mass, first.round(4), second
    (array([0.5, 0.5]), array([-0.3989,  0.3989]), array([0.5, 0.5]))
    """
    mass, first, second = (np.diff(each) for each in density.below(edges))
    return mass, first, second


@dataclass(frozen=True)
class Normal:
    """Mean 0, variance 1: near enough to a layer's weights."""

    power: float = 1.0
    span: tuple[float, float] = (-3.0, 3.0)

    def below(self, edge: ArrayLike) -> Moments:
        """See :class:`Density`: Φ(t), -φ(t), Φ(t) - t φ(t)."""
        edge = np.asarray(edge, dtype=np.float64)
        mass = _normal_below(edge)
        height = normal_height(edge)
        reach = np.where(np.isinf(edge), 0.0, edge)  # t φ(t) goes to 0 at both ends
        return mass, -height, mass - reach * height


@dataclass(frozen=True)
class Laplace:
    """Mean 0, variance 1 and long tails: p(x) = exp(-√2 |x|) / √2."""

    power: float = 1.0
    span: tuple[float, float] = (-5.0, 5.0)

    def below(self, edge: ArrayLike) -> Moments:
        """See :class:`Density`."""
        edge = np.asarray(edge, dtype=np.float64)
        width = math.sqrt(0.5)
        far = np.abs(np.where(np.isinf(edge), 0.0, edge))
        tail = 0.5 * np.exp(-np.abs(edge) / width)  # the mass beyond |t|, on one side
        mass = np.where(edge < 0, tail, 1 - tail)
        second = tail * (far**2 + 2 * width * far + 2 * width**2)
        return mass, -tail * (far + width), np.where(edge < 0, second, self.power - second)


@dataclass(frozen=True)
class Uniform:
    """Every value from -1 to 1 as often."""

    power: float = 1 / 3
    span: tuple[float, float] = (-1.0, 1.0)

    def below(self, edge: ArrayLike) -> Moments:
        """See :class:`Density`."""
        edge = np.clip(np.asarray(edge, dtype=np.float64), -1.0, 1.0)
        return (edge + 1) / 2, (edge**2 - 1) / 4, (edge**3 + 1) / 6


@dataclass(frozen=True)
class Sine:
    """The values of a sine of amplitude 1, which stays longest near its ends: p(x) = 1 / (π √(1 - x²))."""

    power: float = 1 / 2
    span: tuple[float, float] = (-1.0, 1.0)

    def below(self, edge: ArrayLike) -> Moments:
        """See :class:`Density`."""
        edge = np.clip(np.asarray(edge, dtype=np.float64), -1.0, 1.0)
        mass = 0.5 + np.arcsin(edge) / math.pi
        across = np.sqrt(1 - edge**2) / math.pi
        return mass, -across, (mass - edge * across) / 2


class Sampled:
    """What was seen, each value with a weight.

    Parameters
    ----------
    values : array_like
        Of any shape.
    weights : array_like, optional
        How much each counts, in the shape of `values`; all the same without it.
    """

    def __init__(self, values: ArrayLike, weights: ArrayLike | None = None) -> None:
        values = finite(values).ravel()
        each = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
        order = np.argsort(values)
        self._values, each = values[order], each[order] / each.sum()
        self._sums = [np.concatenate([[0.0], np.cumsum(each * self._values**power)]) for power in range(3)]

    @property
    def power(self) -> float:
        """Weighted mean of x²."""
        return float(self._sums[2][-1])

    @property
    def span(self) -> tuple[float, float]:
        """The least and the largest value."""
        return float(self._values[0]), float(self._values[-1])

    def below(self, edge: ArrayLike) -> Moments:
        """See :class:`Density`."""
        at = np.searchsorted(self._values, np.asarray(edge, dtype=np.float64))
        mass, first, second = (sums[at] for sums in self._sums)
        return mass, first, second


def normal_height(x: ArrayLike) -> Floats:
    """φ(x), the density of the standard normal distribution; shape of `x`."""
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def normal_beyond(x: ArrayLike) -> Floats:
    """1 - Φ(x) = erfc(x / √2) / 2, exact in the far tail too; shape of `x`.

    >>> normal_beyond([0.0, 6.0])
    array([5.00000000e-01, 9.86587645e-10])
    """
    return np.asarray(_erfc(np.asarray(x, dtype=np.float64) / math.sqrt(2)) / 2)


def _normal_below(x: Floats) -> Floats:
    return normal_beyond(-x)


_erfc = np.vectorize(math.erfc, otypes=[np.float64])
