"""What a card costs to buy: the table ``purchases.csv``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

from workbench.cost import checks
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput
from workbench.hardware import GPU, gpu
from workbench.quantities import Estimate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Purchase:
    """A price somebody asked or estimated: a row of ``purchases.csv``.

    Attributes
    ----------
    what : str
        "card", or "server": the host and its ``gpus`` together.
    usd : float
        Of the whole [USD].
    basis : str
        "shop": asked on that day; "estimate": the press, communities.
    """

    gpu: str
    what: str
    gpus: int
    usd: float
    date: str
    basis: str
    source: str
    notes: str

    @property
    def usd_per_gpu(self) -> float:
        """Price over the number of cards [USD]."""
        return self.usd / self.gpus

    def to_dict(self) -> dict[str, Any]:
        """The row, ready for JSON."""
        return asdict(self)


@cache
def _all() -> tuple[Purchase, ...]:
    return tuple(
        Purchase(
            gpu=row["gpu"],
            what=row["what"],
            gpus=int(row["gpus"]),
            usd=float(row["usd"]),
            date=row["date"],
            basis=row["basis"],
            source=row["source"],
            notes=row["notes"],
        )
        for row in read_rows("purchases.csv")
    )


def purchases(card: str | GPU | None = None) -> pd.DataFrame:
    """Purchase prices of a card, or of all, as a table: the columns of ``data/purchases.csv``."""
    import pandas as pd

    name = None if card is None else gpu(card).name
    found = [row.to_dict() for row in _all() if name in (None, row.gpu)]
    return pd.DataFrame(found, columns=list(Purchase.__dataclass_fields__))


def capital(card: str | GPU, own: float | None = None) -> Estimate:
    """What one card costs to buy, without a host [USD]: the middle of what was seen, the lowest and the highest.

    Prices of data centre cards are asked for, not listed, so most rows are estimates: 20 to 40 % either way.

    Parameters
    ----------
    own : float, optional
        A quote of one's own, which overrides the table [USD].

    Raises
    ------
    InvalidInput
        If no price of the card is known.

    Examples
    --------
    >>> capital("L40S").value, capital("L40S", own=7200).value
    (9124.98, 7200)
    """
    if own is not None:
        checks.positive(own=own)
        return Estimate.exact(own, "given")
    name = gpu(card).name
    usd = [row.usd_per_gpu for row in _all() if row.gpu == name and row.what == "card"]
    if not usd:
        raise InvalidInput(f"no purchase price of {name} is known; give your own")
    return Estimate(round(median(usd), 2), min(usd), max(usd), "datasheet")
