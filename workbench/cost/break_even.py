"""Buy or rent: from which load, and after how long, owning is the cheaper."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.cost import checks
from workbench.cost.ownership import Month, Ownership
from workbench.cost.per_unit import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class BuyOrRent:
    """Owning against renting, for the same GPUs at the same load.

    Attributes
    ----------
    own : Month
        Owned, a month [USD].
    rent_usd_per_month : float
        Rented, a month [USD].
    own_usd_per_gpu_hour : float
        Owned, an hour of use [USD/h].
    break_even_utilization : float or None
        From which load on owning is the cheaper, written off over its life; None if at no load, or if rent is paid
        for all hours and the load does not matter.
    break_even_months : float or None
        After how many months the rent saved has paid for the purchase; None if not within the life.
    break_even_hours : float or None
        The same in hours of use of one GPU.
    saved_usd : float
        What owning saves over its life [USD]; negative where it costs more.
    cheaper : str
        "buy" or "rent".
    """

    gpus: int
    utilization: float
    years: float
    own: Month
    rent_usd_per_month: float
    own_usd_per_gpu_hour: float
    break_even_utilization: float | None
    break_even_months: float | None
    break_even_hours: float | None
    saved_usd: float
    cheaper: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"own": self.own.to_dict()}


def buy_or_rent(
    own: Ownership,
    rent_usd_per_gpu_hour: float,
    utilization: float,
    gpus: int = 1,
    always_on: bool = False,
) -> BuyOrRent:
    """Compare owning with renting.

    Rent is price × 730 h × load where machines are let go when idle, price × 730 h where they are kept
    (``always_on``: a reservation, or nobody turns them off).

    Parameters
    ----------
    own : Ownership
    rent_usd_per_gpu_hour : float
        [USD/h].
    utilization : float
        Share of the hours in use, above 0.

    Examples
    --------
    An L40S at the price most clouds ask; used around the clock, the purchase has paid after a year:

    >>> found = buy_or_rent(Ownership.of("L40S"), rent_usd_per_gpu_hour=1.525, utilization=1.0)
    >>> found.cheaper, round(found.break_even_months, 1), round(found.break_even_utilization, 2)
    ('buy', 12.6, 0.29)
    """
    checks.positive(rent_usd_per_gpu_hour=rent_usd_per_gpu_hour, utilization=utilization)
    month = own.month(utilization, gpus)
    paid_hours = HOURS_PER_MONTH * (1.0 if always_on else utilization)
    rent = gpus * rent_usd_per_gpu_hour * paid_hours
    kept = month.total - month.depreciation  # paid month by month; the purchase is paid at once
    months: float | None = gpus * own.capital_usd / (rent - kept) if rent > kept else None
    if months is not None and months > 12 * own.years:
        months = None
    life = 12 * own.years
    return BuyOrRent(
        gpus=gpus,
        utilization=utilization,
        years=own.years,
        own=month,
        rent_usd_per_month=rent,
        own_usd_per_gpu_hour=own.usd_per_gpu_hour(utilization),
        break_even_utilization=None if always_on else break_even_utilization(own, rent_usd_per_gpu_hour),
        break_even_months=months,
        break_even_hours=None if months is None else months * HOURS_PER_MONTH * utilization,
        saved_usd=life * (rent - month.total),
        cheaper="buy" if month.total < rent else "rent",
    )


def break_even_utilization(own: Ownership, rent_usd_per_gpu_hour: float) -> float | None:
    """The load at which owned and rented hours cost the same, rent being paid for hours in use only.

    Owning costs a + b u, renting c u, with a the month at no load, b what load adds to energy, c the rent of a month:
    u = a / (c − b). None where owning is dearer even at full load.
    """
    idle, full = own.month(0.0).total, own.month(1.0).total
    gap = rent_usd_per_gpu_hour * HOURS_PER_MONTH - (full - idle)
    return idle / gap if gap > 0 and idle <= gap else None
