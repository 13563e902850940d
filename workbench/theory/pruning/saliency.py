"""How much a weight is worth: what the loss is told to rise by without it.

Around a minimum the loss is a bowl: it has no slope, and its curvature says what moving a weight costs. Optimal brain
damage moves one weight to zero and looks at its own curvature only; optimal brain surgeon lets the others move along.

Both are the beginning of a series. They hold for weights that are small enough, one at a time, at a minimum. A large
weight leaves the bowl; two together cost more or less than the sum; away from a minimum the slope counts too.

References
----------
LeCun, Denker and Solla, "Optimal Brain Damage", NIPS 1989, section 2 (the series, and s = h w² / 2).
Hassibi and Stork, "Second order derivatives for network pruning: Optimal Brain Surgeon", NIPS 1992, equation 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


def damage(weights: ArrayLike, curvature: ArrayLike) -> Floats:
    """Optimal brain damage: s_i = w_i² H_ii / 2.

    Parameters
    ----------
    weights : array_like
        w, at a minimum of the loss.
    curvature : array_like, shape of `weights`
        H_ii, the second derivative of the loss with respect to each weight alone.

    Returns
    -------
    ndarray, shape of `weights`
        In the unit of the loss.

    Raises
    ------
    InvalidInput
        If the shapes differ.

    Examples
    --------
    >>> damage([2.0, 0.1], [0.01, 100.0])
    array([0.02, 0.5 ])
    """
    w, h = np.asarray(weights, dtype=np.float64), np.asarray(curvature, dtype=np.float64)
    if w.shape != h.shape:
        raise InvalidInput(f"{w.shape} weights need as many second derivatives, not {h.shape}")
    return w**2 * h / 2


def surgeon_damage(weights: ArrayLike, hessian: ArrayLike) -> Floats:
    """Optimal brain surgeon: L_i = w_i² / (2 [H⁻¹]_ii), the rise that is left once all others have moved to make up.

    Parameters
    ----------
    weights : array_like, shape (weights,)
    hessian : array_like, shape (weights, weights)
        Positive definite.

    Raises
    ------
    InvalidInput
        If the shapes do not fit or the Hessian has no inverse.

    Examples
    --------
    Two weights that can stand in for each other:

    >>> surgeon_damage([1.0, 1.0], [[1.0, 0.9], [0.9, 1.0]]).round(3)
    array([0.095, 0.095])
    >>> damage([1.0, 1.0], [1.0, 1.0])
    array([0.5, 0.5])
    """
    w, _, inverse = _inverted(weights, hessian)
    return w**2 / (2 * np.diag(inverse))


def surgery(weights: ArrayLike, hessian: ArrayLike, which: int) -> Floats:
    """All weights once one is 0 and the others have made up for it: w − w_i H⁻¹ e_i / [H⁻¹]_ii.

    Parameters
    ----------
    weights, hessian : array_like
        As of :func:`surgeon_damage`.
    which : int
        i.

    Returns
    -------
    ndarray, shape (weights,)

    Examples
    --------
    >>> surgery([1.0, 1.0], [[1.0, 0.9], [0.9, 1.0]], 0).round(3)
    array([0. , 1.9])
    """
    w, _, inverse = _inverted(weights, hessian)
    if not 0 <= which < w.size:
        raise InvalidInput(f"there is no weight {which}; there are {w.size}")
    moved = w - w[which] * inverse[:, which] / inverse[which, which]
    moved[which] = 0.0
    return np.asarray(moved)


def rise(change: ArrayLike, gradient: ArrayLike, hessian: ArrayLike) -> float:
    """Rise of the loss by the series up to second order: gᵀ δ + δᵀ H δ / 2.

    What both formulas come from. Letting go of weights sets their δ to −w; a whole H also knows what two cost together.

    Parameters
    ----------
    change, gradient : array_like, shape (weights,)
        δ, and g, which is 0 at a minimum.
    hessian : array_like, shape (weights, weights)

    Examples
    --------
    Letting go of both of two weights that pull the same way costs more than the sum of each alone (1.0):

    >>> rise([-1.0, -1.0], [0.0, 0.0], [[1.0, 0.9], [0.9, 1.0]])
    1.9
    """
    d, g, h = (np.asarray(each, dtype=np.float64) for each in (change, gradient, hessian))
    if d.ndim != 1 or g.shape != d.shape or h.shape != (d.size, d.size):
        raise InvalidInput(
            f"a change {d.shape} needs a gradient as long and a square Hessian, not {g.shape}, {h.shape}"
        )
    return float(g @ d + d @ h @ d / 2)


def _inverted(weights: ArrayLike, hessian: ArrayLike) -> tuple[Floats, Floats, Floats]:
    w, h = np.asarray(weights, dtype=np.float64), np.asarray(hessian, dtype=np.float64)
    if w.ndim != 1 or h.shape != (w.size, w.size):
        raise InvalidInput(f"{w.shape} weights need a square Hessian as wide, not {h.shape}")
    try:
        np.linalg.cholesky(h)
    except np.linalg.LinAlgError:
        raise InvalidInput(
            "the Hessian is not positive definite: this is no minimum, or some weight does nothing"
        ) from None
    return w, h, np.asarray(np.linalg.inv(h))
