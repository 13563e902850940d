"""What an owned GPU costs: a month, an hour of use.

References
----------
Straight-line depreciation and a mean balance for interest, as in any capital budget; energy = draw × PUE × hours ×
price, PUE being the facility's power over that of its machines (ISO/IEC 30134-2), cooling included.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from workbench.cost import checks
from workbench.cost.per_unit import HOURS_PER_MONTH
from workbench.cost.purchases import capital
from workbench.cost.running_costs import assumed
from workbench.errors import InvalidInput
from workbench.hardware import GPU, gpu
from workbench.quantities import Estimate


def energy_usd(watts: float, hours: float, pue: float, usd_per_kwh: float) -> float:
    """Electricity of a machine and its cooling [USD]: W / 1000 × h × PUE × USD/kWh.

    Examples
    --------
    An L40S of 350 W for a month at 0.20 USD/kWh, PUE 1.5:

    >>> round(energy_usd(350, 730, 1.5, 0.20), 2)
    76.65
    """
    checks.not_negative(watts=watts, hours=hours, usd_per_kwh=usd_per_kwh)
    if pue < 1:
        raise InvalidInput(f"pue is {pue!r}; a facility draws at least what its machines draw, so at least 1")
    return watts / 1000 * hours * pue * usd_per_kwh


@dataclass(frozen=True, slots=True)
class Month:
    """A month of owned GPUs, by what is paid for [USD]."""

    depreciation: float
    interest: float
    operations: float
    housing: float
    energy: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.depreciation + self.interest + self.operations + self.housing + self.energy

    def to_dict(self) -> dict[str, float]:
        """Ready for JSON, with the total."""
        return asdict(self) | {"total": self.total}


@dataclass(frozen=True, slots=True)
class Ownership:
    """One owned GPU with its share of the server, and what is assumed of running it.

    Parameters
    ----------
    capital_usd : float
        Purchase: card, and its share of host and network [USD].
    watts : float
        Draw at full load with its share of the server [W].
    years : float
        Life over which it is written off in equal parts.
    residual : float
        Share of the purchase it is sold for at the end.
    pue : float
        Facility power over the machines' power; cooling is in it.
    usd_per_kwh : float
        Electricity [USD/kWh].
    idle_power : float
        Draw at no load over draw at full load.
    operations : float
        Support, spares, staff: share of the purchase a year.
    housing_usd_per_kw_month : float
        Rent of space and power by the kW at full load [USD/(kW month)]; 0 in a room of one's own.
    interest : float
        On the mean balance, a year.

    Examples
    --------
    >>> mine = Ownership(capital_usd=9000, watts=630, years=5, pue=1.5, usd_per_kwh=0.10, operations=0.08)
    >>> month = mine.month(utilization=1.0)
    >>> month.depreciation, month.operations, round(month.energy, 2), round(mine.usd_per_gpu_hour(1.0), 3)
    (150.0, 60.0, 68.98, 0.382)
    """

    capital_usd: float
    watts: float
    years: float = assumed()["years"]
    residual: float = 0.0
    pue: float = assumed()["pue"]
    usd_per_kwh: float = assumed()["usd_per_kwh"]
    idle_power: float = assumed()["idle_power"]
    operations: float = assumed()["operations"]
    housing_usd_per_kw_month: float = 0.0
    interest: float = 0.0

    def __post_init__(self) -> None:
        checks.positive(capital_usd=self.capital_usd, watts=self.watts, years=self.years)
        checks.share(residual=self.residual, idle_power=self.idle_power)
        checks.not_negative(operations=self.operations, housing=self.housing_usd_per_kw_month, interest=self.interest)
        energy_usd(0.0, 0.0, self.pue, self.usd_per_kwh)

    @classmethod
    def of(
        cls,
        card: str | GPU,
        capital_usd: float | None = None,
        watts: float | None = None,
        **assumptions: float,
    ) -> Ownership:
        """A card of the table, with what is assumed of its host.

        Parameters
        ----------
        capital_usd : float, optional
            Purchase with its share of the host [USD]; by default the card's price and a third of it again.
        watts : float, optional
            Draw with its share of the server [W]; by default 1.8 × the card's TDP.
        **assumptions
            Other fields.

        Raises
        ------
        InvalidInput
            If price or power of the card is not known and not given.

        Examples
        --------
        >>> mine = Ownership.of("L40S")
        >>> round(mine.capital_usd), mine.watts, round(mine.usd_per_gpu_hour(0.5), 2)
        (11862, 630.0, 0.93)
        """
        known, usual = gpu(card), assumed()
        if capital_usd is None:
            capital_usd = capital(known).value * (1 + usual["host"])
        if watts is None:
            if known.tdp is None:
                raise InvalidInput(f"the power of {known.name} is not known; give watts")
            watts = known.tdp * usual["server_power"]
        return cls(capital_usd, watts, **assumptions)

    def month(self, utilization: float, gpus: int = 1) -> Month:
        """What a month costs at a mean load [USD].

        Parameters
        ----------
        utilization : float
            Mean load over full load; only energy depends on it.
        """
        checks.share(utilization=utilization)
        checks.count(gpus=gpus)
        draw = self.watts * (self.idle_power + (1 - self.idle_power) * utilization)
        return Month(
            depreciation=gpus * self.capital_usd * (1 - self.residual) / (12 * self.years),
            interest=gpus * self.capital_usd * (1 + self.residual) / 2 * self.interest / 12,
            operations=gpus * self.capital_usd * self.operations / 12,
            housing=gpus * self.watts / 1000 * self.housing_usd_per_kw_month,
            energy=gpus * energy_usd(draw, HOURS_PER_MONTH, self.pue, self.usd_per_kwh),
        )

    def usd_per_gpu_hour(self, utilization: float) -> float:
        """What an hour of use costs [USD/h]: a month over the hours in use."""
        checks.positive(utilization=utilization)
        return self.month(utilization).total / (HOURS_PER_MONTH * utilization)


def owned(card: str | GPU, utilization: float = 1.0, **given: float) -> Estimate:
    """What an hour of an owned card costs [USD/h of use], between the lowest and the highest purchase price seen.

    Parameters
    ----------
    utilization : float
        Share of the hours in use.
    **given
        As for :meth:`Ownership.of`.

    Examples
    --------
    >>> estimate = owned("L40S", 0.7)
    >>> round(estimate.low, 2), round(estimate.value, 2), round(estimate.high, 2)
    (0.65, 0.68, 0.72)
    """
    mine = Ownership.of(card, **given)
    if "capital_usd" in given:
        return Estimate.exact(mine.usd_per_gpu_hour(utilization), "given")
    seen, host = capital(card), 1 + assumed()["host"]
    low, high = (replace(mine, capital_usd=usd * host).usd_per_gpu_hour(utilization) for usd in (seen.low, seen.high))
    return Estimate(mine.usd_per_gpu_hour(utilization), low, high, seen.basis)
