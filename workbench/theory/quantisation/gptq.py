"""GPTQ: round a layer's weights column by column, and let the columns that are still free make up for each error.

What is kept small is not the error of the weights but the error of the layer's output on real inputs. That makes
columns answer for each other: where two inputs rise and fall together, a weight rounded up can be balanced by its
neighbour. How much, the *inverse* of the Hessian says.

References
----------
Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ", arXiv 2210.17323: equation 1 (what is minimised), 2 (the step of optimal
brain quantisation), 3 (how the inverse shrinks), section 3.3 (why a Cholesky factor holds all the inverses at once).
Order of falling diagonal ("act order") and groups: https://github.com/IST-DASLab/gptq, README. The step goes back to
Hassibi and Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon", 1992.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.uniform import Floats, Quantised, encode, quantise

#: Which column is rounded first: as the matrix holds them, or the inputs with most energy first.
Order = Literal["stored", "energy"]


def hessian_of(inputs: ArrayLike) -> Floats:
    """Second derivatives of a row's squared output error by its weights: (2 / N) Xᵀ X.

    Every row of the weight has the same.

    Parameters
    ----------
    inputs : array_like, shape (tokens, inputs)
        What the layer is given on calibration text.

    Returns
    -------
    ndarray, shape (inputs, inputs)

    Examples
    --------
    >>> hessian_of([[1.0, 0.0], [1.0, 2.0]])
    array([[2., 2.],
           [2., 4.]])
    """
    inputs = _matrix("inputs", inputs)
    return np.asarray(2.0 / len(inputs) * inputs.T @ inputs)


def output_error(weight: ArrayLike, rounded: ArrayLike, hessian: ArrayLike) -> float:
    """Error of the output, as a share of the output: tr(E H Eᵀ) / tr(W H Wᵀ), E what rounding changed.

    The same as the squared norm of X Eᵀ over that of X Wᵀ, with the inputs that the Hessian was made of.

    >>> output_error([[1.0, 1.0]], [[1.0, 0.0]], np.eye(2))
    0.5
    """
    weight, rounded = np.asarray(weight, dtype=np.float64), np.asarray(rounded, dtype=np.float64)
    hessian = np.asarray(hessian, dtype=np.float64)
    change = weight - rounded
    return float(np.sum(change @ hessian * change) / np.sum(weight @ hessian * weight))


def damped(hessian: ArrayLike, damping: float = 0.01) -> Floats:
    """The Hessian with a share of its mean diagonal added to the diagonal, so that it has an inverse.

    Fewer tokens than inputs, or an input that is always 0, leave it without one. Damping also keeps what a column is
    asked to make up for within reason.

    >>> damped(np.diag([4.0, 0.0]), 0.5)
    array([[5., 0.],
           [0., 1.]])
    """
    hessian = _square(hessian)
    if not damping >= 0:
        raise InvalidInput(f"damping is {damping!r}; give a share of the mean diagonal, 0 or more (0.01 is usual)")
    return np.asarray(hessian + damping * np.mean(np.diag(hessian)) * np.eye(len(hessian)))


def inverse_factor(hessian: ArrayLike) -> Floats:
    """The upper triangle U with Uᵀ U = H⁻¹.

    Row j, divided by its diagonal, is row j of the inverse that is left once columns 0 … j-1 are fixed, divided by
    *its* diagonal. One factor thus takes the place of an inverse for every column.

    Parameters
    ----------
    hessian : array_like, shape (inputs, inputs)
        Symmetric and positive definite.

    Raises
    ------
    InvalidInput
        If it has no inverse: damp it.

    Examples
    --------
    >>> inverse_factor(np.diag([4.0, 16.0]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    try:
        # Two factors instead of an inverse and a factor: the first says at once that there is none.
        low = np.linalg.cholesky(_square(hessian))
        inverse_of_low = np.linalg.solve(low, np.eye(len(low)))
        return np.asarray(np.linalg.cholesky(inverse_of_low.T @ inverse_of_low).T)
    except np.linalg.LinAlgError:
        raise InvalidInput(
            "the Hessian has no inverse: take more tokens than the layer has inputs, or more damping"
        ) from None


def gptq(
    weight: ArrayLike,
    hessian: ArrayLike,
    bits: int,
    *,
    group: int | None = None,
    symmetric: bool = True,
    order: Order = "stored",
    damping: float = 0.01,
) -> Quantised:
    """Quantise a layer so that its output changes little.

    The grid is chosen first, from the weights as they are: one for each output channel, or for each group of inputs.
    Then, column by column, ``w_j`` is rounded to ``q_j`` and all columns k that are still free move by

        δw_k = -(w_j - q_j) [H⁻¹]_kj / [H⁻¹]_jj

    where H⁻¹ is the inverse of the Hessian *of the columns that are free*; it changes after each.

    Parameters
    ----------
    weight : array_like, shape (outputs, inputs)
    hessian : array_like, shape (inputs, inputs)
        Of :func:`hessian_of`.
    bits : int
        2 to 16 (asymmetric: from 1).
    group : int, optional
        Inputs that share a grid, neighbours as stored, whatever the order; it divides the inputs.
    symmetric : bool
        As of :func:`quantise`.
    order : {"stored", "energy"}
        ``"energy"`` ("act order") begins with the inputs of the largest diagonal: these are rounded while many columns
        are left to make up for it.
    damping : float
        Share of the Hessian's mean diagonal added to its diagonal.

    Returns
    -------
    Quantised
        Codes of shape (outputs, inputs), columns as stored.

    Raises
    ------
    InvalidInput
        If shapes do not match, the Hessian has no inverse, or a value is out of range.

    Examples
    --------
    Two inputs that are nearly the same: what the first weight gains by rounding, the second gives back.

    >>> weight, hessian = np.array([[1.4, 1.4, 7.0]]), np.array([[1, 0.99, 0], [0.99, 1, 0], [0, 0, 1]])
    >>> quantise(weight, 4, axis=0).values()
    array([[1., 1., 7.]])
    >>> gptq(weight, hessian, 4).values()
    array([[1., 2., 7.]])
    """
    weight, hessian = _matrix("weight", weight), _fitting(weight, hessian)
    grid = quantise(weight, bits, symmetric=symmetric, group=group, axis=0 if group is None else None)
    columns = _order(hessian, order)
    factor = inverse_factor(damped(hessian, damping)[np.ix_(columns, columns)])
    free = weight[:, columns].copy()
    codes = np.empty_like(grid.codes)
    for at, column in enumerate(columns):
        codes[:, column], rounded = _rounded(free[:, at], grid, column)
        error = (free[:, at] - rounded) / factor[at, at]
        free[:, at:] -= np.outer(error, factor[at, at:])
    return replace(grid, codes=codes)


def with_hessian_as_often_told(
    weight: ArrayLike, hessian: ArrayLike, bits: int, *, group: int | None = None, damping: float = 0.01
) -> Quantised:
    """The same loop with H in the place of its inverse: δw_k = -(w_j - q_j) H_kj / H_jj. Wrong.

    Not only the size is off: entries beside the diagonal have opposite signs in H and in its inverse (of two inputs,
    [H⁻¹]_kj / [H⁻¹]_jj = -H_kj / H_kk). So the free columns add to the error where they should balance it. Kept here to
    be compared with; parameters as of :func:`gptq`.
    """
    weight, hessian = _matrix("weight", weight), damped(_fitting(weight, hessian), damping)
    grid = quantise(weight, bits, group=group, axis=0 if group is None else None)
    free, codes = weight.copy(), np.empty_like(grid.codes)
    for column in range(weight.shape[1]):
        codes[:, column], rounded = _rounded(free[:, column], grid, column)
        error = (free[:, column] - rounded) / hessian[column, column]
        free[:, column + 1 :] -= np.outer(error, hessian[column, column + 1 :])
    return replace(grid, codes=codes)


def _rounded(values: Floats, grid: Quantised, column: int) -> tuple[np.ndarray, Floats]:
    """One column's codes on the grid that was chosen for it, and what they stand for."""
    at = column // grid.group if grid.group else 0
    scale, zero_point = grid.scale[:, at], grid.zero_point[:, at]
    codes = encode(values, scale, zero_point, grid.bits, grid.symmetric)
    return codes, scale * (codes - zero_point)


def _order(hessian: Floats, order: Order) -> np.ndarray:
    if order == "stored":
        return np.arange(len(hessian))
    if order == "energy":
        return np.argsort(-np.diag(hessian), kind="stable")
    raise InvalidInput(f'order is {order!r}; give "stored" or "energy"')


def _matrix(name: str, given: ArrayLike) -> Floats:
    found = np.asarray(given, dtype=np.float64)
    if found.ndim != 2 or not found.size or not np.all(np.isfinite(found)):
        raise InvalidInput(f"{name} must be a matrix of finite numbers; it has the shape {found.shape}")
    return found


def _square(hessian: ArrayLike) -> Floats:
    found = _matrix("the Hessian", hessian)
    if found.shape[0] != found.shape[1] or not np.allclose(found, found.T):
        raise InvalidInput(f"the Hessian must be square and symmetric; it has the shape {found.shape}")
    return found


def _fitting(weight: ArrayLike, hessian: ArrayLike) -> Floats:
    found, inputs = _square(hessian), np.shape(weight)[-1]
    if len(found) != inputs:
        raise InvalidInput(f"the weight has {inputs} inputs and the Hessian {len(found)}; they must be the same")
    return found
