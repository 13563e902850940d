"""What a student is told: the text's own next word, or all that the teacher thought of saying.

A label names one word. The teacher's distribution also says which words would nearly have done, and that is more to
learn from each token. Softened by a temperature T, the unlikely words weigh more; gradients then shrink like 1 / T²,
and a factor T² in front keeps them as large as the labels'.

References
----------
Hinton and others, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531: equation 1 (temperature), equations
2 to 4 (gradient, and its limit for a high temperature), section 2 (the factor T² and the mixture with labels).
Divergence: Kullback and Leibler, https://doi.org/10.1214/aoms/1177729694.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


def softened(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities at a temperature: softmax(z / T) of each row.

    Parameters
    ----------
    logits : array_like, shape (tokens, vocabulary)
        z; logarithms of probabilities are logits too.
    temperature : float
        T, above 0. At 1 the model's own; above, flatter.

    Returns
    -------
    ndarray, shape (tokens, vocabulary)

    Raises
    ------
    InvalidInput
        If the logits are no matrix of finite numbers or the temperature is not above 0.

    Examples
    --------
    What is often told as [0.4, 0.3, 0.3]:

    >>> softened(np.log([[0.9, 0.05, 0.05]]), temperature=5).round(3)
    array([[0.471, 0.264, 0.264]])
    """
    return np.exp(_log_softened(logits, temperature))


def divergence(teacher: ArrayLike, student: ArrayLike, temperature: float = 1.0) -> Floats:
    """KL(p || q) of each token [nats]: Σ p (log p − log q), p the teacher's and q the student's, both softened.

    Parameters
    ----------
    teacher, student : array_like, shape (tokens, vocabulary)
        Logits.

    Returns
    -------
    ndarray, shape (tokens,)
        0 where both say the same.

    Examples
    --------
    >>> divergence(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])).round(4)
    array([0.1438])
    """
    p, q = _pair(teacher, student, temperature)
    return np.asarray((np.exp(p) * (p - q)).sum(axis=1))


def soft_loss(teacher: ArrayLike, student: ArrayLike, temperature: float = 1.0) -> float:
    """T² times the mean divergence of a token: what a student that learns from logits minimises.

    A mean over tokens. A mean over tokens *and* words, as some libraries give it by default, is smaller by the size of
    the vocabulary, and next to the labels' loss it is then nothing.

    Examples
    --------
    >>> round(soft_loss(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), temperature=2), 4)
    0.149
    """
    return float(temperature**2 * divergence(teacher, student, temperature).mean())


def soft_gradient(teacher: ArrayLike, student: ArrayLike, temperature: float = 1.0) -> Floats:
    """Gradient of :func:`soft_loss` with respect to the student's logits: T (q − p) / tokens.

    For a high temperature it becomes the difference of the logits themselves, each less its mean, over the vocabulary.

    Returns
    -------
    ndarray, shape (tokens, vocabulary)
    """
    p, q = _pair(teacher, student, temperature)
    return temperature * (np.exp(q) - np.exp(p)) / len(p)


def hard_loss(labels: ArrayLike, student: ArrayLike) -> float:
    """Mean cross-entropy with the text's own words [nats a token]: −log q(label).

    Parameters
    ----------
    labels : array_like of int, shape (tokens,)
    student : array_like, shape (tokens, vocabulary)
        Logits.

    Examples
    --------
    >>> round(hard_loss([1], np.log([[0.25, 0.75]])), 4)
    0.2877
    """
    q = _log_softened(student, 1.0)
    return float(-q[np.arange(len(q)), _labels(labels, q)].mean())


def hard_gradient(labels: ArrayLike, student: ArrayLike) -> Floats:
    """Gradient of :func:`hard_loss` with respect to the logits: (q − one-hot) / tokens."""
    q = _log_softened(student, 1.0)
    gradient = np.exp(q)
    gradient[np.arange(len(q)), _labels(labels, q)] -= 1
    return gradient / len(q)


def mixture(
    labels: ArrayLike, teacher: ArrayLike, student: ArrayLike, *, alpha: float = 0.5, temperature: float = 1.0
) -> float:
    """α T² KL + (1 − α) cross-entropy.

    Parameters
    ----------
    labels : array_like of int, shape (tokens,)
    teacher, student : array_like, shape (tokens, vocabulary)
        Logits.
    alpha : float
        From 0 (labels alone) to 1 (the teacher alone). A loss written T² KL + a cross-entropy is this one with
        α = 1 / (1 + a), times 1 + a.

    Examples
    --------
    >>> mixture([1], np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), alpha=0.0) == hard_loss([1], np.log([[0.25, 0.75]]))
    True
    """
    _weight(alpha)
    return alpha * soft_loss(teacher, student, temperature) + (1 - alpha) * hard_loss(labels, student)


def mixture_gradient(
    labels: ArrayLike, teacher: ArrayLike, student: ArrayLike, *, alpha: float = 0.5, temperature: float = 1.0
) -> Floats:
    """Gradient of :func:`mixture` with respect to the student's logits, shape (tokens, vocabulary)."""
    _weight(alpha)
    return alpha * soft_gradient(teacher, student, temperature) + (1 - alpha) * hard_gradient(labels, student)


def _log_softened(logits: ArrayLike, temperature: float) -> Floats:
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.size == 0 or not np.isfinite(z).all():
        raise InvalidInput(f"logits must be a matrix (tokens, vocabulary) of finite numbers, not of shape {z.shape}")
    if not 0 < temperature < np.inf:
        raise InvalidInput(f"temperature is {temperature!r}; a number above 0 is needed")
    z = (z - z.max(axis=1, keepdims=True)) / temperature
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def _pair(teacher: ArrayLike, student: ArrayLike, temperature: float) -> tuple[Floats, Floats]:
    p, q = _log_softened(teacher, temperature), _log_softened(student, temperature)
    if p.shape != q.shape:
        raise InvalidInput(f"teacher and student speak of the same tokens and words, not {p.shape} and {q.shape}")
    return p, q


def _labels(labels: ArrayLike, q: Floats) -> NDArray[np.intp]:
    found = np.asarray(labels)
    if found.shape != q.shape[:1] or not np.issubdtype(found.dtype, np.integer):
        raise InvalidInput(f"{len(q)} tokens need as many whole numbers as labels")
    if found.min() < 0 or found.max() >= q.shape[1]:
        raise InvalidInput(f"a label lies outside the vocabulary of {q.shape[1]} words")
    return found.astype(np.intp)


def _weight(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise InvalidInput(f"alpha is {alpha!r}; give a share from 0 to 1")
