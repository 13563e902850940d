"""From people to requests: rates of arrival and requests in flight."""

from __future__ import annotations

import math

from workbench.cost import checks


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
