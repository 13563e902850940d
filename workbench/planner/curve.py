"""Throughput and latency of a plan over the number of requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.deployment import ServiceLevel
from workbench.planner.plan import Performance, Plan

#: Where the curve ends, unless the plan's own workload or its cache lies further out.
_LEAST, _MOST = 8, 1024


@dataclass(frozen=True, slots=True)
class Point:
    """Speed at one concurrency, and whether it is what is asked."""

    concurrency: int
    performance: Performance
    meets: bool

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"concurrency": self.concurrency, "meets": self.meets, **self.performance.to_dict()}


@dataclass(frozen=True, slots=True)
class Curve:
    """A plan's speed from one request to more than it can run at once.

    Attributes
    ----------
    points : tuple of Point
        By rising concurrency; empty where the plan does not fit.
    chosen : Point or None
        The one of the plan's own workload, which is among the points.
    best : Point or None
        The one of most output tokens a second that meets the service level; None where none does.
    """

    points: tuple[Point, ...]
    chosen: Point | None
    best: Point | None


def curve(plan: Plan, slo: ServiceLevel | None = None, concurrencies: Sequence[int] | None = None) -> Curve:
    """The throughput-latency curve of a plan under its own kind of requests.

    Parameters
    ----------
    plan : Plan
    slo : ServiceLevel, optional
        What is asked; without it every point meets it.
    concurrencies : sequence of int, optional
        Where to compute it, besides the plan's own; :func:`steps` when omitted.

    Raises
    ------
    InvalidInput
        For a concurrency below 1.

    Examples
    --------
    >>> from workbench.planner import plan
    >>> found = curve(plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192))
    >>> found.chosen.concurrency
    16
    """
    if not plan.fits:
        return Curve((), None, None)
    slo = slo or ServiceLevel()
    own = plan.workload.concurrency
    points = []
    for concurrency in sorted({own, *(steps(_end(plan)) if concurrencies is None else concurrencies)}):
        workload = replace(plan.workload, concurrency=concurrency, request_rate=None, requests=None)
        performance = plan.performance(workload)
        if performance is not None:
            points.append(Point(concurrency, performance, meets(performance, slo)))
    chosen = next((point for point in points if point.concurrency == own), None)
    meeting = [point for point in points if point.meets]
    # Of equally fast ones the least loaded: past saturation more requests only wait.
    best = max(
        meeting, key=lambda point: (point.performance.output_tokens_per_s.value, -point.concurrency), default=None
    )
    return Curve(tuple(points), chosen, best)


def meets(performance: Performance, slo: ServiceLevel) -> bool:
    """Whether a speed, at its value, is what a service level asks; the level's percentile is the speed's own."""
    for name in ("ttft", "tpot"):
        most = getattr(slo, name)
        if most is not None and getattr(performance, name).value > most:
            return False
    least = slo.output_tokens_per_s
    return least is None or performance.output_tokens_per_s.value >= least


def steps(most: int) -> list[int]:
    """Concurrencies 1, 2, 3, 4, 6, 8, 12 … up to the first that is not below ``most``.

    >>> steps(10)
    [1, 2, 3, 4, 6, 8, 12]
    """
    found, power = [1], 2
    while found[-1] < most:
        found.append(power)
        if found[-1] < most:
            found.append(power * 3 // 2)
        power *= 2
    return found


def _end(plan: Plan) -> int:
    """Twice the requests that the cache holds, or the plan's own concurrency, within limits."""
    workload, memory = plan.workload, plan.memory
    held = 0.0
    if memory is not None:
        tokens = workload.isl + workload.osl / 2
        held = memory.kv_cache_tokens.value / tokens * plan.deployment.data_parallel_size
    return max(plan.workload.concurrency, int(min(max(2 * held, _LEAST), _MOST)))
