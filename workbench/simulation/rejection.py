"""Speculative sampling itself, on small vocabularies: draft, accept or reject, sample what was rejected anew.

A model is a table of next-token probabilities by the token before, shape (vocabulary, vocabulary).

References
----------
Leviathan et al. 2023, arXiv 2211.17192, algorithm 1.
"""

from __future__ import annotations

import numpy as np

from workbench.simulation.lengths import Floats, Whole


def sampled(probabilities: Floats, rng: np.random.Generator) -> Whole:
    """One token of each row of probabilities.

    >>> sampled(np.array([[0.0, 1.0], [1.0, 0.0]]), np.random.default_rng(0))
    array([1, 0])
    """
    drawn = rng.random((len(probabilities), 1)) * probabilities.sum(axis=1, keepdims=True)
    return np.asarray((probabilities.cumsum(axis=1) <= drawn).sum(axis=1), np.int64)


def acceptance(target: Floats, draft: Floats) -> Floats:
    """Probability that a draft is accepted, by the token before: Σ min(p, q).

    >>> acceptance(np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]]))
    array([0.6])
    """
    return np.asarray(np.minimum(target, draft).sum(axis=-1))


def speculative_step(
    target: Floats, draft: Floats, last: Whole, drafted: int, rng: np.random.Generator
) -> tuple[Whole, Whole]:
    """One step of many requests: the tokens each emits.

    Parameters
    ----------
    target, draft : ndarray
        Next-token probabilities by the token before; shape (vocabulary, vocabulary).
    last : ndarray of int
        Each request's last token; shape (requests,).
    drafted : int
        k.

    Returns
    -------
    tokens : ndarray of int
        Shape (requests, k + 1); −1 beyond what was emitted.
    count : ndarray of int
        Tokens emitted, 1 to k + 1.
    """
    requests = len(last)
    tokens = np.full((requests, drafted + 1), -1, np.int64)
    going, before = np.ones(requests, bool), last
    for position in range(drafted):
        guess = sampled(draft[before], rng)
        p, q = target[before, guess], draft[before, guess]
        accepted = rng.random(requests) * q < p
        instead = sampled(np.maximum(target[before] - draft[before], 0.0) + 1e-300, rng)
        tokens[:, position] = np.where(going, np.where(accepted, guess, instead), -1)
        going = going & accepted
        before = guess
    tokens[:, drafted] = np.where(going, sampled(target[before], rng), -1)
    return tokens, (tokens >= 0).sum(axis=1)
