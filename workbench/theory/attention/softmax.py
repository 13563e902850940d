"""Softmax in one pass: what is kept of the scores seen so far, and how more are added.

Softmax needs the sum over a whole row before it can give the first number. Kept as a largest score m and a sum
l = Σ exp(x − m), the row may arrive in pieces: a larger score that comes later only changes the scale of the sum. The
same change of scale corrects a weighted mean, and so attention needs no whole row either.

References
----------
Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867, algorithm 3 and section 3.1
(pieces may be joined in any order); Dao et al., "FlashAttention", arXiv 2205.14135, section 3.1; Dao,
"FlashAttention-2", arXiv 2307.08691, section 3.1.1 (divide once, at the end).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of the scores seen so far, a number a row.

    Parameters
    ----------
    largest : ndarray, shape (rows,)
        m; minus infinity where nothing was seen, or only what a mask hides.
    total : ndarray, shape (rows,)
        l = Σ exp(x − m).
    weighted : ndarray, shape (rows, width)
        Σ exp(x − m) v, not yet divided by l; width 0 where no values go with the scores.
    """

    largest: Floats
    total: Floats
    weighted: Floats

    @classmethod
    def nothing(cls, rows: int, width: int = 0) -> Seen:
        """Before the first score."""
        return cls(np.full(rows, -np.inf), np.zeros(rows), np.zeros((rows, width)))

    def joined(self, other: Seen) -> Seen:
        """Both together, in whichever order.

        m = max(m₁, m₂), l = exp(m₁ − m) l₁ + exp(m₂ − m) l₂, and the weighted sums likewise.
        """
        largest = np.maximum(self.largest, other.largest)
        mine, theirs = _scale(self.largest, largest), _scale(other.largest, largest)
        return Seen(
            largest,
            mine * self.total + theirs * other.total,
            mine[:, None] * self.weighted + theirs[:, None] * other.weighted,
        )

    def and_then(self, scores: ArrayLike, values: ArrayLike | None = None) -> Seen:
        """After some more scores.

        Parameters
        ----------
        scores : array_like, shape (rows, columns)
            Minus infinity hides an entry.
        values : array_like, shape (columns, width), optional
            What the scores weigh.
        """
        x = np.asarray(scores, float)
        largest = x.max(axis=1)
        weights = np.exp(x - _finite(largest)[:, None])
        v = np.zeros((x.shape[1], 0)) if values is None else np.asarray(values, float)
        return self.joined(Seen(largest, weights.sum(axis=1), weights @ v))

    @property
    def mean(self) -> Floats:
        """The weighted mean: what attention puts out, shape (rows, width); 0 for a row that saw nothing."""
        return self.weighted / np.where(self.total > 0, self.total, 1.0)[:, None]

    @property
    def logsumexp(self) -> Floats:
        """log Σ exp(x) = m + log l, shape (rows,): all that a backward pass needs of the row."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.largest + np.log(self.total))


def softmax(scores: ArrayLike) -> Floats:
    """Softmax of each row, with the whole row at hand.

    exp(x_i − m) / Σ_j exp(x_j − m): the largest score is taken off first, so that nothing overflows.

    Parameters
    ----------
    scores : array_like, shape (rows, columns)

    Returns
    -------
    ndarray, shape (rows, columns)
        Each row sums to 1; a row that is hidden whole is 0.

    Examples
    --------
    >>> softmax([[1.0, 2.0, 3.0], [1001.0, 1002.0, 1003.0]]).round(3)
    array([[0.09 , 0.245, 0.665],
           [0.09 , 0.245, 0.665]])
    """
    x = _rows(scores)
    weights = np.exp(x - _finite(x.max(axis=1))[:, None])
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0))


def online_softmax(scores: ArrayLike, block: int) -> Floats:
    """The same with ``block`` columns at hand at a time: one pass for m and l, one for the quotients.

    Parameters
    ----------
    scores : array_like, shape (rows, columns)
    block : int
        At least 1.

    Raises
    ------
    InvalidInput
        For scores that are no matrix, or a block below 1.

    Examples
    --------
    >>> bool(np.allclose(online_softmax([[1.0, 2.0, 3.0]], block=2), softmax([[1.0, 2.0, 3.0]])))
    True
    """
    x = _rows(scores)
    state = trace(x, block)[-1]
    total = np.where(state.total > 0, state.total, 1.0)
    return np.asarray(np.exp(x - _finite(state.largest)[:, None]) / total[:, None])


def trace(scores: ArrayLike, block: int, values: ArrayLike | None = None) -> list[Seen]:
    """What is kept after each block of columns.

    Parameters
    ----------
    scores : array_like, shape (rows, columns)
    block : int
    values : array_like, shape (columns, width), optional

    Returns
    -------
    list of Seen
        One a block.

    Raises
    ------
    InvalidInput
        For scores that are no matrix, a block below 1, or values that are not one a column.

    Examples
    --------
    The largest score comes last: the sum so far shrinks by exp(1 − 3).

    >>> [(float(s.largest[0]), round(float(s.total[0]), 3)) for s in trace([[0.0, 1.0, 3.0]], block=2)]
    [(1.0, 1.368), (3.0, 1.185)]
    """
    x = _rows(scores)
    if block < 1:
        raise InvalidInput(f"block is {block!r}; it must be at least 1")
    v = np.zeros((x.shape[1], 0)) if values is None else np.asarray(values, float)
    if v.ndim != 2 or len(v) != x.shape[1]:
        raise InvalidInput(f"values have shape {v.shape}; {x.shape[1]} scores a row need as many rows of values")
    states, state = [], Seen.nothing(len(x), v.shape[1])
    for start in range(0, x.shape[1], block):
        state = state.and_then(x[:, start : start + block], v[start : start + block])
        states.append(state)
    return states


def _rows(scores: ArrayLike) -> Floats:
    x = np.asarray(scores, float)
    if x.ndim != 2 or x.size == 0:
        raise InvalidInput(f"scores have shape {x.shape}; they must be a matrix with at least one row and column")
    if np.isnan(x).any() or np.isposinf(x).any():
        raise InvalidInput("scores hold what is no number; only minus infinity is allowed, for what a mask hides")
    return x


def _finite(largest: Floats) -> Floats:
    """What is taken off a row: 0 where all of it is hidden, since infinities have no difference."""
    return np.where(np.isneginf(largest), 0.0, largest)


def _scale(before: Floats, after: Floats) -> Floats:
    return np.asarray(np.exp(before - _finite(after)))
