"""Wanda: a weight matters by its size *and* by the size of the input it multiplies.

A small weight on a loud input changes the output more than a large one on a quiet input. Large language models have a
few very loud inputs, and so the size of the weight alone picks the wrong ones.

References
----------
Sun and others, "A Simple and Effective Pruning Approach for Large Language Models", arXiv 2306.11695, equation 1, and
section 3 on comparing within each output rather than within the layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.pruning.magnitude import Mask, keep_highest
from workbench.theory.pruning.patterns import Pattern

Floats = NDArray[np.float64]


def scores(w: ArrayLike, x: ArrayLike) -> Floats:
    """S_ij = |W_ij| · ||X_j||₂: exactly what letting go of that one weight alone does to the output.

    The output X Wᵀ then changes by W_ij X_j in one of its columns, whose norm is |W_ij| ||X_j||.

    Parameters
    ----------
    w : array_like, shape (outputs, inputs)
        W.
    x : array_like, shape (tokens, inputs)
        X, what the layer was given on calibration text.

    Returns
    -------
    ndarray, shape (outputs, inputs)

    Raises
    ------
    InvalidInput
        If the shapes do not fit or a number is not finite.

    Examples
    --------
    >>> scores([[2.0, -1.0]], [[1.0, 3.0], [0.0, 4.0]])
    array([[2., 5.]])
    """
    weight, inputs = checked(w, x)
    return np.asarray(np.abs(weight) * np.linalg.norm(inputs, axis=0))


def mask(w: ArrayLike, x: ArrayLike, choice: float | Pattern) -> Mask:
    """Which weights stay: within each output the highest scores.

    Parameters
    ----------
    w : array_like, shape (outputs, inputs)
    x : array_like, shape (tokens, inputs)
    choice : float or Pattern
        Share of each output's weights that become zero, or a pattern such as 2:4.

    Returns
    -------
    ndarray of bool, shape (outputs, inputs)

    Examples
    --------
    >>> mask([[2.0, -1.0]], [[1.0, 3.0], [0.0, 4.0]], 0.5)
    array([[False,  True]])
    """
    found = scores(w, x)
    if isinstance(choice, Pattern):
        return choice.mask(found)
    return np.stack([keep_highest(row, choice) for row in found])


def checked(w: ArrayLike, x: ArrayLike) -> tuple[Floats, Floats]:
    """Both as matrices of finite numbers that fit each other.

    Raises
    ------
    InvalidInput
        If they do not.
    """
    weight, inputs = np.asarray(w, dtype=np.float64), np.asarray(x, dtype=np.float64)
    if weight.ndim != 2 or inputs.ndim != 2 or weight.size == 0 or inputs.size == 0:
        raise InvalidInput(f"a weight (outputs, inputs) and inputs (tokens, inputs) are needed, not {weight.shape} "
                           f"and {inputs.shape}")  # fmt: skip
    if weight.shape[1] != inputs.shape[1]:
        raise InvalidInput(f"the weight takes {weight.shape[1]} inputs, the tokens have {inputs.shape[1]}")
    if not (np.isfinite(weight).all() and np.isfinite(inputs).all()):
        raise InvalidInput("the weight or the inputs hold NaN or infinity; remove these first")
    return weight, inputs
