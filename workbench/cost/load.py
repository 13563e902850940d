"""Replicas for what arrives, hour by hour, and the GPU hours of a month.

Within an hour requests are taken as even, so a bound on latency belongs into a replica's capacity, not here.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from workbench.cost import checks
from workbench.cost.days import WEEKDAYS, WEEKEND, Demand, demand
from workbench.cost.per_unit import HOURS_PER_MONTH


def replicas(rate: float, capacity: float, target: float = 1.0, spare: int = 0, least: int = 1) -> int:
    """Replicas that a rate takes: ceil(rate / (capacity × target)), at least ``least``, and spares.

    Parameters
    ----------
    rate, capacity : float
        What arrives, and what one replica serves within its service level, in the same unit.
    target : float
        Share of the capacity to fill.
    spare : int
        Replicas besides, which may fail: 1 is N + 1.

    Examples
    --------
    >>> replicas(10, capacity=4), replicas(10, capacity=4, target=0.7, spare=1)
    (3, 5)
    """
    checks.not_negative(rate=rate)
    checks.positive(capacity=capacity, target=target)
    checks.share(target=target)
    checks.count(least=0, spare=spare, replicas=least)
    return max(least, math.ceil(rate / (capacity * target) - 1e-9)) + spare


@dataclass(frozen=True, slots=True)
class Schedule:
    """Replicas by the hour, and what they add up to.

    Attributes
    ----------
    weekday, weekend : tuple of int
        Replicas in each hour.
    gpu_hours : float
        A month of all of them [GPU h].
    utilization : float
        Mean rate over what the replicas that run could serve.
    peak_rate : float
        In the busiest hour, in the unit of the mean rate.
    """

    weekday: tuple[int, ...]
    weekend: tuple[int, ...]
    gpus_per_replica: int
    gpu_hours: float
    mean_rate: float
    peak_rate: float
    utilization: float

    @property
    def replicas(self) -> int:
        """Replicas at the busiest hour."""
        return max(self.weekday + self.weekend)

    @property
    def gpus(self) -> int:
        """GPUs at the busiest hour."""
        return self.replicas * self.gpus_per_replica

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"replicas": self.replicas, "gpus": self.gpus}


def schedule(
    mean_rate: float,
    capacity: float,
    day: Demand | str = "flat",
    gpus_per_replica: int = 1,
    autoscale: bool = False,
    target: float = 1.0,
    spare: int = 0,
    least: int = 1,
) -> Schedule:
    """Replicas for every hour of a week and the GPU hours of a month.

    Parameters
    ----------
    mean_rate : float
        What arrives on average over the week: requests/s or tokens/s.
    capacity : float
        What one replica serves within its service level, in the same unit.
    day : Demand or str
        How it spreads over the day.
    autoscale : bool
        Whether replicas follow the hour; otherwise the busiest hour's run all the time.
    target, spare, least
        As for :func:`replicas`.

    Examples
    --------
    >>> fixed = schedule(20, capacity=10, day="office hours", gpus_per_replica=2)
    >>> scaled = schedule(20, capacity=10, day="office hours", gpus_per_replica=2, autoscale=True)
    >>> fixed.replicas, fixed.gpu_hours, round(scaled.gpu_hours / fixed.gpu_hours, 2)
    (6, 8760.0, 0.41)
    """
    checks.count(gpus_per_replica=gpus_per_replica)
    found = demand(day) if isinstance(day, str) else day
    rates = found.weekday(mean_rate)
    quiet = tuple(found.weekend * rate for rate in rates)
    need = [tuple(replicas(rate, capacity, target, spare, least) for rate in week) for week in (rates, quiet)]
    if not autoscale:
        most = max(need[0] + need[1])
        need = [(most,) * 24, (most,) * 24]
    mean = (WEEKDAYS * sum(need[0]) + WEEKEND * sum(need[1])) / 24
    return Schedule(
        weekday=need[0],
        weekend=need[1],
        gpus_per_replica=gpus_per_replica,
        gpu_hours=mean * gpus_per_replica * HOURS_PER_MONTH,
        mean_rate=mean_rate,
        peak_rate=max(rates + quiet),
        utilization=mean_rate / (mean * capacity) if mean else 0.0,
    )
