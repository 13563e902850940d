"""Loads that rise until a server gives no more, or no longer holds its service level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workbench.benchmark.load import LoadLevel, LoadResult
from workbench.deployment import ServiceLevel

#: A throughput that rises by less than this share does not rise: two runs of one load differ by as much.
RISES = 0.05
#: Share of the arrivals that a server which keeps up answers in the time they take to come; the last ones are late.
KEEPS_UP = 0.85


@dataclass(frozen=True)
class Sweep:
    """What came of rising loads.

    Attributes
    ----------
    results : tuple of LoadResult
        In the order of the loads.
    within : LoadResult or None
        The largest load that held the service level; without one, the load of the largest throughput.
    ended : str
        Why it went no further, in words.
    """

    results: tuple[LoadResult, ...]
    within: LoadResult | None
    ended: str


def doubling(most: int) -> list[int]:
    """Powers of two up to a limit, and the limit.

    >>> doubling(12)
    [1, 2, 4, 8, 12]
    """
    powers = [2**n for n in range(int(math.log2(most)) + 1)]
    return powers if powers[-1] == most else [*powers, most]


def saturated(results: Sequence[LoadResult]) -> str:
    """Why the last load brought nothing more than those before it, in words; empty while throughput still rises.

    A number of requests in flight saturates a server when its throughput no longer rises with it, requests at a rate
    when they come faster than they are answered.
    """
    last = results[-1]
    rate = last.level.request_rate
    if rate is not None and last.requests_per_s < KEEPS_UP * min(rate, _arrived(last)):
        return f"{rate:g} requests a second come faster than they are answered ({last.requests_per_s:.3g} a second)"
    if len(results) < 2:
        return ""
    best = max(each.total_tokens_per_s for each in results[:-1])
    if rate is None and last.total_tokens_per_s < (1 + RISES) * best:
        return f"{last.level.label} brings {last.output_tokens_per_s:,.1f} output tokens/s: throughput no longer rises"
    return ""


def _arrived(result: LoadResult) -> float:
    """Requests a second of a run that answers every one in its own time: the last answer comes later than the last
    request.
    """
    rate = result.level.request_rate or math.inf
    return result.level.requests / (result.level.requests / rate + result.e2e.p50)


def climb(
    levels: Iterable[LoadLevel], put: Callable[[LoadLevel], LoadResult], slo: ServiceLevel | None = None
) -> Sweep:
    """Put rising loads on until one saturates the server or breaks the service level.

    Parameters
    ----------
    levels : iterable of LoadLevel
        Rising.
    put : callable
        Measures one.
    slo : ServiceLevel, optional
        Its throughput is not a reason to stop: it is reached by larger loads.
    """
    results: list[LoadResult] = []
    ended = "every load that was asked for is measured"
    for level in levels:
        results.append(put(level))
        if broken := _broken(results[-1], slo):
            ended = f"at {level.label}, {broken}"
            break
        if full := saturated(results):
            ended = full
            break
    return Sweep(tuple(results), largest(results, slo), ended)


def largest(results: Sequence[LoadResult], slo: ServiceLevel | None) -> LoadResult | None:
    """The result of the largest throughput that holds a service level; None where none does."""
    held = [each for each in results if slo is None or not each.breaks(slo)]
    return max(held, key=lambda each: each.output_tokens_per_s, default=None)


def _broken(result: LoadResult, slo: ServiceLevel | None) -> str:
    if slo is None:
        return ""
    return result.breaks(ServiceLevel(ttft=slo.ttft, tpot=slo.tpot, percentile=slo.percentile))
