"""A small model for most requests, a large one for the rest: what the mix costs.

A router decides before anything runs: each request is paid once. A cascade runs the small model first and hands on
what it does not answer well enough: those requests are paid twice. What quality the mix has is not reckoned here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.cost import checks
from workbench.cost.days import Demand
from workbench.cost.load import Schedule, schedule


@dataclass(frozen=True, slots=True)
class Route:
    """What requests cost when two models share them [USD a request].

    Attributes
    ----------
    small, large, router : float
        One request at each.
    small_share : float
        Share of the requests that the small model answers.
    cascade : bool
        Whether the small model tries every request first.
    mix : float
        The mean request.
    saved : float
        Share of the large model's cost that the mix saves; negative where it costs more.
    break_even_share : float or None
        Share that the small model must answer for the mix to cost no more than the large model alone; None if no
        share does.
    """

    small: float
    large: float
    router: float
    small_share: float
    cascade: bool
    mix: float
    saved: float
    break_even_share: float | None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def routed(small: float, large: float, small_share: float, router: float = 0.0, cascade: bool = False) -> Route:
    """Cost of a small/large split.

    With s the share that the small model answers and r the router's cost, a router pays r + s small + (1 − s) large, a
    cascade r + small + (1 − s) large. They cost no more than the large model alone from s = r / (large − small) and
    s = (r + small) / large on.

    Parameters
    ----------
    small, large, router : float
        Of one request [USD].
    small_share : float
        Between 0 and 1. In a cascade 1 − s is the share of escalations.

    Examples
    --------
    A large model ten times as dear; the small one answers 70 %:

    >>> [round(routed(0.0002, 0.002, 0.7, cascade=cascade).mix, 5) for cascade in (False, True)]
    [0.00074, 0.0008]
    >>> [routed(0.0002, 0.002, 0.7, cascade=cascade).break_even_share for cascade in (False, True)]
    [0.0, 0.1]
    """
    checks.not_negative(small=small, router=router)
    checks.positive(large=large)
    checks.share(small_share=small_share)
    tried = small if cascade else small * small_share
    mix = router + tried + (1 - small_share) * large
    over = (router + small) / large if cascade else (router / (large - small) if large > small else float("inf"))
    return Route(
        small=small,
        large=large,
        router=router,
        small_share=small_share,
        cascade=cascade,
        mix=mix,
        saved=1 - mix / large,
        break_even_share=over if over <= 1 else None,
    )


@dataclass(frozen=True, slots=True)
class RouteMonth:
    """A month of a split on GPUs of one's own: whole replicas, not tokens, are paid for.

    Attributes
    ----------
    small, large, large_alone : Schedule
        Replicas and GPU hours of each; ``large_alone`` is what the large model takes without a small one.
    usd, large_alone_usd : float
        A month [USD].
    """

    small: Schedule
    large: Schedule
    large_alone: Schedule
    usd: float
    large_alone_usd: float

    @property
    def saved_usd(self) -> float:
        """What the split saves a month [USD]; negative where it costs more."""
        return self.large_alone_usd - self.usd

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        parts = {name: getattr(self, name).to_dict() for name in ("small", "large", "large_alone")}
        return parts | {"usd": self.usd, "large_alone_usd": self.large_alone_usd, "saved_usd": self.saved_usd}


def route_month(
    mean_rate: float,
    small_share: float,
    small_capacity: float,
    large_capacity: float,
    small_usd_per_gpu_hour: float,
    large_usd_per_gpu_hour: float,
    small_gpus: int = 1,
    large_gpus: int = 1,
    cascade: bool = False,
    day: Demand | str = "flat",
    autoscale: bool = False,
    spare: int = 0,
) -> RouteMonth:
    """Cost of a split in whole replicas.

    Parameters
    ----------
    mean_rate : float
        Requests that arrive, on average over the week [1/s].
    small_capacity, large_capacity : float
        Requests that one replica serves within its service level [1/s].
    small_gpus, large_gpus : int
        GPUs of one replica.
    small_usd_per_gpu_hour, large_usd_per_gpu_hour : float
        [USD/h].

    Examples
    --------
    Half of 10 requests/s to a small model that one GPU serves, instead of five replicas of two GPUs:

    >>> found = route_month(10, 0.5, small_capacity=8, large_capacity=2, small_usd_per_gpu_hour=1.5,
    ...                     large_usd_per_gpu_hour=1.5, large_gpus=2)
    >>> found.large_alone.gpus, found.small.gpus + found.large.gpus, round(found.saved_usd)
    (10, 7, 3285)
    """
    checks.share(small_share=small_share)
    checks.not_negative(small_usd=small_usd_per_gpu_hour, large_usd=large_usd_per_gpu_hour)
    tried = mean_rate if cascade else mean_rate * small_share
    rest = mean_rate * (1 - small_share)

    def hours(rate: float, capacity: float, gpus: int) -> Schedule:
        standby = spare if rate > 0 else 0
        return schedule(rate, capacity, day, gpus, autoscale, spare=standby, least=1 if rate > 0 else 0)

    small = hours(tried, small_capacity, small_gpus)
    large = hours(rest, large_capacity, large_gpus)
    alone = hours(mean_rate, large_capacity, large_gpus)
    return RouteMonth(
        small=small,
        large=large,
        large_alone=alone,
        usd=small.gpu_hours * small_usd_per_gpu_hour + large.gpu_hours * large_usd_per_gpu_hour,
        large_alone_usd=alone.gpu_hours * large_usd_per_gpu_hour,
    )
