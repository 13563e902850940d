"""SparseGPT: weights become zero, and those that are still to come change to make up for it.

The best values of the weights that stay are a least squares problem, another one for each output row, because each row
has a mask of its own: too much for a large layer. SparseGPT goes through the columns from left to right and lets a
weight be compensated only by those to its right. Then one matrix serves all rows. What it gives is never better than
least squares; on layers of a real size it is far better than doing nothing, though nothing promises that: a weight may
take over what it is itself relieved of later.

References
----------
Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", arXiv 2301.00774:
section 3 (columns in order, one inverse for all rows, the mask chosen block by block) and algorithm 1. The update of
one weight: Hassibi and Stork, "Second order derivatives for network pruning: Optimal Brain Surgeon", NIPS 1992,
equation 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.pruning.magnitude import Mask, keep_highest
from workbench.theory.pruning.patterns import Pattern
from workbench.theory.pruning.wanda import checked

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pruned:
    """A weight with zeros.

    Parameters
    ----------
    weight : ndarray, shape (outputs, inputs)
        0 where not kept; the others changed.
    kept : ndarray of bool, shape (outputs, inputs)
    errors : ndarray, shape (outputs,)
        Mean squared error of each output on the calibration tokens, known from the weights that went alone: half the
        sum of their (w_j / U_jj)². (Exact without dampening.)
    """

    weight: Floats
    kept: Mask
    errors: Floats


def hessian(x: ArrayLike) -> Floats:
    """Second derivatives of ||X wᵀ − X w₀ᵀ||² / tokens with respect to one output's weights: 2 XᵀX / tokens.

    It is the same for every output.

    >>> hessian([[1.0, 2.0]])
    array([[2., 4.],
           [4., 8.]])
    """
    inputs = np.asarray(x, dtype=np.float64)
    return np.asarray(2 * inputs.T @ inputs / len(inputs))


def inverse_factor(h: ArrayLike, dampening: float = 0.01) -> Floats:
    """Upper triangular U with UᵀU = (H + λ I)⁻¹, λ the dampening times the mean of H's diagonal.

    Row j of U holds all that column j needs: U_jj² is the first entry of the inverse of H from j on, and U_j,j: / U_jj
    says how the weights from j on make up for one unit of weight j.

    Parameters
    ----------
    h : array_like, shape (inputs, inputs)
    dampening : float
        Above 0 where some inputs are always 0 or depend on each other.

    Raises
    ------
    InvalidInput
        If the dampened matrix is not positive definite.

    Examples
    --------
    >>> inverse_factor(np.diag([1.0, 4.0]), dampening=0.0)
    array([[1. , 0. ],
           [0. , 0.5]])
    """
    h = np.asarray(h, dtype=np.float64)
    if dampening < 0:
        raise InvalidInput(f"dampening is {dampening}; give a number of at least 0")
    try:
        dampened = h + dampening * np.mean(np.diag(h)) * np.eye(len(h))
        return np.asarray(np.linalg.cholesky(_inverse(dampened)).T)
    except np.linalg.LinAlgError:
        raise InvalidInput(
            "some inputs are always 0 or depend on each other, so the Hessian has no inverse; give more text or a "
            "larger dampening"
        ) from None


def prune(
    w: ArrayLike, x: ArrayLike, choice: float | Pattern | Mask, *, block: int = 128, dampening: float = 0.01
) -> Pruned:
    """Let go of weights column by column, each made up for by the columns to its right.

    Parameters
    ----------
    w : array_like, shape (outputs, inputs)
    x : array_like, shape (tokens, inputs)
        What the layer was given on calibration text.
    choice : float, Pattern or ndarray of bool
        Share of each block's weights that become zero, those of least w² / U_jj² in all rows together; a pattern, whose
        groups are chosen when their first column is reached; or a mask of those that stay.
    block : int
        Columns whose mask is chosen together (a share's only). Later blocks choose among weights that are changed
        already.
    dampening : float
        See :func:`inverse_factor`.

    Returns
    -------
    Pruned

    Raises
    ------
    InvalidInput
        If the shapes do not fit, the pattern's groups do not divide the columns, or there is no inverse.

    Examples
    --------
    Two inputs that are nearly the same: what the first weight did, the second does from now on.

    >>> x = np.array([[1.0, 1.0], [2.0, 2.1], [3.0, 2.9]])
    >>> prune([[1.0, 2.0]], x, np.array([[False, True]]), dampening=0.0).weight.round(2)
    array([[0.  , 3.01]])
    """
    weight, inputs = checked(w, x)
    if block < 1:
        raise InvalidInput(f"block is {block}; give a whole number of at least 1")
    weight, columns = weight.copy(), weight.shape[1]
    h = hessian(inputs)
    silent = np.diag(h) == 0
    h[silent, silent] = 1.0
    weight[:, silent] = 0.0
    factor = inverse_factor(h, dampening)
    kept, errors = np.ones(weight.shape, dtype=bool), np.zeros(len(weight))
    step = choice.of if isinstance(choice, Pattern) else block
    if isinstance(choice, Pattern) and columns % step:
        raise InvalidInput(f"{columns} inputs make no whole groups of {step}")
    for start in range(0, columns, step):
        here = slice(start, min(start + step, columns))
        kept[:, here] = _chosen(choice, here, weight[:, here] ** 2 / np.diag(factor)[here] ** 2)
        for j in range(columns)[here]:
            gone = np.where(kept[:, j], 0.0, weight[:, j]) / factor[j, j]
            weight[:, j:] -= np.outer(gone, factor[j, j:])
            errors += gone**2 / 2
        weight[:, here][~kept[:, here]] = 0.0  # exactly, not to the last bit
    return Pruned(weight, kept, errors)


def least_squares(w: ArrayLike, x: ArrayLike, kept: Mask) -> Floats:
    """The best weights of a mask: for each row, min ||X (v − w)||² over those v that are 0 where the mask says so.

    One problem a row, the reference that SparseGPT saves itself.

    Parameters
    ----------
    w : array_like, shape (outputs, inputs)
    x : array_like, shape (tokens, inputs)
    kept : ndarray of bool, shape (outputs, inputs)

    Returns
    -------
    ndarray, shape (outputs, inputs)
    """
    weight, inputs = checked(w, x)
    best = np.zeros_like(weight)
    for row, stays in enumerate(np.asarray(kept, dtype=bool)):
        best[row, stays] = np.linalg.lstsq(inputs[:, stays], inputs @ weight[row], rcond=None)[0]
    return best


def output_error(w: ArrayLike, changed: ArrayLike, x: ArrayLike) -> float:
    """What the change does to the layer's output, as a share of it: ||X (W − W')ᵀ||² / ||X Wᵀ||².

    >>> output_error([[1.0, 2.0]], [[1.0, 0.0]], [[2.0, 1.0]])
    0.25
    """
    weight, inputs = checked(w, x)
    after, _ = checked(changed, x)
    energy = np.square(inputs @ weight.T).sum()
    if energy == 0:
        raise InvalidInput("the output is 0 everywhere; there is nothing that an error could be a share of")
    return float(np.square(inputs @ (weight - after).T).sum() / energy)


def _chosen(choice: float | Pattern | Mask, here: slice, scores: Floats) -> Mask:
    if isinstance(choice, Pattern):
        return choice.mask(scores)
    if isinstance(choice, np.ndarray):
        return np.asarray(choice[:, here], dtype=bool)
    return keep_highest(scores, choice)


def _inverse(h: Floats) -> Floats:
    """Inverse of a symmetric matrix, symmetric to the last bit; through Cholesky, which refuses what is indefinite."""
    lower = np.linalg.cholesky(h)
    half = np.linalg.solve(lower, np.eye(len(h)))
    return np.asarray(half.T @ half)
