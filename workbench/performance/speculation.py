"""Speculative decoding: what a step emits, what it costs, and up to which batch it pays.

k tokens are drafted, the model computes them and one more in one step (verifies them), and keeps them up to the first
it would not have sampled; there it samples itself. The output is distributed as without drafting. Functions take
numbers or arrays; times are in seconds.

References
----------
Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", ICML 2023, arXiv 2211.17192;
Chen et al., "Accelerating Large Language Model Decoding with Speculative Sampling", 2023, arXiv 2302.01318.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.performance.normal import Floats


def emitted_tokens(acceptance: Floats | float, drafted: int) -> Floats:
    """Tokens a step emits on average: (1 − a^(k+1)) / (1 − a); k + 1 at a = 1.

    Each draft is accepted with probability a where those before it were; the step ends with a token of the model's own.

    Parameters
    ----------
    acceptance : ndarray or float
        a, from 0 to 1.
    drafted : int
        k.

    References
    ----------
    Leviathan et al. 2023, equation 1.

    Examples
    --------
    >>> emitted_tokens(np.array([0.0, 0.7, 1.0]), 5).round(3)
    array([1.   , 2.941, 6.   ])
    """
    a = np.asarray(acceptance, float)
    return np.asarray(sum(a**i for i in range(drafted + 1)))


def emitted_by_position(rates: Sequence[float]) -> float:
    """Tokens a step emits on average, from acceptance by position: 1 + Σ r_i.

    vLLM logs, for each position, the share of all drafts in which the token there was accepted (and so all before it).

    Parameters
    ----------
    rates : sequence of float
        Not increasing, 0 to 1.

    References
    ----------
    github:vllm-project/vllm vllm/v1/spec_decode/metrics.py (``SpecDecodingLogging``).

    Examples
    --------
    >>> round(emitted_by_position([0.727, 0.513]), 3)
    2.24
    """
    return 1 + float(sum(rates))


def emitted_squared(acceptance: Floats | float, drafted: int) -> Floats:
    """Mean square of the tokens of a step: Σ (2 i + 1) a^i over i = 0 … k.

    >>> emitted_squared(np.array([0.0, 1.0]), 3)
    array([ 1., 16.])
    """
    a = np.asarray(acceptance, float)
    return np.asarray(sum((2 * i + 1) * a**i for i in range(drafted + 1)))


def acceptance_from(emitted: Floats | float, drafted: int) -> Floats:
    """The a that emits so many tokens a step; 0 for one or fewer, 1 for k + 1 or more.

    >>> acceptance_from(np.array([1.0, 2.941, 6.0]), 5).round(2)
    array([0. , 0.7, 1. ])
    """
    low, high = np.zeros_like(np.asarray(emitted, float)), np.ones_like(np.asarray(emitted, float))
    for _ in range(40):
        middle = (low + high) / 2
        less = emitted_tokens(middle, drafted) < emitted
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return np.asarray(np.round((low + high) / 2, 9))


def decode_steps(osl: float, acceptance: float, drafted: int) -> float:
    """Steps after the first token in which a request of ``osl`` tokens is decoded.

    (OSL − 1 + E[X²] / (2 E[X]) − ½) / E[X], X the tokens of a step: the last step emits some that are not asked for.

    References
    ----------
    Mean overshoot of a renewal process: Cox, "Renewal Theory", 1962, section 4.4.

    Examples
    --------
    >>> decode_steps(257, 0.0, 0), round(decode_steps(257, 0.7, 3), 1)
    (256.0, 101.5)
    """
    mean, square = float(emitted_tokens(acceptance, drafted)), float(emitted_squared(acceptance, drafted))
    return (osl - 1 + square / (2 * mean) - 0.5) / mean if osl > 1 else 0.0


def speedup(emitted: Floats | float, decode: Floats, verify: Floats, draft: Floats | float) -> Floats:
    """How many times faster tokens come than without drafting: E × decode / (verify + draft).

    Parameters
    ----------
    emitted : ndarray or float
        Tokens a step emits, E.
    decode, verify : ndarray
        A step of the batch with one token a request, and with k + 1 [s].
    draft : ndarray or float
        Drafting k tokens for the whole batch [s].

    References
    ----------
    Leviathan et al. 2023, theorem 3.8, where verify = decode and draft = k c decode.

    Examples
    --------
    Llama 70B with 8B: five drafts of 0.114 steps each, 75 % accepted.

    >>> speedup(emitted_tokens(0.75, 5), np.array([0.05]), np.array([0.05]), 5 * 0.114 * 0.05).round(2)
    array([2.09])
    """
    return np.asarray(emitted * decode / (verify + draft))


def verified_free_of_charge(weights: Floats, token: Floats, drafted: int) -> Floats:
    """Requests up to which verifying costs no more than decoding: tokens computed while the weights are read.

    n = weights / ((k + 1) token): the roofline's ridge, divided among k + 1 tokens a request.

    Parameters
    ----------
    weights, token : ndarray
        Reading all weights once, and computing one token [s].
    drafted : int
        k.

    Examples
    --------
    An H100 computes 295 BF16 tokens while it reads one 2-byte weight of each.

    >>> verified_free_of_charge(np.array([295.0]), np.array([1.0]), 4)
    array([59.])
    """
    return np.asarray(weights / ((drafted + 1) * token))


def pays_up_to(
    batches: Floats, emitted: Floats | float, decode: Floats, verify: Floats, draft: Floats | float
) -> Floats:
    """The batch from which drafting slows down: where the speed-up falls to 1, between the points given.

    Parameters
    ----------
    batches : ndarray
        Requests, ascending; shape (points,).
    emitted : ndarray or float
    decode, verify, draft : ndarray
        Steps at those batches, as in :func:`speedup` [s]; shape (points, rows).

    Returns
    -------
    ndarray
        Shape (rows,): 0 where it never pays, infinite where it still does at the largest batch.

    Examples
    --------
    >>> batches = np.array([1.0, 50.0, 100.0])
    >>> decode, verify = np.array([[10.0], [10.0], [10.0]]), np.array([[10.0], [20.0], [40.0]])
    >>> pays_up_to(batches, 3.0, decode, verify, 0.0)
    array([75.])
    """
    gain = emitted * decode - verify - draft  # falls through zero where the speed-up is 1
    lost = gain < 0
    after = lost.argmax(axis=0)
    before, rows = np.maximum(after - 1, 0), np.arange(gain.shape[1])
    drop = gain[before, rows] - gain[after, rows]
    share = gain[before, rows] / np.where(drop > 0, drop, 1.0)
    crossing = batches[before] + (batches[after] - batches[before]) * share
    return np.asarray(np.where(lost.any(axis=0), np.where(lost[0], 0.0, crossing), np.inf))


def best_drafted(speedups: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How many tokens to draft: the k with the largest speed-up, 0 where none is above 1.

    Parameters
    ----------
    speedups : ndarray
        Of k = 1, 2, … along the first axis.

    Examples
    --------
    >>> best_drafted(np.array([[1.3, 0.9], [1.5, 0.8], [1.4, 0.7]]))
    array([2, 0])
    """
    best = speedups.argmax(axis=0)
    return np.asarray(np.where(np.take_along_axis(speedups, best[None], 0)[0] > 1, best + 1, 0), np.int64)
