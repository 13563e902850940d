"""What was seen of a running deployment, in the few figures that bear on what to run next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from workbench.deployment import ServiceLevel, Workload

if TYPE_CHECKING:
    from workbench.benchmark.load import LoadResult


@dataclass(frozen=True)
class Observed:
    """A load, and what it met; None where nobody looked.

    Attributes
    ----------
    load : Workload
        Lengths as they came, and how many requests were in flight or arrived.
    ttft, tpot : float or None
        Means [s].
    ttft_at, tpot_at : float or None
        What the service level's percentile of requests did not exceed [s].
    kv_cache_usage : float or None
        The fullest the cache was, 0 to 1 [-].
    preemptions : float or None
        Requests sent back for want of cache.
    waiting : float or None
        The most that waited for a place.
    """

    load: Workload
    ttft: float | None = None
    tpot: float | None = None
    ttft_at: float | None = None
    tpot_at: float | None = None
    kv_cache_usage: float | None = None
    preemptions: float | None = None
    waiting: float | None = None

    @classmethod
    def of(cls, result: LoadResult, slo: ServiceLevel) -> Self:
        """A benchmark's, at the percentile of a service level.

        Raises
        ------
        InvalidInput
            For a percentile that benchmarks do not keep.
        """
        served, tpot = result.served, result.tpot
        mean = slo.percentile == 50  # as everywhere: the means stand for it
        return cls(
            load=replace(result.level.workload, isl=max(round(result.isl), 1), osl=max(round(result.osl), 1)),
            ttft=result.ttft.mean,
            tpot=tpot.mean if tpot else None,
            ttft_at=result.ttft.mean if mean else result.ttft.at(slo.percentile),
            tpot_at=(tpot.mean if mean else tpot.at(slo.percentile)) if tpot else None,
            kv_cache_usage=served.kv_cache_usage if served else None,
            preemptions=served.preemptions if served else None,
            waiting=served.waiting if served else None,
        )
