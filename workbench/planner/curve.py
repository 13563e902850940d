"""Throughput and latency of a plan over the number of requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.deployment import ServiceLevel
from workbench.planner.plan import Plan
from workbench.planner.speeds import Speed, under_loads

#: Where the curve ends, unless the plan's own workload or its cache lies further out.
_LEAST, _MOST = 8, 1024


@dataclass(frozen=True, slots=True)
class Point:
    """Speed at one concurrency."""

    concurrency: int
    speed: Speed

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, the speed's figures beside the concurrency."""
        return {"concurrency": self.concurrency, **self.speed.to_dict()}


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
        What is asked, and of which percentile of requests; without it every point meets it.
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
    if not plan.fits or plan._part is None:
        return Curve((), None, None)
    slo, own = slo or ServiceLevel(), plan.workload.concurrency
    wanted = sorted({own, *(steps(_end(plan)) if concurrencies is None else concurrencies)})
    for concurrency in wanted:
        replace(plan.workload, concurrency=concurrency, requests=None)  # refuses what no workload can have
    found = under_loads(plan._part, plan._at, plan.workload, slo, wanted)
    points = [Point(concurrency, speed) for concurrency, speed in zip(wanted, found, strict=True)]
    chosen = next(point for point in points if point.concurrency == own)
    meeting = [point for point in points if point.speed.meets]
    return Curve(tuple(points), chosen, max(meeting, key=_worth, default=None))


def _worth(point: Point) -> tuple[float, int]:
    """Of equally fast points the least loaded is best: past saturation more requests only wait."""
    return point.speed.output_tokens_per_s.value, -point.concurrency


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
