"""From steps to service under continuous batching, as functions of numbers.

A step of n running requests takes d(n) [s]; a prompt of p uncached tokens takes pf [s] alone, and lengthens a step of
others by w = share × pf. The prompts of a step share what the running requests leave of ``max_num_batched_tokens``
B, so a prompt is cut into u = p / (B − n) budgets. Everything runs over arrays of shape (rows,).

Two statistics that are easily confused: ITL is the gap between two tokens, so it is a step, plain or with prompts in
it, and its percentiles are over steps; TPOT is the mean gap of one request, so its percentiles are over requests
and much narrower. Their means agree but for the weight of long requests.

How near it is: ``tests/simulation/test_agreement.py`` plays requests through the scheduler and keeps the table.

References
----------
Kendall, "Stochastic Processes Occurring in the Theory of Queues", 1953, and Kleinrock, "Queueing Systems" II, 1976,
section 4.4 (processor sharing: the distribution of n does not depend on that of the lengths); Little, "A Proof for
the Queuing Formula L = λ W", Operations Research 9(3), 1961; Agrawal et al., "Sarathi-Serve", OSDI 2024 (chunked
prefill); Yu et al., "Orca", OSDI 2022 (iteration-level scheduling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.deployment import Workload
from workbench.performance.lengths import expected_ceiling, mean_context, overlap
from workbench.performance.normal import Floats, normal_quantile
from workbench.performance.queueing import Spread, pollaczek_khinchine, waits_for_a_place

# ---------------------------------------------------------------------------------------------- the step law


@dataclass(frozen=True, slots=True)
class Steps:
    """What steps take, for many rows, at the mean context of their workload.

    Parameters
    ----------
    batches : ndarray
        Batch sizes at which a step is known, ascending; shape (points,).
    decode : ndarray
        Time of a decode step of so many requests [s]; shape (points, rows).
    prefill : ndarray
        A mean prompt's uncached tokens, computed alone [s]; shape (rows,).
    share : ndarray or float
        Part of that by which a prompt lengthens a step of others.

    Examples
    --------
    >>> steps = Steps(np.array([1.0, 11.0]), np.array([[0.010], [0.020]]), np.array([0.1]), 0.5)
    >>> steps.time(np.array([6.0])), steps.slope(np.array([6.0])), steps.shared
    (array([0.015]), array([0.001]), array([0.05]))
    """

    batches: Floats
    decode: Floats
    prefill: Floats
    share: Floats | float = 1.0

    @property
    def shared(self) -> Floats:
        """By how much a prompt lengthens steps of others, in all [s]."""
        return np.asarray(self.share * self.prefill)

    def _below(self, n: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        found = np.searchsorted(self.batches, n, side="right") - 1
        return np.asarray(np.clip(found, 0, max(len(self.batches) - 2, 0)))

    def time(self, n: Floats) -> Floats:
        """A decode step of ``n`` requests [s]: linear between the points, and beyond them as at the nearest two."""
        n = np.broadcast_to(np.asarray(n, float), self.prefill.shape)
        below, rows = self._below(n), np.arange(self.prefill.shape[0])
        return np.asarray(np.maximum(self.decode[below, rows] + self.slope(n) * (n - self.batches[below]), 0.0))

    def slope(self, n: Floats) -> Floats:
        """What one more request adds to a step at ``n`` [s]."""
        n = np.broadcast_to(np.asarray(n, float), self.prefill.shape)
        if len(self.batches) == 1:
            return np.zeros_like(n)
        below, rows = self._below(n), np.arange(self.prefill.shape[0])
        rise = self.decode[below + 1, rows] - self.decode[below, rows]
        return np.asarray(rise / (self.batches[below + 1] - self.batches[below]))

    def settle(self, factor: Floats) -> Floats:
        """The smallest n with n = factor × d(n); infinite where there is none.

        ``factor`` [1/s] is λ (OSL − 1) / (1 − λ w): tokens asked for, over the time that prompts leave.

        >>> steps = Steps(np.array([1.0, 100.0]), np.array([[0.011], [0.110]]), np.array([0.0]))
        >>> steps.settle(np.array([500.0])), steps.settle(np.array([1000.0]))
        (array([10.]), array([inf]))
        """
        grid = np.concatenate([[0.0], self.batches]) if self.batches[0] > 0 else self.batches
        times = np.stack([self.time(np.full_like(self.prefill, n)) for n in grid])
        excess = grid[:, None] - factor * times  # below zero until n is enough
        enough = (excess >= 0).argmax(axis=0)
        rows = np.arange(self.prefill.shape[0])
        met = excess.max(axis=0) >= 0
        above, under = excess[enough, rows], excess[np.maximum(enough - 1, 0), rows]
        step = grid[enough] - grid[np.maximum(enough - 1, 0)]
        inside = grid[enough] - np.where(enough > 0, step * above / np.where(above > under, above - under, 1.0), 0.0)
        last = np.full_like(self.prefill, grid[-1])
        drift = 1 - factor * self.slope(last)  # beyond the last point the law goes on straight
        beyond = grid[-1] + np.where(drift > 1e-9, -excess[-1] / np.where(drift > 1e-9, drift, 1.0), np.inf)
        return np.asarray(np.where(met, inside, beyond))


# ---------------------------------------------------------------------------------------------- what runs at a time


def running_at_once(
    arriving: Floats, max_num_seqs: Floats, kv_cache_tokens: Floats, workload: Workload, shared_tokens: float = 0.0
) -> Floats:
    """Requests that run at a time: those in flight, at most what fits the batch and the cache.

    A request is let in for the tokens it has, not for those it will have, so over its life it holds
    :func:`~workbench.performance.lengths.mean_context`; ``shared_tokens`` of them are a prefix held once for all.

    Examples
    --------
    >>> running_at_once(np.array([8.0, 64.0]), np.array([256.0]), np.array([34560.0]), Workload(1024, 256))
    array([ 8., 30.])
    """
    held = max(mean_context(workload.isl, workload.osl, workload.osl_cv) - shared_tokens, 1.0)
    fitting = np.floor(np.maximum(kv_cache_tokens - shared_tokens, 0.0) / held)
    return np.asarray(np.clip(np.minimum(arriving, max_num_seqs), 1.0, np.maximum(fitting, 1.0)))


def saturation_rate(steps: Steps, running: Floats, workload: Workload, max_num_batched_tokens: Floats) -> Floats:
    """The largest request rate that a replica keeps up with [1/s].

    With N places, a request holds one for OSL steps, one of them its prefill's last, and c − 1 more where its prompt
    is cut into c = p / B budgets. So n = N (O − 1) / (O + c − 1) decode at a time, at most (O − 1) B / (p + O − 1),
    where prompts fill all that decoding leaves of the budget, and

    λ_max = n / ((O − 1) d(n) + n w).

    Parameters
    ----------
    steps : Steps
    running : ndarray
        Places N: what fits batch and cache.
    workload : Workload
    max_num_batched_tokens : ndarray

    Examples
    --------
    32 places, 256 tokens of 20 ms each, and 50 ms of every prompt in others' steps.

    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.020], [0.020]]), np.array([0.05]))
    >>> saturation_rate(steps, np.array([32.0]), Workload(1024, 256), np.array([8192.0])).round(2)
    array([4.76])
    """
    n, after, _ = _decoding(running, workload, max_num_batched_tokens)
    return np.asarray(n / (after * steps.time(n) + n * steps.shared))


def _decoding(running: Floats, workload: Workload, budget: Floats) -> tuple[Floats, float, Floats]:
    """Requests that decode where ``running`` have a place; decode steps of a request; budgets a prompt takes."""
    prompt, after = _prompt(workload), max(workload.osl - 1, 1e-6)
    cut = expected_ceiling(prompt / budget, workload.isl_cv)
    fed = after * budget / (prompt + after)
    n = np.minimum(running * after / (after + cut), fed)
    budgets = prompt / np.maximum(budget - n, 1.0)
    return np.asarray(n), after, np.asarray(budgets)


def _prompt(workload: Workload) -> float:
    """Tokens of a mean prompt that are computed; the last one always is."""
    return max(workload.isl * (1 - workload.prefix_hit), 1.0)


# ---------------------------------------------------------------------------------------------- gaps between tokens


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps between tokens of one request (ITL): plain steps, and steps that prompts share [s].

    Attributes
    ----------
    plain, plain_deviation : ndarray
        A step without prompts and its spread as the batch varies.
    with_prompts : ndarray
        Share of gaps with prompts in them.
    prompts : Spread
        What those prompts add.
    most : ndarray
        The most they can add: a full budget.
    """

    plain: Floats
    plain_deviation: Floats
    with_prompts: Floats
    prompts: Spread
    most: Floats

    @property
    def mean(self) -> Floats:
        """Mean gap [s]."""
        return self.plain + self.with_prompts * self.prompts.mean

    def at(self, percentile: float) -> Floats:
        """The gap below which ``percentile`` [0–100) of all gaps lie [s].

        >>> none = np.array([0.0])
        >>> gaps = Gaps(np.array([0.01]), none, np.array([0.1]), Spread(none, np.array([0.05]), none), np.array([1.0]))
        >>> gaps.at(50), gaps.at(95)
        (array([0.01]), array([0.06]))
        """
        q, without = percentile / 100, 1 - self.with_prompts
        plain = self.plain + normal_quantile(q) * self.plain_deviation
        rank = np.clip((q - without) / np.maximum(self.with_prompts, 1e-9), 0.0, 1.0)
        added = np.minimum(self.prompts.at(100 * rank), self.most)
        return np.asarray(np.where(q <= without, plain, self.plain + added))


# ---------------------------------------------------------------------------------------------- service


@dataclass(frozen=True, slots=True)
class Flow:
    """What requests see of one replica in a steady state; arrays of shape (rows,).

    Attributes
    ----------
    running : ndarray
        Requests that decode at a time, on average.
    requests_per_s : ndarray
        Requests served a second; what arrives beyond saturation is not.
    saturation : ndarray
        The most it can serve [1/s].
    ttft, tpot : Spread
        Over requests [s]; infinite TTFT beyond saturation.
    itl : Gaps
        Over tokens [s].
    start, start_share : ndarray
        Mean TTFT of those that a run sends at once at its start [s], and their share of all.
    """

    running: Floats
    requests_per_s: Floats
    saturation: Floats
    ttft: Spread
    tpot: Spread
    itl: Gaps
    start: Floats
    start_share: Floats

    @property
    def ttft_mean(self) -> Floats:
        """Mean TTFT of the whole run, its start included [s]."""
        return self.start_share * self.start + (1 - self.start_share) * self.ttft.mean

    @property
    def utilisation(self) -> Floats:
        """Requests served over requests it could serve, 0 to 1."""
        return self.requests_per_s / self.saturation


def closed_loop(
    steps: Steps,
    arriving: Floats,
    running: Floats,
    workload: Workload,
    max_num_batched_tokens: Floats,
    overhead: Floats | float = 0.0,
) -> Flow:
    """Steady state of one replica where a fixed number of requests is in flight: as one ends, the next is sent.

    Each of the other requests that run puts one prompt into others' steps every OSL tokens. ``met`` of them, its own
    counted, fall into a request's own first step, so with R running and o = OSL − 1

    TPOT = d(n) + w (R − met) / o,   TTFT = N / λ − o TPOT (Little) = c d(n) + met w where all N run,

    and λ = :func:`saturation_rate` of R places. ``met`` is 1 + (R − 1) / W: requests sent together go on together,
    in the W = m steps that their prompts took, until lengths that differ have spread them over all OSL of them:
    W² = m² + 4 π r (cv OSL)² after r rounds.

    Parameters
    ----------
    steps : Steps
    arriving : ndarray
        N, requests in flight at this replica.
    running : ndarray
        Places: requests that fit batch and cache, from :func:`running_at_once`.
    workload : Workload
        ``requests`` of it, where given, make the run so many rounds long and count its start, when N are sent at once.
    max_num_batched_tokens : ndarray
    overhead : ndarray or float
        Of each first token besides steps [s].

    Examples
    --------
    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.02], [0.02]]), np.array([0.05]))
    >>> load = Workload(1024, 257, osl_cv=0.1)
    >>> flow = closed_loop(steps, np.array([33.0]), np.array([33.0]), load, np.array([8192.0]))
    >>> flow.ttft.mean.round(4), flow.tpot.mean.round(4), flow.requests_per_s.round(2)
    (array([0.0763]), array([0.0262]), array([4.86]))
    """
    places = np.minimum(arriving, running)
    prompt, after, w = _prompt(workload), max(workload.osl - 1, 1e-6), steps.shared
    most, _, _ = _decoding(places, workload, max_num_batched_tokens)
    few, many = np.zeros_like(most), most
    for _ in range(30):  # n decode, the others have their prompts computed: more of these, fewer of those
        n = (few + many) / 2
        first = _first_steps(n, places, arriving, after, prompt, workload, max_num_batched_tokens)
        out = overhead / (steps.time(n) + w * n / after)
        enough = n + (first.taken + out) * n / after >= places
        few, many = np.where(enough, few, n), np.where(enough, n, many)
    n = few
    first = _first_steps(n, places, arriving, after, prompt, workload, max_num_batched_tokens)
    d, slope = steps.time(n), steps.slope(n)
    nobody = np.maximum(1 - n / places, 0.0) ** np.maximum(places - 1, 0.0)  # decodes while a prompt is computed
    rate = n / (after * d + n * (w + nobody * (np.maximum(steps.prefill, d) - d - w)))
    usual = n / after * (places - 1) / places  # prompts of others in a step
    tpot = d + w * (usual - np.maximum(first.met - usual, 0.0) / max(after, 1.0))
    ttft = arriving / rate - after * tpot
    waiting = arriving - places
    shortest = _shortest(workload.isl_cv)
    service = w + first.budgets * d
    spread = (first.met * w + first.backlog * service) * service * (1 + workload.isl_cv**2) + (w * workload.isl_cv) ** 2
    spread = spread + waiting / rate**2
    per_prompt = np.minimum(1 / np.maximum(first.budgets, 1e-9), places)
    start = steps.prefill * np.minimum(per_prompt, places)
    start = start + (np.ceil(places / per_prompt) - 1) / 2 * (steps.time(places / 2) + w * per_prompt)
    share = places / workload.requests if workload.requests else np.zeros_like(places)
    return Flow(
        running=n,
        requests_per_s=rate,
        saturation=saturation_rate(steps, running, workload, max_num_batched_tokens),
        ttft=Spread(np.where(waiting > 0, 0.0, (d + w) * shortest + overhead), ttft, np.sqrt(spread)),
        tpot=_tpot(tpot, d, w, rate, np.ones_like(rate), after, slope, np.zeros_like(rate), workload),
        itl=_gaps(tpot, d, np.zeros_like(d), w, first.met, np.ones_like(d), first.budgets, workload),
        start=start + overhead,
        start_share=np.minimum(share, 1.0),
    )


@dataclass(frozen=True, slots=True)
class _First:
    """Before the first token: others' prompts met in the same step, budgets of a prompt, their number, those left
    over from steps before, and the steps that all takes."""

    met: Floats
    budgets: Floats
    cut: Floats
    backlog: Floats
    taken: Floats


def _first_steps(
    n: Floats,
    places: Floats,
    arriving: Floats,
    after: float,
    prompt: float,
    workload: Workload,
    max_num_batched_tokens: Floats,
) -> _First:
    budgets = prompt / np.maximum(max_num_batched_tokens - n, 1.0)
    cut = expected_ceiling(budgets, workload.isl_cv)
    met = np.maximum(places - 1, 0.0) / _width(places, budgets, after + cut, arriving, workload)
    load = n / after * budgets * np.maximum(places - 1, 0.0) / places
    backlog = _backlog(load, budgets, 1 + workload.isl_cv**2)
    taken = cut + backlog + np.minimum(budgets, 1.0) * met * budgets / 2
    return _First(met, budgets, cut, backlog, taken)


def _backlog(load: Floats, budgets: Floats, ratio: float) -> Floats:
    """Budgets' worth of prompts left over at the end of a step, where ``load`` of each budget is asked for.

    Lindley's recursion X' = (X + Y − 1)⁺ of what arrives in a step, Y of mean ``load`` in portions u:
    E[X] = (E[Y²] − 2 E[Y] + 1 − E[I²]) / (2 (1 − E[Y])), with the idle part's square taken as (1 − load)² +
    load (1 − load) min(u, 1), which is exact for whole portions and for few small ones.
    """
    free = np.maximum(1 - load, 1e-6)
    return np.asarray(np.maximum(load * (budgets * ratio - free * np.minimum(budgets * ratio, 1.0)) / (2 * free), 0.0))


def _width(places: Floats, budgets: Floats, cycle: Floats, arriving: Floats, workload: Workload) -> Floats:
    """Steps over which the starts of requests that run together are spread; see :func:`closed_loop`."""
    first = np.clip(np.where(budgets < 1, places / np.maximum(np.floor(1 / budgets), 1.0), places), 1.0, cycle)
    if not workload.osl_cv:
        return np.asarray(first)
    if workload.requests is None:
        return np.asarray(cycle)
    rounds = np.maximum(workload.requests / arriving - 1, 0.0) / 2
    drift = 4 * math.pi * rounds * (workload.osl * workload.osl_cv) ** 2
    return np.asarray(np.minimum(np.sqrt(first**2 + drift), cycle))


def open_loop(
    steps: Steps,
    rate: Floats,
    running: Floats,
    workload: Workload,
    max_num_batched_tokens: Floats,
    overhead: Floats | float = 0.0,
) -> Flow:
    """Steady state where ``rate`` requests a second arrive at random (Poisson) at one replica.

    With o = OSL − 1 decode steps a request and w = share × pf, prompts take λ w of the time, so a step lasts
    E[T] = d(n) / (1 − λ w) on average and (Little) n = λ o E[T]. Tokens come in longer steps while more requests
    run, so a request sees more than the average step:

    TPOT = (d(n + V) + λ E[w²] / (o (1 − (λ w)²))) / (1 − λ w), V = Var n / n
    = (1 + (1 / (1 − λ w)² − 1) E[min(O, O')] / E[O]) / (1 − d'(n) λ o / (1 − λ w)):

    while a long step lasts more arrive, and they stay together. TTFT is the rest of the step under way, a step with the
    prompts that came meanwhile, and what prompts cut into budgets wait and take besides:

    TTFT = (½ + λ w) E[T²] / E[T] + d + w + d (E⌈u⌉ − 1) + PK(w + u d) − PK(w) − ½ λ d w min(u, 1),

    PK being Pollaczek and Khinchine's wait; an idle replica begins at once. Near saturation, when all places are
    taken, the wait for one is added (Halfin, Whitt).

    Parameters
    ----------
    steps : Steps
    rate : ndarray
        λ, requests a second that reach this replica.
    running : ndarray
        Places: requests that fit batch and cache.
    workload : Workload
        Its concurrency and rate are not used.
    max_num_batched_tokens : ndarray
    overhead : ndarray or float
        Of each first token besides steps: HTTP, tokenising, scheduling [s].

    Examples
    --------
    At little load a step of 10 ms and a prompt of 20 ms; at half of what it can, a step and a half more.

    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.01] * 2, [0.02] * 2]), np.array([0.02, 0.02]))
    >>> places, budget = np.array([256.0] * 2), np.array([8192.0] * 2)
    >>> flow = open_loop(steps, np.array([1e-6, 10.0]), places, Workload(1024, 128), budget)
    >>> flow.ttft.mean.round(4), flow.tpot.mean.round(4)
    (array([0.02  , 0.0431]), array([0.01  , 0.0134]))
    """
    saturation = saturation_rate(steps, running, workload, max_num_batched_tokens)
    stable = rate < saturation
    lam = np.where(stable, rate, saturation * (1 - 1e-6))
    prompt, after, w = _prompt(workload), max(workload.osl - 1, 1e-6), steps.shared
    second = w * w * (1 + workload.isl_cv**2)
    left = 1 - lam * w  # of the time, for decoding
    factor = lam * after / left
    n = np.minimum(steps.settle(factor), running)
    d, slope = steps.time(n), steps.slope(n)
    feedback = np.minimum(factor * slope, 1 - 1e-3)
    together = (1 / left**2 - 1) * overlap(workload.osl_cv)
    ratio = (1 + together) / (1 - feedback)  # Var n / n
    step = d / left
    variance = n * ratio
    tpot = (d + slope * ratio + lam * second / (1 - (lam * w) ** 2) / max(after, 1.0)) / left
    squared = step**2 + lam * second * step / (1 - (lam * w) ** 2) + slope**2 * variance / left**2

    budgets = prompt / np.maximum(max_num_batched_tokens - n, 1.0)
    cut = expected_ceiling(budgets, workload.isl_cv)
    prompts = _prompts_wait(lam, d, w, budgets, 1 + workload.isl_cv**2)
    ttft = (0.5 + lam * w) * squared / step + d + w + d * (cut - 1) + prompts
    spread = _step_and_rest(lam, d, w, workload.isl_cv) + (1 + (0.5 + lam * w) / left) ** 2 * slope**2 * variance
    spread = spread + prompts * (prompts + 2 * (w + budgets * d))
    alone = np.maximum(steps.prefill, d)
    idle = np.exp(np.maximum(n * (1 - feedback) / np.maximum(feedback, 1e-9), n) * np.log1p(-feedback))
    idle = np.where(feedback > 1e-9, idle, np.exp(-n)) * np.clip(1 - lam * alone, 0.0, 1.0)
    mean = idle * alone + (1 - idle) * ttft
    spread = idle * (alone * workload.isl_cv) ** 2 + (1 - idle) * spread + idle * (1 - idle) * (ttft - alone) ** 2

    shortest = _shortest(workload.isl_cv)
    queued = waits_for_a_place(running, n, np.sqrt(np.maximum(variance, 1e-9)))
    served = 1 / saturation
    place = served * (1 + workload.osl_cv**2) / 2 / np.maximum(1 - lam / saturation, 1e-9)
    mean = mean + queued * place
    spread = spread + queued * (2 - queued) * place**2
    return Flow(
        running=n,
        requests_per_s=np.asarray(lam),
        saturation=saturation,
        ttft=Spread(
            np.minimum(alone, d + w) * shortest + overhead,
            np.where(stable, mean, np.inf) + overhead,
            np.where(stable, np.sqrt(spread), np.inf),
        ),
        tpot=_tpot(tpot, d, w, lam, 1 / left**2, after, slope, variance, workload),
        itl=_gaps(
            tpot,
            d + slope * ratio,
            slope * np.sqrt(variance),
            w,
            lam * step,
            1 / (1 - (lam * w) ** 2),
            budgets,
            workload,
        ),
        start=np.zeros_like(lam),
        start_share=np.zeros_like(lam),
    )


def _shortest(cv: float) -> float:
    """The shortest of twenty lengths, over their mean, where they are lognormal."""
    return math.exp(-math.log1p(cv * cv) / 2 - 1.645 * math.sqrt(math.log1p(cv * cv)))


def _prompts_wait(lam: Floats, d: Floats, w: Floats, budgets: Floats, ratio: float) -> Floats:
    """What prompts wait besides the step they fall in, where they are cut into budgets [s]."""
    service = w + budgets * d
    beyond = pollaczek_khinchine(lam, service, ratio * service**2) - pollaczek_khinchine(lam, w, ratio * w * w)
    return np.asarray(np.maximum(beyond - lam * d * w * np.minimum(budgets, 1.0) / 2, 0.0))


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


def _tpot(
    mean: Floats,
    d: Floats,
    w: Floats,
    lam: Floats,
    bunched: Floats,
    after: float,
    slope: Floats,
    variance: Floats,
    workload: Workload,
) -> Spread:
    """TPOT over requests: the prompts met in so many steps are more or fewer, the batch fuller or emptier.

    The prompts met vary ``bunched`` times as much as Poisson's.

    The batch changes as its requests end, so over a request's life about two thirds of its variance remain.
    """
    second, short = w * w * (1 + workload.isl_cv**2), 1 + workload.osl_cv**2  # E[1 / O] E[O] of a lognormal
    spread = lam * second * mean / max(after, 1.0) * short * bunched + 2 / 3 * slope**2 * variance
    return Spread(np.minimum(d, mean) * 0.8, mean, np.sqrt(spread))


def _gaps(
    mean: Floats,
    plain: Floats,
    deviation: Floats,
    w: Floats,
    arrivals: Floats,
    bunched: Floats,
    budgets: Floats,
    workload: Workload,
) -> Gaps:
    """Gaps: prompts share the step after they arrived, or as many as they are cut into.

    ``arrivals`` in one step vary ``bunched`` times as much as Poisson's.
    """
    chunks = np.maximum(budgets, 1.0)
    carrying = 1 - np.exp(-arrivals * chunks)
    added = np.maximum(mean - plain, 0.0) / np.maximum(carrying, 1e-12)
    counted = arrivals * (workload.isl_cv**2 + bunched + arrivals)
    second = counted * w * w / np.maximum(carrying, 1e-12) / chunks
    spread = np.sqrt(np.maximum(second - added**2, 0.0) + deviation**2)
    most = np.where(budgets > 0, w / np.maximum(budgets, 1e-9), np.inf)
    return Gaps(plain, deviation, carrying, Spread(np.zeros_like(added), added, spread), most)
