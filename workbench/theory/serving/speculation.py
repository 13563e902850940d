"""Speculative sampling: a small model guesses, the large one checks, and the text is as the large one would write it.

A draft model draws k tokens x₁ … x_k one after the other. The target computes its distributions at all k + 1 places in
one step. Draft by draft, x is kept with probability min(1, p(x) / q(x)); at the first that is not, a token is drawn
from what q gave too little, max(0, p − q) made to sum to 1, and the rest is thrown away. If all are kept, the last
place gives one token more. Two things are easily got wrong. p and q must be those of that place, after the drafts
before it; and those that tokens are drawn from, cut to top-p and with the temperature, on both sides.

Here a model is a table: a row of logits for each token that may come before. That is enough to check the method over
whole sequences, since what comes next depends on what was kept.

References
----------
Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", ICML 2023, arXiv 2211.17192,
algorithm 1, section 2.3 and appendix A.1; Chen et al., "Accelerating Large Language Model Decoding with Speculative
Sampling", arXiv 2302.01318, algorithm 2 and theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.serving.sampling import Floats, Whole, distribution, draw


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the target gives each sequence.

    Parameters
    ----------
    tokens : ndarray of int, shape (sequences, k + 1)
        Only the first ``counts`` of a row count.
    counts : ndarray of int, shape (sequences,)
        Tokens emitted, 1 to k + 1.
    kept : ndarray of int, shape (sequences,)
        Drafts kept.
    """

    tokens: Whole
    counts: Whole
    kept: Whole


@dataclass(frozen=True, slots=True)
class Written:
    """Sequences, and what they cost.

    Parameters
    ----------
    tokens : ndarray of int, shape (sequences, length)
    tokens_per_step : float
        Emitted by a step of the target, on average.
    acceptance : float
        Share kept of the drafts that were looked at: those up to the first that is not kept.
    """

    tokens: Whole
    tokens_per_step: float
    acceptance: float


class Speculator:
    """A target and a draft model that write together.

    Parameters
    ----------
    target, draft : array_like, shape (vocabulary, vocabulary)
        Logits of the next token, a row for each token before it.
    drafted : int
        k, at least 1.
    temperature, top_p : float
        As the target alone would be sampled with; see :func:`workbench.theory.serving.sampling.distribution`.

    Raises
    ------
    InvalidInput
        For tables of two vocabularies, no drafts, or a temperature or top-p that cannot be.

    Examples
    --------
    A draft that knows nothing makes the text no worse, only slower: the target says 1 after 0 and 0 after 1.

    >>> target, draft = np.log([[0.01, 0.99], [0.99, 0.01]]), np.zeros((2, 2))
    >>> Speculator(target, draft, drafted=3, temperature=0).write(0, 6, 1, np.random.default_rng(0)).tokens
    array([[1, 0, 1, 0, 1, 0]])
    """

    def __init__(
        self, target: ArrayLike, draft: ArrayLike, drafted: int, temperature: float = 1.0, top_p: float = 1.0
    ) -> None:
        logits = [np.asarray(target, float), np.asarray(draft, float)]
        if any(table.ndim != 2 or table.shape[0] != table.shape[1] for table in logits):
            raise InvalidInput("a model is a square table: a row of logits for each token that may come before")
        if logits[0].shape != logits[1].shape:
            raise InvalidInput(
                f"the target knows {len(logits[0])} tokens and the draft {len(logits[1])}; they must share a vocabulary"
            )
        if drafted < 1:
            raise InvalidInput(f"drafted is {drafted!r}; it must be at least 1")
        self.drafted = drafted
        #: What is drawn from, and what it is checked with: the same.
        self.p, self.q = (distribution(table, temperature, top_p) for table in logits)
        self.checked_p, self.checked_q = self.p, self.q

    def step(self, last: Whole, rng: np.random.Generator) -> Step:
        """Draft, check, and one token of the target's own.

        Parameters
        ----------
        last : ndarray of int, shape (sequences,)
            The token that each sequence ends with.
        rng : numpy.random.Generator
        """
        rows = np.arange(len(last))
        before = self._guess(last, rng)  # before[:, i]: the token that place i comes after
        guesses = before[:, 1:]
        odds = self.checked_p[before[:, :-1], guesses] / np.maximum(self.checked_q[before[:, :-1], guesses], 1e-300)
        kept = (rng.random(odds.shape) < odds).cumprod(axis=1).sum(axis=1)

        tokens = np.concatenate([guesses, np.zeros((len(last), 1), int)], axis=1)
        place = before[rows, kept]
        short = kept < self.drafted
        own = np.where(
            short[:, None],
            residual(self.checked_p[place], self.checked_q[self._draft_row(before, kept)]),
            self.p[place],
        )
        tokens[rows, kept] = draw(own, rng)
        return self._ended(Step(tokens, kept + 1, kept), before, rng)

    def write(self, first: int, length: int, sequences: int, rng: np.random.Generator) -> Written:
        """Many sequences at once, each of ``length`` tokens after the token ``first``.

        Parameters
        ----------
        first, length, sequences : int
        rng : numpy.random.Generator

        Returns
        -------
        Written
        """
        text = np.full((sequences, 1 + length + self.drafted), first)
        ends = np.ones(sequences, int)
        steps = emitted = kept = looked_at = 0
        while len(short := np.flatnonzero(ends <= length)):
            step = self.step(text[short, ends[short] - 1], rng)
            for at in range(self.drafted + 1):
                going = step.counts > at
                text[short[going], ends[short[going]] + at] = step.tokens[going, at]
            ends[short] += step.counts
            steps += len(short)
            emitted += int(step.counts.sum())
            kept += int(step.kept.sum())
            looked_at += int(np.minimum(step.kept + 1, self.drafted).sum())
        return Written(text[:, 1 : 1 + length], emitted / steps, kept / looked_at)

    def _guess(self, last: Whole, rng: np.random.Generator) -> Whole:
        """The last token and the k that the draft draws after it, shape (sequences, k + 1)."""
        before = [last]
        for _ in range(self.drafted):
            before.append(draw(self.q[before[-1]], rng))
        return np.stack(before, axis=1)

    def _draft_row(self, before: Whole, kept: Whole) -> Whole:
        """After which token the draft's distribution is taken that a rejection corrects: the one of that place."""
        return np.asarray(before[np.arange(len(before)), kept])

    def _ended(self, step: Step, before: Whole, rng: np.random.Generator) -> Step:
        """A step ends with the target's own token, whether it corrects a draft or follows the last."""
        return step


def residual(p: Floats, q: Floats) -> Floats:
    """What a rejected draft is replaced from: max(0, p − q), made to sum to 1; p itself where that is nothing.

    Examples
    --------
    >>> residual(np.array([[0.6, 0.3, 0.1]]), np.array([[0.2, 0.4, 0.4]]))
    array([[1., 0., 0.]])
    """
    missing = np.maximum(p - q, 0.0)
    total = missing.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 0, missing / np.where(total > 0, total, 1.0), p))


def acceptance(p: ArrayLike, q: ArrayLike) -> Floats:
    """Chance that a draft is kept: Σ min(p, q), which is 1 less the total variation between the two; shape (…).

    Examples
    --------
    >>> float(acceptance([0.6, 0.3, 0.1], [0.2, 0.4, 0.4]).round(3))
    0.6
    """
    return np.asarray(np.minimum(p, q).sum(axis=-1))


def joint(table: NDArray[np.float64], first: int, length: int) -> Floats:
    """Chance of every sequence of ``length`` tokens after ``first``.

    Parameters
    ----------
    table : ndarray, shape (vocabulary, vocabulary)
        Probabilities of the next token, a row for each token before it.

    Returns
    -------
    ndarray, shape (vocabulary, …), ``length`` times

    Examples
    --------
    >>> joint(np.array([[0.5, 0.5], [1.0, 0.0]]), first=0, length=2)
    array([[0.25, 0.25],
           [0.5 , 0.  ]])
    """
    found = table[first]
    for _ in range(length - 1):
        found = found[..., None] * table
    return np.asarray(found)


def counted(tokens: Whole, vocabulary: int) -> Whole:
    """How often each sequence was written, in the order of :func:`joint`.

    >>> counted(np.array([[0, 1], [1, 0], [0, 1]]), 2)
    array([[0, 2],
           [1, 0]])
    """
    shape = (vocabulary,) * tokens.shape[1]
    codes = np.ravel_multi_index(tuple(tokens.T), shape)
    return np.bincount(codes, minlength=vocabulary ** tokens.shape[1]).reshape(shape)


def total_variation(counts: ArrayLike, chances: ArrayLike) -> float:
    """Half the sum of |share counted − chance|: the largest error of any probability read off the counts.

    >>> round(total_variation([60, 40], [0.5, 0.5]), 3)
    0.1
    """
    seen = np.asarray(counts, float)
    return float(np.abs(seen / seen.sum() - chances).sum() / 2)


def total_variation_of_counting(chances: ArrayLike, samples: int) -> float:
    """What counting so many samples of the right distribution leaves on average: Σ √(p (1 − p) / 2 π n).

    Half the mean size of each count's error, taken as normal: √(2 / π) of its standard deviation.

    >>> round(total_variation_of_counting([0.5, 0.5], 10_000), 4)
    0.004
    """
    p = np.asarray(chances, float)
    return float(np.sqrt(p * (1 - p) / (2 * np.pi * samples)).sum())
