"""Attention as its formula is written: the whole matrix of scores, once for each direction.

References
----------
Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, equation 1; its gradients as in Dao et al.,
"FlashAttention", arXiv 2205.14135, appendix B.2; the three kernels and what they move, algorithm 0 there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InvalidInput
from workbench.theory.attention.memory import SlowMemory
from workbench.theory.attention.softmax import softmax

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gradients:
    """How a loss changes with the queries, keys and values; each of shape (N, d)."""

    queries: Floats
    keys: Floats
    values: Floats


def checked(queries: Floats, keys: Floats, values: Floats) -> None:
    """Raise InvalidInput for what is no attention of one head."""
    shapes = f"{queries.shape}, {keys.shape} and {values.shape}"
    if queries.ndim != 2 or keys.ndim != 2 or values.ndim != 2:
        raise InvalidInput(f"queries, keys and values have shapes {shapes}; each must be (tokens, head dimension)")
    if queries.shape[1] != keys.shape[1] or len(keys) != len(values):
        raise InvalidInput(f"queries, keys and values have shapes {shapes}; these do not go together")
    if 0 in queries.shape or 0 in keys.shape:
        raise InvalidInput(f"queries, keys and values have shapes {shapes}; none may be empty")


def scores_of(queries: Floats, keys: Floats, first_query: int = 0, first_key: int = 0, *, causal: bool) -> Floats:
    """S = Q Kᵀ / √d of a block, the future hidden where ``causal``; shape (queries, keys).

    >>> scores_of(np.eye(2), np.eye(2), causal=True).round(3)
    array([[0.707,  -inf],
           [0.   , 0.707]])
    """
    scores = queries @ keys.T / np.sqrt(queries.shape[1])
    if causal:
        asked, seen = np.arange(len(queries)) + first_query, np.arange(len(keys)) + first_key
        scores = np.where(seen[None, :] > asked[:, None], -np.inf, scores)
    return np.asarray(scores)


def attention(
    queries: Floats, keys: Floats, values: Floats, *, causal: bool = False, memory: SlowMemory | None = None
) -> Floats:
    """O = softmax(Q Kᵀ / √d) V of one head, in three kernels that each go through the slow memory.

    Parameters
    ----------
    queries, keys, values : ndarray, shape (N, d)
    causal : bool
        A token sees itself and those before it.
    memory : SlowMemory, optional
        Counts what is moved.

    Returns
    -------
    ndarray, shape (N, d)

    Raises
    ------
    InvalidInput
        For shapes that do not go together.

    Examples
    --------
    >>> attention(np.zeros((2, 2)), np.zeros((2, 2)), np.array([[1.0, 0.0], [3.0, 2.0]]))
    array([[2., 1.],
           [2., 1.]])
    """
    checked(queries, keys, values)
    memory = memory or SlowMemory()
    everything = slice(None)
    scores, weights = np.empty((len(queries), len(keys))), np.empty((len(queries), len(keys)))
    output = np.empty((len(queries), values.shape[1]))

    q, k = memory.load(queries, everything), memory.load(keys, everything)
    memory.store(scores, everything, scores_of(q, k, causal=causal))
    memory.store(weights, everything, softmax(memory.load(scores, everything)))
    p, v = memory.load(weights, everything), memory.load(values, everything)
    memory.store(output, everything, p @ v)
    return output


def gradients(
    queries: Floats, keys: Floats, values: Floats, output_gradient: Floats, *, causal: bool = False
) -> Gradients:
    """How a loss changes with Q, K and V, from how it changes with O.

    dV = Pᵀ dO, dP = dO Vᵀ, dS = P ∘ (dP − rowsum(dO ∘ O)), dQ = dS K / √d, dK = dSᵀ Q / √d.

    Parameters
    ----------
    queries, keys, values, output_gradient : ndarray, shape (N, d)
    causal : bool

    Returns
    -------
    Gradients

    Raises
    ------
    InvalidInput
        For shapes that do not go together.

    Examples
    --------
    The sum of all outputs does not hang on the weights where all values are equal.

    >>> rng = np.random.default_rng(0)
    >>> found = gradients(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.ones((3, 2)), np.ones((3, 2)))
    >>> bool(np.allclose(found.queries, 0))
    True
    """
    checked(queries, keys, values)
    if output_gradient.shape != (len(queries), values.shape[1]):
        raise InvalidInput(f"the output's gradient has shape {output_gradient.shape}, unlike the output")
    weights = softmax(scores_of(queries, keys, causal=causal))
    output = weights @ values
    of_weights = output_gradient @ values.T
    of_scores = weights * (of_weights - (output_gradient * output).sum(axis=1, keepdims=True))
    scale = 1 / np.sqrt(queries.shape[1])
    return Gradients(of_scores @ keys * scale, of_scores.T @ queries * scale, weights.T @ output_gradient)
