"""Distillation small enough to watch: language models that are one table, the next word by the last one.

The teacher is a table of logits, a row for each word. Text is drawn from it. The student's table has a low rank, so it
cannot hold all of the teacher's, and it learns from the text's own words, from the teacher's distributions, or both.

Labels and distributions are here the same loss with two targets: for each word, the frequencies of what followed it in
the text, or what the teacher says would follow. The first are a sample of the second, and the student learns the noise
of the sample too. With more text it fades, and the two become one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from workbench.errors import InvalidInput
from workbench.theory.distillation.losses import divergence, softened

Floats = NDArray[np.float64]
_RATE, _BETAS, _TINY, _EVERY = 0.05, (0.9, 0.99), 1e-8, 5


@dataclass(frozen=True)
class Learned:
    """A student and how it came there.

    Parameters
    ----------
    logits : ndarray, shape (words, words)
    steps : ndarray of int
        When it was measured: before the first step, then after every fifth.
    divergences : ndarray, shape of `steps`
        Mean KL(teacher || student) over all words [nats a token].
    """

    logits: Floats
    steps: NDArray[np.int_]
    divergences: Floats


def teacher(generator: Generator, words: int = 24, rank: int = 8, spread: float = 1.5) -> Floats:
    """A table of logits with some structure: the product of two random matrices.

    Parameters
    ----------
    generator : numpy.random.Generator
    words : int
    rank : int
        Of the table.
    spread : float
        Standard deviation of the logits.

    Returns
    -------
    ndarray, shape (words, words)
        Row: the last word; column: the next.
    """
    if min(words, rank) < 1 or words < 2 or not spread > 0:
        raise InvalidInput("give at least 2 words, a rank of at least 1 and a spread above 0")
    left, right = generator.standard_normal((2, words, rank))
    return np.asarray(left @ right.T * spread / np.sqrt(rank))


def text(generator: Generator, table: Floats, tokens: int) -> Floats:
    """How often each word followed each other one in so many tokens of the teacher's own.

    Returns
    -------
    ndarray, shape (words, words)
        Row: the last word; column: what followed. Contexts are drawn evenly.
    """
    if tokens < 1:
        raise InvalidInput(f"tokens is {tokens}; give at least 1")
    words = len(table)
    contexts = generator.multinomial(tokens, np.full(words, 1 / words))
    return np.stack([generator.multinomial(n, p) for n, p in zip(contexts, softened(table), strict=True)]).astype(float)


def learn(
    table: Floats,
    counts: Floats,
    *,
    alpha: float = 1.0,
    temperature: float = 1.0,
    rank: int = 4,
    steps: int = 150,
    seed: int = 0,
) -> Learned:
    """A student of low rank, by Adam on all of the text at once: α T² KL + (1 − α) cross-entropy.

    Parameters
    ----------
    table : ndarray, shape (words, words)
        The teacher's logits.
    counts : ndarray, shape (words, words)
        Of :func:`text`. Only words that occur there are learned from, whatever the target.
    alpha : float
        0: from the text's words alone; 1: from the teacher alone.
    temperature : float
    rank : int
        Of the student's table.
    steps : int
    seed : int
        Of its first weights.

    Returns
    -------
    Learned

    Examples
    --------
    The same 240 tokens, read as words and read with the teacher at hand:

    >>> generator = np.random.default_rng(0)
    >>> table = teacher(generator)
    >>> counts = text(generator, table, 240)
    >>> [round(float(learn(table, counts, alpha=a).divergences[-1]), 2) for a in (0.0, 1.0)]
    [2.72, 0.08]
    """
    if not 0 <= alpha <= 1 or rank < 1 or steps < 1 or counts.shape != table.shape:
        raise InvalidInput("give alpha from 0 to 1, a rank and steps of at least 1, and counts of the teacher's words")
    words = len(table)
    seen = counts.sum(axis=1, keepdims=True)
    frequencies, taught = counts / np.maximum(seen, 1), softened(table, temperature)
    weights = seen / seen.sum()
    generator = np.random.default_rng(seed)
    left, right = (0.3 * generator.standard_normal((words, rank)) for _ in range(2))
    bias = np.zeros((1, words))
    parts, moments = [left, right, bias], [(np.zeros_like(p), np.zeros_like(p)) for p in (left, right, bias)]
    apart = [float(divergence(table, left @ right.T + bias).mean())]
    for step in range(1, steps + 1):
        left, right, bias = parts
        logits = left @ right.T + bias
        slope = alpha * temperature * (softened(logits, temperature) - taught)
        slope = weights * (slope + (1 - alpha) * (softened(logits) - frequencies))
        gradients = (slope @ right, slope.T @ left, slope.sum(axis=0, keepdims=True))
        for at, gradient in enumerate(gradients):
            first, second = moments[at]
            moments[at] = (_BETAS[0] * first + (1 - _BETAS[0]) * gradient,
                           _BETAS[1] * second + (1 - _BETAS[1]) * gradient**2)  # fmt: skip
            mean, square = (m / (1 - beta**step) for m, beta in zip(moments[at], _BETAS, strict=True))
            parts[at] = parts[at] - _RATE * mean / (np.sqrt(square) + _TINY)
        if step % _EVERY == 0:
            left, right, bias = parts
            apart.append(float(divergence(table, left @ right.T + bias).mean()))
    left, right, bias = parts
    return Learned(left @ right.T + bias, np.arange(len(apart)) * _EVERY, np.array(apart))


def least_divergence(table: Floats, rank: int, steps: int = 1000) -> float:
    """How close a student of this rank gets with the teacher's word on everything: what is left is its size [nats]."""
    everything = np.ones_like(table)
    return float(learn(table, everything, rank=rank, steps=steps).divergences[-1])
