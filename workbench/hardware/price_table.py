"""What an hour of a card costs to rent: the table ``prices.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from statistics import median
from types import MappingProxyType
from typing import Any

from workbench.datafiles import read_rows
from workbench.quantities import Estimate

#: How a card is rented: by the hour, by the hour until somebody else wants it, or for a term.
KINDS = ("on_demand", "spot", "reserved", "reserved_1y", "reserved_3y")
#: What the date of a row says where its source has none.
UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class Price:
    """One offer: a row of ``prices.csv``.

    Attributes
    ----------
    gpu : str
        Name of the card in ``gpus.csv``.
    kind : str
        One of :data:`KINDS`; ``reserved`` is a contract whose term the source does not state.
    usd_per_gpu_hour : float
        Price of the instance over its GPUs [USD/h].
    gpus : int
        Cards of the instance it is sold in.
    date : str
        When it was read (ISO, to the day, month or year), or "undated".
    """

    gpu: str
    provider: str
    kind: str
    usd_per_gpu_hour: float
    gpus: int
    region: str
    date: str
    source: str
    notes: str

    def to_dict(self) -> dict[str, Any]:
        """The row, ready for JSON."""
        return asdict(self)


@cache
def offers() -> Mapping[str, tuple[Price, ...]]:
    """All rows by name of the card, in the table's order."""
    found: dict[str, list[Price]] = {}
    for row in read_rows("prices.csv"):
        offer = Price(
            gpu=row["gpu"],
            provider=row["provider"],
            kind=row["kind"],
            usd_per_gpu_hour=float(row["usd_per_gpu_hour"]),
            gpus=int(row["gpus"]),
            region=row["region"],
            date=row["date"],
            source=row["source"],
            notes=row["notes"],
        )
        found.setdefault(offer.gpu, []).append(offer)
    return MappingProxyType({name: tuple(rows) for name, rows in found.items()})


def typical(rows: Sequence[Price]) -> Estimate | None:
    """The middle provider's price, and the lowest and highest of all offers [USD/h of one GPU]; None without a row.

    Every provider has one vote, the median of its offers: one that sells ten instance types does not outvote the rest.

    Examples
    --------
    >>> asked = (("A", 1.0), ("A", 3.0), ("B", 4.0))
    >>> typical([Price("L4", who, "on_demand", usd, 1, "", "2026", "", "") for who, usd in asked])
    Estimate(value=3.0, low=1.0, high=4.0, basis='datasheet')
    """
    if not rows:
        return None
    by_provider: dict[str, list[float]] = {}
    for row in rows:
        by_provider.setdefault(row.provider, []).append(row.usd_per_gpu_hour)
    every = [row.usd_per_gpu_hour for row in rows]
    middle = round(median(median(usd) for usd in by_provider.values()), 4)
    return Estimate(middle, min(every), max(every), "datasheet")


def on_demand(gpu: str) -> tuple[Estimate | None, str, str]:
    """A card's price by the hour, who asks the lowest and the highest, and when they were last read."""
    rows = sorted((row for row in offers().get(gpu, ()) if row.kind == "on_demand"), key=lambda r: r.usd_per_gpu_hour)
    if not rows:
        return None, "", ""
    ends = dict.fromkeys(f"{row.usd_per_gpu_hour:.2f} {row.provider}" for row in (rows[0], rows[-1]))
    read = [row.date for row in rows if row.date != UNDATED]
    providers = len({row.provider for row in rows})
    words = f"{' to '.join(ends)}, {providers} provider{'s' * (providers > 1)}"
    return typical(rows), words, max(read, default=UNDATED)
