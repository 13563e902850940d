"""KV pressure: when running requests outgrow the cache, what is sent back, and what that costs.

vLLM lets a request in for its prompt; as outputs grow the cache may run out, and the request let in last is sent back
to compute everything again. Once the cache is full, what ends makes place for new prompts and the outputs that go on
growing push out others, token for token: each output token costs one that is computed again.
"""

from __future__ import annotations

import numpy as np

from workbench.deployment import Workload
from workbench.performance.lengths import context_spread, mean_context
from workbench.performance.normal import Floats, normal_cdf, normal_quantile


def kv_demand(n: Floats, variance: Floats | float, workload: Workload) -> tuple[Floats, Floats]:
    """Tokens that ``n`` running requests hold: mean and standard deviation [tokens].

    n h and √(n s² + Var(n) h²), h and s the mean and the deviation of what one holds.

    Parameters
    ----------
    n, variance : ndarray
        Requests that would run were the cache without limit, and their variance; 0 at a fixed concurrency.
    workload : Workload

    Examples
    --------
    >>> mean, deviation = kv_demand(np.array([16.0]), 0.0, Workload(1024, 256))
    >>> mean, deviation.round()
    (array([18432.]), array([296.]))
    """
    held = mean_context(workload.isl, workload.osl, workload.osl_cv)
    one = context_spread(workload.isl, workload.osl, workload.isl_cv, workload.osl_cv)
    return np.asarray(n * held), np.asarray(np.sqrt(n * one**2 + variance * held**2))


def overflow_probability(kv_cache_tokens: Floats, n: Floats, variance: Floats | float, workload: Workload) -> Floats:
    """Share of the time in which the cache is full: that demand, normally distributed, exceeds it.

    A new prompt has to fit whole, so on average half a prompt stays empty.

    Parameters
    ----------
    kv_cache_tokens : ndarray
        Tokens the cache of one replica holds.
    n, variance : ndarray
        As in :func:`kv_demand`.
    workload : Workload

    Examples
    --------
    >>> overflow_probability(np.array([20_000.0, 18_944.0]), np.array([16.0]), 0.0, Workload(1024, 256)).round(3)
    array([0. , 0.5])
    """
    mean, deviation = kv_demand(n, variance, workload)
    return normal_cdf((mean - (kv_cache_tokens - workload.isl / 2)) / np.maximum(deviation, 1e-9))


def recomputed_tokens(overflow: Floats, workload: Workload) -> Floats:
    """Tokens that are computed again, for each request: one for each output token that grows into a full cache.

    >>> recomputed_tokens(np.array([0.0, 1.0]), Workload(1024, 256))
    array([  0., 256.])
    """
    return np.asarray(overflow * workload.osl)


def preemptions(overflow: Floats, workload: Workload) -> Floats:
    """Times a request is sent back on average: what is computed again, over what one that is sent back holds.

    The last let in goes first, so it holds its prompt and a tenth of an output (so in simulations; 0.05 to 0.2).

    >>> preemptions(np.array([1.0]), Workload(1024, 256)).round(2)
    array([0.24])
    """
    return np.asarray(recomputed_tokens(overflow, workload) / (workload.isl + 0.1 * workload.osl))


def stalled(waiting: Floats, places: Floats, overflow: Floats, workload: Workload) -> Floats:
    """Requests that have begun, were sent back and wait for a place again: their wait lengthens TPOT, not TTFT.

    (W⁻² + A⁻²)^(−½), W those that wait at all and A = preemptions × √R / 2: an end makes place for many short
    beginnings, which then grow. Fitted to simulations: within a factor of two.

    Parameters
    ----------
    waiting, places, overflow : ndarray
        Requests in flight beyond the places; places R; share of time in which the cache is full.
    workload : Workload

    Examples
    --------
    >>> stalled(np.array([0.0, 10.0]), np.array([9.5]), np.array([1.0]), Workload(256, 1024)).round(1)
    array([0., 4.])
    """
    most = np.maximum(preemptions(overflow, workload) * np.sqrt(places) / 2, 1e-9)
    return np.asarray(waiting * most / np.sqrt(waiting**2 + most**2))


def pressure_from(kv_cache_tokens: Floats, workload: Workload, share: float = 0.01) -> Floats:
    """Requests at a time from which the cache is full for ``share`` of the time.

    n h + z s √n = K − ISL / 2, z the normal quantile of 1 − share.

    Examples
    --------
    >>> pressure_from(np.array([100_000.0]), Workload(1024, 256, osl_cv=0.5)).round(1)
    array([81.7])
    """
    held = mean_context(workload.isl, workload.osl, workload.osl_cv)
    one = context_spread(workload.isl, workload.osl, workload.isl_cv, workload.osl_cv)
    half = float(normal_quantile(1 - share)) * one / 2
    root = (-half + np.sqrt(half**2 + held * np.maximum(kv_cache_tokens - workload.isl / 2, 0.0))) / held
    return np.asarray(np.square(np.maximum(root, 0.0)))
