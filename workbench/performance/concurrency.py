"""A fixed number of requests in flight (a closed loop), as most benchmarks keep it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.deployment import Workload
from workbench.performance.capacity import Asked, Drafts, most_decoding, rate_of, saturation_rate
from workbench.performance.flow import Flow, shortest, spread_over_requests
from workbench.performance.gaps import gaps
from workbench.performance.lengths import expected_ceiling
from workbench.performance.normal import Floats
from workbench.performance.pressure import overflow_probability, preemptions, recomputed_tokens, stalled
from workbench.performance.queueing import Delayed, Spread
from workbench.performance.step_law import Steps


def closed_loop(
    steps: Steps,
    arriving: Floats,
    running: Floats,
    workload: Workload,
    max_num_batched_tokens: Floats,
    overhead: Floats | float = 0.0,
    *,
    kv_cache_tokens: Floats | None = None,
    drafts: Drafts | None = None,
) -> Flow:
    """Steady state of one replica where a fixed number of requests is in flight: as one ends, the next is sent.

    With R places taken, n of them decode in s = OSL − 1 steps each and the others have their prompts computed, in c
    steps and what is left over from steps before (x): n + (n / s) (c + x) = R, and a step takes d(n) + w n / s. So

    λ = n / (s d(n) + n w),   TPOT = d(n) + w (n / s) (R − 1) / R,   TTFT = N / λ − s TPOT (Little),

    which is c d(n) + w (1 + met) where all N run. ``met``, others' prompts in a request's own first step, is
    (R − 1) / W: requests sent together go on together, in the W = m steps that their prompts took, until lengths that
    differ have spread them over all of their cycle: W² = m² + 4 π r (cv OSL)² after r rounds. Without a start that
    counts they are spread.

    Parameters
    ----------
    steps : Steps
        With ``drafts``, a step that drafts and verifies.
    arriving : ndarray
        N, requests in flight at this replica.
    running : ndarray
        Places: requests that fit batch and cache, from :func:`~workbench.performance.capacity.running_at_once`.
    workload : Workload
        ``requests`` of it over its ``concurrency``, where given, make the run so many rounds long and count its start,
        when N are sent at once.
    max_num_batched_tokens : ndarray
    overhead : ndarray or float
        Of each first token besides steps [s].
    kv_cache_tokens : ndarray, optional
        Counts what is sent back for want of blocks and computed again.
    drafts : Drafts, optional

    Examples
    --------
    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.02], [0.02]]), np.array([0.05]))
    >>> load = Workload(1024, 257, osl_cv=0.1)
    >>> flow = closed_loop(steps, np.array([33.0]), np.array([33.0]), load, np.array([8192.0]))
    >>> flow.ttft.mean.round(4), flow.tpot.mean.round(4), flow.requests_per_s.round(2)
    (array([0.0763]), array([0.0262]), array([4.86]))
    """
    asked, own = Asked.of(workload, drafts), steps.shared
    places, s = np.minimum(arriving, running), asked.decode_steps
    full = np.zeros_like(places)
    if kv_cache_tokens is not None:
        full = overflow_probability(kv_cache_tokens, arriving, 0.0, workload)
    again = recomputed_tokens(full, workload)
    w = own * (1 + again / asked.prompt)

    def excess(n: Floats) -> Floats:
        """Places that n decoding requests take with the prompts they bring, beyond those there are."""
        first = _first_steps(n, places, arriving, asked, workload, max_num_batched_tokens)
        out = overhead / (steps.time(n) + w * n / s)
        return np.asarray(n + (first.taken + out) * n / s - places)

    n = _rising_through_zero(excess, most_decoding(places, asked, max_num_batched_tokens), -places)
    first = _first_steps(n, places, arriving, asked, workload, max_num_batched_tokens)
    d = steps.time(n)
    rate = rate_of(steps, n, places, asked, w)
    usual = n / s * (places - 1) / places
    step = d + w * usual - own * np.maximum(first.met - usual, 0.0) / max(s, 1.0)
    waiting, service = arriving - places, own + first.budgets * d
    stall = stalled(waiting, places, full, workload) / rate
    tpot = (step * s + stall) / asked.tokens
    ttft = arriving / rate - s * step - stall
    variance = (first.met * own + first.backlog * service) * service * (1 + asked.isl_cv**2)
    variance = variance + (own * asked.isl_cv) ** 2 + waiting / rate**2
    least = np.where(waiting > 0, 0.0, (d + own) * shortest(asked.isl_cv) + overhead)
    prompts = w * w * (1 + asked.isl_cv**2) * usual
    return Flow(
        running=n,
        requests_per_s=rate,
        # What is reached with so many in flight can be reached: both are means of the same steps, rounded differently.
        saturation=np.maximum(saturation_rate(steps, running, workload, max_num_batched_tokens, drafts, again), rate),
        preemptions=preemptions(full, workload),
        ttft=Delayed(
            Spread(np.minimum(least, ttft), ttft, np.sqrt(variance)), np.zeros_like(ttft), np.zeros_like(ttft)
        ),
        tpot=spread_over_requests(tpot, d * s / asked.tokens, prompts, s, asked.osl_cv, np.zeros_like(tpot)),
        itl=gaps(step, d, np.zeros_like(d), w, first.met, np.ones_like(d), first.budgets, asked.isl_cv),
        start=_start(steps, places, first.budgets) + overhead,
        start_share=np.minimum(places / arriving / _rounds(workload), 1.0)
        if workload.requests
        else np.zeros_like(places),
    )


def _rising_through_zero(function: Callable[[Floats], Floats], most: Floats, at_zero: Floats) -> Floats:
    """Where a rising function is zero, between 0, where it is ``at_zero`` < 0, and ``most``; else ``most``.

    False position; the end that stays twice counts half (the Illinois method), so that both ends close in.

    References
    ----------
    Dowell, Jarratt, "A modified regula falsi method for computing the root of an equation", BIT 11, 1971.

    Examples
    --------
    >>> _rising_through_zero(lambda x: x**2 - 4, np.array([3.0, 1.0]), np.array([-4.0, -4.0])).round(6)
    array([2., 1.])
    """
    low, high, below, above = np.zeros_like(most), most, at_zero, function(most)
    beyond, stayed = above <= 0, np.zeros_like(most)
    for _ in range(9):
        found = np.where(beyond, most, high - above * (high - low) / np.maximum(above - below, 1e-300))
        value = function(found)
        if (beyond | (np.abs(value) <= 1e-8 * np.abs(at_zero))).all():
            break
        short = value < 0
        above = np.where(short, np.where(stayed < 0, above / 2, above), value)
        below = np.where(short, value, np.where(stayed > 0, below / 2, below))
        low, high = np.where(short, found, low), np.where(short, high, found)
        stayed = np.where(short, -1.0, 1.0)
    return found


@dataclass(frozen=True, slots=True)
class _First:
    """Before a first token: others' prompts in the same step, budgets of a prompt, those left over, steps in all."""

    met: Floats
    budgets: Floats
    backlog: Floats
    taken: Floats


def _first_steps(
    n: Floats, places: Floats, arriving: Floats, asked: Asked, workload: Workload, max_num_batched_tokens: Floats
) -> _First:
    budgets = asked.budgets(n, max_num_batched_tokens)
    cut = expected_ceiling(budgets, asked.isl_cv)
    cycle = asked.decode_steps + cut
    together = np.minimum(places, n * cycle / asked.decode_steps)  # but for those whose prompts wait for a budget
    met = np.maximum(together - 1, 0.0) / _width(together, budgets, cycle, arriving, workload)
    load = n / asked.decode_steps * budgets * np.maximum(places - 1, 0.0) / places
    left = backlog(load, budgets, 1 + asked.isl_cv**2)
    return _First(met, budgets, left, cut + left + np.minimum(budgets, 1.0) * met * budgets / 2)


def backlog(load: Floats, budgets: Floats, ratio: float) -> Floats:
    """Budgets' worth of prompts left over at the end of a step, where ``load`` of each budget is asked for.

    Lindley's recursion X' = (X + Y − 1)⁺ of what comes in a step, Y of mean ``load`` in portions u:
    E[X] = (E[Y²] − 2 E[Y] + 1 − E[I²]) / (2 (1 − E[Y])), where the square of the idle part is taken as (1 − load)² +
    load (1 − load) min(u, 1), which is exact for whole portions and for few small ones.

    Parameters
    ----------
    load, budgets : ndarray
        E[Y] below 1, and u.
    ratio : float
        E[u²] / u².

    References
    ----------
    Lindley, "The theory of queues with a single server", Proc. Cambridge Phil. Soc. 48, 1952.

    Examples
    --------
    >>> backlog(np.array([0.5, 0.5]), np.array([1.0, 0.1]), 1.0)
    array([0.25 , 0.025])
    """
    free, size = np.maximum(1 - load, 1e-6), budgets * ratio
    return np.asarray(np.maximum(load * (size - free * np.minimum(size, 1.0)) / (2 * free), 0.0))


def _rounds(workload: Workload) -> float:
    """How often the requests in flight are served in a run; infinite where its start does not count."""
    return workload.requests / workload.concurrency if workload.requests else math.inf


def _width(places: Floats, budgets: Floats, cycle: Floats, arriving: Floats, workload: Workload) -> Floats:
    """Steps over which the starts of requests that run together are spread; see :func:`closed_loop`."""
    together = np.where(budgets < 1, places / np.maximum(np.floor(1 / budgets), 1.0), places)
    together = np.clip(together, 1.0, cycle)
    if workload.requests is None:  # no start that sent them together
        return np.asarray(cycle)
    if not workload.osl_cv:
        return np.asarray(together)
    rounds = max(_rounds(workload) - 1, 0.0) / 2
    drift = 4 * math.pi * rounds * (workload.osl * workload.osl_cv) ** 2
    return np.asarray(np.minimum(np.sqrt(together**2 + drift), cycle))


def _start(steps: Steps, places: Floats, budgets: Floats) -> Floats:
    """Mean TTFT of those sent at once: the first budget alone, then one a step while more and more decode [s]."""
    prompts = np.minimum(1 / np.maximum(budgets, 1e-9), places)
    rest = (np.ceil(places / prompts) - 1) / 2
    return np.asarray(steps.prefill * prompts + rest * (steps.time(places / 2) + steps.shared * prompts))
