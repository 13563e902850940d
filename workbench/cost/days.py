"""Demand over the day, the week and the months.

A day of requests is 24 hourly shares, a week five such days and two that are a part of one (``demand.csv``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from workbench.cost import checks
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName

#: Shares of a week.
WEEKDAYS, WEEKEND = 5 / 7, 2 / 7


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
        return 24 * max(self.shares) / (WEEKDAYS + WEEKEND * self.weekend)

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
        day = 24 * mean / (WEEKDAYS + WEEKEND * self.weekend)
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
