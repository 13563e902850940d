"""Demand over the day and over the months, and the replicas and GPU hours it takes.

A day of requests is 24 hourly shares (``demand.csv``: two of them measured). Within an hour requests are taken as
even, so a bound on latency belongs into a replica's capacity, not here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from workbench.cost import checks
from workbench.cost.per_unit import HOURS_PER_MONTH
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName

_WEEKDAYS, _WEEKEND = 5 / 7, 2 / 7


@dataclass(frozen=True, slots=True)
class Demand:
    """How requests spread over a day and a week.

    Parameters
    ----------
    shares : tuple of float
        Share of a weekday's requests that comes in each hour, hour 0 first; they sum to 1.
    weekend : float
        Requests of a Saturday or Sunday over those of a weekday, at the same hours.

    Raises
    ------
    InvalidInput
        If there are not 24 shares that sum to 1.

    Examples
    --------
    >>> round(demand("office hours").peak_to_mean, 2), round(demand("global").peak_to_mean, 2)
    (2.76, 1.53)
    """

    shares: tuple[float, ...]
    weekend: float = 1.0
    name: str = "given"
    source: str = "given by the user"

    def __post_init__(self) -> None:
        if len(self.shares) != 24 or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1.0, abs_tol=1e-6):
            raise InvalidInput("a day needs 24 hourly shares of at least 0 that sum to 1")
        checks.not_negative(weekend=self.weekend)

    @property
    def peak_to_mean(self) -> float:
        """The busiest hour of a weekday over the mean hour of the week."""
        return 24 * max(self.shares) / (_WEEKDAYS + _WEEKEND * self.weekend)

    def shifted(self, hours: int) -> Demand:
        """The same day so many hours later: users further west.

        >>> demand("office hours").shifted(24) == demand("office hours")
        True
        """
        at = hours % 24
        return Demand(self.shares[24 - at :] + self.shares[: 24 - at], self.weekend, self.name, self.source)

    def weekday(self, mean: float) -> tuple[float, ...]:
        """The rate in each hour of a weekday, in the unit of ``mean``, the mean over the week."""
        checks.not_negative(mean=mean)
        day = 24 * mean / (_WEEKDAYS + _WEEKEND * self.weekend)
        return tuple(day * share for share in self.shares)


@cache
def demands() -> Mapping[str, Demand]:
    """The days of ``demand.csv`` by name."""
    found = {}
    for row in read_rows("demand.csv"):
        percent = [float(text) for text in row["shares_percent"].split(";")]
        shares = tuple(share / sum(percent) for share in percent)
        found[row["name"]] = Demand(shares, float(row["weekend"]), row["name"], row["source"])
    return MappingProxyType(found)


def demand(name: str) -> Demand:
    """A day of the table: "office hours" (Azure's coding trace), "global" (its conversation trace), "flat".

    Raises
    ------
    UnknownName
        For any other name.
    """
    if name not in demands():
        raise UnknownName("demand", name, demands(), f"one of {', '.join(demands())}, or a Demand of your own")
    return demands()[name]


def rate_of_users(users: int, requests_per_user_hour: float) -> float:
    """Requests that users send in a second, on average [1/s]: users × requests an hour / 3600.

    Parameters
    ----------
    requests_per_user_hour : float
        Over all hours of the week, idle ones included; count them in a log of your own.

    Examples
    --------
    >>> rate_of_users(1000, 1.8)
    0.5
    """
    checks.count(users=users)
    checks.not_negative(requests_per_user_hour=requests_per_user_hour)
    return users * requests_per_user_hour / 3600


def concurrency_of_users(users: int, active_share: float, in_flight: float = 1.0) -> int:
    """Requests in flight at a time: users × share of them at work × requests each then has under way, rounded up.

    Parameters
    ----------
    active_share : float
        Share of the users who wait for an answer at the busiest moment.
    in_flight : float
        Requests of an active user at a time; agents have several.

    Examples
    --------
    >>> concurrency_of_users(1000, 0.03)
    30
    """
    checks.count(users=users)
    checks.share(active_share=active_share)
    checks.not_negative(in_flight=in_flight)
    return max(1, math.ceil(round(users * active_share * in_flight, 9)))


def concurrency_of_rate(rate: float, request_time: float) -> float:
    """Requests in flight at a rate of arrival: rate × time of a request (Little's law).

    Parameters
    ----------
    rate : float
        [1/s].
    request_time : float
        From sent to answered [s]: TTFT + (OSL − 1) × TPOT.

    Examples
    --------
    >>> concurrency_of_rate(2.0, 8.5)
    17.0
    """
    checks.not_negative(rate=rate, request_time=request_time)
    return rate * request_time


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
    mean = (_WEEKDAYS * sum(need[0]) + _WEEKEND * sum(need[1])) / 24
    return Schedule(
        weekday=need[0],
        weekend=need[1],
        gpus_per_replica=gpus_per_replica,
        gpu_hours=mean * gpus_per_replica * HOURS_PER_MONTH,
        mean_rate=mean_rate,
        peak_rate=max(rates + quiet),
        utilization=mean_rate / (mean * capacity) if mean else 0.0,
    )


def growth(rate: float, per_month: float, months: int) -> tuple[float, ...]:
    """The rate now and after each of so many months: rate × (1 + growth)^month.

    Parameters
    ----------
    per_month : float
        0.1 grows by a tenth a month; negative shrinks.

    Examples
    --------
    >>> [round(found, 2) for found in growth(10.0, 0.10, 3)]
    [10.0, 11.0, 12.1, 13.31]
    """
    checks.not_negative(rate=rate)
    checks.count(least=0, months=months)
    if not (math.isfinite(per_month) and per_month > -1):
        raise InvalidInput(f"per_month is {per_month!r}; it must be a number above -1")
    return tuple(rate * (1 + per_month) ** month for month in range(months + 1))


def months_until(rate: float, limit: float, per_month: float) -> float | None:
    """Months until a growing rate reaches a limit: log(limit / rate) / log(1 + growth); None if it never does.

    Examples
    --------
    >>> round(months_until(10.0, 20.0, 0.10), 1), months_until(10.0, 20.0, 0.0)
    (7.3, None)
    """
    checks.positive(rate=rate, limit=limit)
    if limit <= rate:
        return 0.0
    if not per_month > 0:
        return None
    return math.log(limit / rate) / math.log1p(per_month)
