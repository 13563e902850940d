"""SmoothQuant: let the weights carry part of the activations' outliers, so that both sides fit eight bits.

Large activations sit in a few input channels, in every token. A scale for each input channel would suit them, but it
cannot be taken out of the sum over inputs. So it is put into the weight beforehand: the activations are divided by s
and the weight is multiplied by it, which changes nothing in exact arithmetic. AWQ does the same for weights alone, with
another s, because it leaves the activations in 16 bit.

References
----------
Xiao and others, "SmoothQuant", arXiv 2211.10438, equations 3 and 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.uniform import Floats


def smoothing_scale(largest_input: ArrayLike, largest_weight: ArrayLike, strength: float = 0.5) -> Floats:
    """s_j = max|X_j|^α / max|W_j|^(1-α), for each input channel j.

    Parameters
    ----------
    largest_input : array_like, shape (inputs,)
        Largest magnitude of each input over calibration text.
    largest_weight : array_like, shape (inputs,)
        Largest magnitude of each input's weights, over all outputs (of all layers that share these inputs).
    strength : float
        α from 0 to 1: at 0 every input's weights get the same largest magnitude, at 1 every input does; at 0.5 both
        sides of a channel end with the same, the root of their product.

    Returns
    -------
    ndarray, shape (inputs,)
        1 where the input or its weights are always 0: there is nothing to balance.

    Raises
    ------
    InvalidInput
        If a magnitude is negative or not finite, shapes differ, or `strength` is out of range.

    Examples
    --------
    >>> smoothing_scale([100.0, 1.0], [1.0, 1.0])
    array([10.,  1.])
    """
    inputs, weights = (np.asarray(each, dtype=np.float64) for each in (largest_input, largest_weight))
    if inputs.shape != weights.shape or not (np.isfinite(inputs) & np.isfinite(weights)).all():
        raise InvalidInput(f"magnitudes must be finite and as many; the shapes are {inputs.shape} and {weights.shape}")
    if np.any(inputs < 0) or np.any(weights < 0):
        raise InvalidInput("a magnitude is negative; give the largest absolute value of each channel")
    if not 0 <= strength <= 1:
        raise InvalidInput(f"strength is {strength!r}; give a number from 0 to 1 (0.5 is usual)")
    alive = (inputs > 0) & (weights > 0)
    scale = np.where(alive, inputs, 1.0) ** strength / np.where(alive, weights, 1.0) ** (1 - strength)
    return np.where(alive, scale, 1.0)


def smoothed(inputs: ArrayLike, weight: ArrayLike, strength: float = 0.5) -> tuple[Floats, Floats]:
    """Inputs divided by s and a weight multiplied by it; their product is what it was.

    Parameters
    ----------
    inputs : array_like, shape (tokens, inputs)
    weight : array_like, shape (outputs, inputs)

    Returns
    -------
    inputs, weight : ndarray

    Examples
    --------
    >>> inputs, weight = smoothed([[100.0, 1.0]], [[1.0, 1.0]])
    >>> inputs, weight, inputs @ weight.T
    (array([[10.,  1.]]), array([[10.,  1.]]), array([[101.]]))
    """
    inputs, weight = np.asarray(inputs, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    if inputs.ndim != 2 or weight.ndim != 2 or inputs.shape[1] != weight.shape[1] or not inputs.size:
        raise InvalidInput(f"shapes {inputs.shape} and {weight.shape} do not match: tokens × inputs, outputs × inputs")
    scale = smoothing_scale(np.abs(inputs).max(axis=0), np.abs(weight).max(axis=0), strength)
    return inputs / scale, weight * scale
