"""From a model's logits to a token: temperature, top-p, and the draw.

References
----------
Holtzman et al., "The Curious Case of Neural Text Degeneration", arXiv 1904.09751, section 3.1 (top-p, or nucleus).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def distribution(logits: ArrayLike, temperature: float = 1.0, top_p: float = 1.0) -> Floats:
    """What is sampled from: softmax(logits / T), cut to the likeliest words that make up ``top_p``, made to sum to 1.

    Parameters
    ----------
    logits : array_like, shape (…, vocabulary)
    temperature : float
        T; at 0 the likeliest word has all the probability, the first of equals.
    top_p : float
        The smallest set of words that together have at least this probability stays.

    Returns
    -------
    ndarray, shape (…, vocabulary)

    Raises
    ------
    InvalidInput
        For a negative temperature, a top-p outside (0, 1], or logits that are no numbers.

    Examples
    --------
    >>> logits = np.log([0.5, 0.3, 0.15, 0.05])
    >>> distribution(logits).round(3), distribution(logits, top_p=0.9).round(3)
    (array([0.5 , 0.3 , 0.15, 0.05]), array([0.526, 0.316, 0.158, 0.   ]))
    >>> distribution(logits, temperature=0)
    array([1., 0., 0., 0.])
    """
    if not temperature >= 0 or not np.isfinite(temperature):
        raise InvalidInput(f"temperature is {temperature!r}; it must be 0 or more")
    if not 0 < top_p <= 1:
        raise InvalidInput(f"top_p is {top_p!r}; it must be above 0 and at most 1")
    values = np.asarray(logits, float)
    if values.ndim < 1 or not values.size or np.isnan(values).any() or np.isposinf(values).any():
        raise InvalidInput("logits must be numbers, at least one")
    if temperature == 0:
        return np.asarray(np.eye(values.shape[-1])[values.argmax(axis=-1)])
    weights = np.exp((values - values.max(axis=-1, keepdims=True)) / temperature)
    return truncated(weights / weights.sum(axis=-1, keepdims=True), top_p)


def truncated(probabilities: Floats, top_p: float) -> Floats:
    """The likeliest words that together have ``top_p``, made to sum to 1; shapes as they come.

    >>> truncated(np.array([0.2, 0.5, 0.3]), 0.8)
    array([0.   , 0.625, 0.375])
    """
    if top_p >= 1:
        return probabilities
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=-1)
    before = ranked.cumsum(axis=-1) - ranked
    np.put_along_axis(kept := np.zeros_like(probabilities), order, np.where(before < top_p, ranked, 0.0), axis=-1)
    return np.asarray(kept / kept.sum(axis=-1, keepdims=True))


def draw(probabilities: Floats, rng: np.random.Generator) -> Whole:
    """A word of each row.

    Parameters
    ----------
    probabilities : ndarray, shape (rows, vocabulary)
        Each row sums to 1; a word without probability is never drawn.

    Returns
    -------
    ndarray of int, shape (rows,)

    Examples
    --------
    >>> draw(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.random.default_rng(0))
    array([1, 2])
    """
    sums = probabilities.cumsum(axis=1)
    # As far as the row's own sum, not 1: rounding must not draw a word beyond the last that has any.
    wanted = rng.random(len(probabilities)) * sums[:, -1]
    return np.asarray((sums <= wanted[:, None]).sum(axis=1))
