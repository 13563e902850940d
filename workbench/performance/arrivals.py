"""Requests that arrive at random at a given rate (an open loop), as users send them."""

from __future__ import annotations

import numpy as np

from workbench.deployment import Workload
from workbench.performance.capacity import Asked, Drafts, saturation_rate
from workbench.performance.flow import Flow, shortest, spread_over_requests
from workbench.performance.gaps import gaps
from workbench.performance.lengths import expected_ceiling, overlap
from workbench.performance.normal import Floats
from workbench.performance.pressure import kv_demand, preemptions, recomputed_tokens, stalled
from workbench.performance.queueing import Delayed, Spread, pollaczek_khinchine, wait_for_a_place, waits_for_a_place
from workbench.performance.step_law import Steps


def open_loop(
    steps: Steps,
    rate: Floats,
    running: Floats,
    workload: Workload,
    max_num_batched_tokens: Floats,
    overhead: Floats | float = 0.0,
    *,
    kv_cache_tokens: Floats | None = None,
    drafts: Drafts | None = None,
) -> Flow:
    """Steady state where ``rate`` requests a second arrive at random (Poisson) at one replica.

    With s = OSL − 1 decode steps a request and w = share × pf, prompts take λ w of the time, so a step lasts
    E[T] = d(n) / (1 − λ w) on average and (Little) n = λ s E[T]. Tokens come in longer steps while more requests
    run, so a request sees more than the average step:

    TPOT = (d(n + V) + λ E[w²] / (s (1 − (λ w)²))) / (1 − λ w), V = Var n / n
    = (1 + (1 / (1 − λ w)² − 1) E[min(O, O')] / E[O]) / (1 − d'(n) λ s / (1 − λ w)):

    while a long step lasts more arrive, and they stay together. TTFT is the rest of the step under way, a step with the
    prompts that came meanwhile, and what prompts cut into budgets wait and take besides:

    TTFT = (½ + λ w) E[T²] / E[T] + d + w + d (E⌈u⌉ − 1) + PK(w + u d) − PK(w) − min(½, cv) λ d w min(u, 1),

    PK being Pollaczek and Khinchine's wait; the last term, for unequal prompts in one budget, is fitted to simulations.
    An idle replica begins at once. Some find all places taken (Halfin, Whitt) and wait for one.

    Parameters
    ----------
    steps : Steps
        With ``drafts``, a step that drafts and verifies.
    rate : ndarray
        λ, requests a second that reach this replica.
    running : ndarray
        Places: requests that fit batch and cache.
    workload : Workload
        Its concurrency and rate are not used.
    max_num_batched_tokens : ndarray
    overhead : ndarray or float
        Of each first token besides steps: HTTP, tokenising, scheduling [s].
    kv_cache_tokens : ndarray, optional
        Counts what is sent back for want of blocks and computed again.
    drafts : Drafts, optional

    Examples
    --------
    At little load a step of 10 ms and a prompt of 20 ms; at half of what it can, a step and a half more.

    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.01] * 2, [0.02] * 2]), np.array([0.02, 0.02]))
    >>> places, budget = np.array([256.0] * 2), np.array([8192.0] * 2)
    >>> flow = open_loop(steps, np.array([1e-6, 10.0]), places, Workload(1024, 128), budget)
    >>> flow.ttft.mean.round(4), flow.tpot.mean.round(4)
    (array([0.02  , 0.0432]), array([0.01  , 0.0134]))
    """
    asked, own = Asked.of(workload, drafts), steps.shared
    s, ratio = asked.decode_steps, 1 + asked.isl_cv**2
    saturation = saturation_rate(steps, running, workload, max_num_batched_tokens, drafts)
    again = np.zeros_like(saturation)
    full = np.zeros_like(saturation)
    for _ in range(1 if kv_cache_tokens is None else 3):  # what is computed again makes steps longer, so more run
        w = own * (1 + again / asked.prompt)
        stable = rate < saturation
        lam = np.where(stable, rate, saturation * (1 - 1e-6))
        left = np.maximum(1 - lam * w, 1e-3)  # of the time, for decoding
        factor = lam * s / left
        n = np.minimum(steps.settle(factor), running)
        d, slope = steps.time(n), steps.slope(n)
        feedback = np.minimum(factor * slope, 1 - 1e-3)
        bunched = (1 + (1 / left**2 - 1) * overlap(asked.osl_cv)) / (1 - feedback)  # Var n / n
        variance = n * bunched
        if kv_cache_tokens is not None:
            demand, deviation = kv_demand(n, variance, workload)
            full = waits_for_a_place(
                kv_cache_tokens - (demand / np.maximum(n, 1e-9) + workload.isl) / 2, demand, deviation
            )
            again = recomputed_tokens(full, workload)
            saturation = saturation_rate(steps, running, workload, max_num_batched_tokens, drafts, again)
    second, plain, idle = w * w * ratio, d + slope * bunched, _idle(n, feedback)
    step = (plain + lam * second / (1 - (lam * w) ** 2) / max(s, 1.0)) / left
    d = steps.time(np.where(n > 1e-6, n / np.maximum(1 - idle, 1e-9), 1.0))  # where somebody runs
    mean_step = d / left
    squared = mean_step**2 + lam * second * mean_step / (1 - (lam * w) ** 2) + slope**2 * variance / left**2

    budgets = asked.budgets(n, max_num_batched_tokens)
    cut = expected_ceiling(budgets, asked.isl_cv)
    service = w + idle * (steps.prefill - own)  # a prompt beside others, or alone
    prompts = _prompts_wait(lam, (1 - idle) * d, service, budgets, asked.isl_cv, saturation)
    ttft = (0.5 + lam * w) * squared / mean_step + d + own + d * (cut - 1) + prompts
    spread = _step_and_rest(lam, d, w, asked.isl_cv) + (1 + (0.5 + lam * w) / left) ** 2 * slope**2 * variance
    spread = spread + prompts * (prompts + 2 * (w + budgets * d))
    alone = np.maximum(steps.prefill, d)
    idle = idle * np.clip(1 - lam * alone, 0.0, 1.0)
    spread = idle * (alone * asked.isl_cv) ** 2 + (1 - idle) * spread + idle * (1 - idle) * (ttft - alone) ** 2
    ttft = idle * alone + (1 - idle) * ttft

    queued = np.maximum(waits_for_a_place(running, n, np.sqrt(np.maximum(variance, 1e-9))), full)
    wait = wait_for_a_place(lam / saturation, saturation, asked.osl_cv)
    stall = queued * stalled(lam * wait, running, full, workload) / lam
    least = np.minimum(alone, d + own) * shortest(asked.isl_cv) + overhead
    return Flow(
        running=n,
        requests_per_s=np.asarray(lam),
        saturation=saturation,
        preemptions=preemptions(full, workload),
        ttft=Delayed(
            Spread(least, ttft + overhead, np.sqrt(spread)),
            np.where(stable, queued, 1.0),
            np.where(stable, np.maximum(wait - stall / np.maximum(queued, 1e-9), 0.0), np.inf),
        ),
        tpot=spread_over_requests(
            (step * s + stall) / asked.tokens,
            d * s / asked.tokens,
            lam * second * step / left**2,
            s,
            asked.osl_cv,
            slope**2 * variance,
        ),
        itl=gaps(
            step,
            plain,
            slope * np.sqrt(variance),
            w,
            lam * mean_step,
            1 / (1 - (lam * w) ** 2),
            budgets,
            asked.isl_cv,
        ),
        start=np.zeros_like(lam),
        start_share=np.zeros_like(lam),
    )


def _idle(n: Floats, feedback: Floats) -> Floats:
    """Probability that nothing runs: n is negative binomial with success 1 − feedback; Poisson without feedback."""
    exponent = np.where(feedback > 1e-9, n * (1 - feedback) / np.maximum(feedback, 1e-9) * np.log1p(-feedback), -n)
    return np.asarray(np.exp(exponent))


def _prompts_wait(lam: Floats, d: Floats, w: Floats, budgets: Floats, cv: float, saturation: Floats) -> Floats:
    """What prompts wait besides the step they fall in, where they are cut into budgets [s]."""
    service, ratio = w + budgets * d, 1 + cv * cv
    most = 1 / saturation
    beyond = pollaczek_khinchine(lam, np.minimum(service, most), ratio * service**2)
    beyond = beyond - pollaczek_khinchine(lam, np.minimum(w, most), ratio * w * w)
    return np.asarray(np.maximum(beyond - min(0.5, cv) * lam * d * w * np.minimum(budgets, 1.0), 0.0))


def _step_and_rest(lam: Floats, d: Floats, w: Floats, cv: float) -> Floats:
    """Variance of the rest of a step under way and the step after it, which takes the prompts that came meanwhile [s²].

    Steps follow T' = d + the prompts of Poisson(λ T) arrivals; its cumulants are those of a branching process. An
    arrival falls into a step T* that is long in proportion to its length, and gets U T* + d + w + prompts of λ T*.
    """
    second, third, part = w * w * (1 + cv * cv), w**3 * (1 + cv * cv) ** 3, lam * w
    mean = d / (1 - part)
    variance = lam * second * mean / (1 - part**2)
    skew = (lam * third * mean + 3 * variance * lam**2 * w * second) / (1 - part**3)
    two, three = variance + mean**2, skew + 3 * mean * variance + mean**3
    seen = (1 / 3 + part + part**2) * three / mean - ((0.5 + part) * two / mean) ** 2
    return np.asarray(seen + lam * second * two / mean + w * w * cv * cv)
