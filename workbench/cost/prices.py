"""What renting costs, by the hour, for a term, or at a price of one's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.cost import checks
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import GPU, gpu
from workbench.hardware.price_table import KINDS, Price, offers, typical
from workbench.quantities import Estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Price", "price", "priced", "prices", "rows"]


def rows(card: str | GPU | None = None, kind: str | None = None) -> list[Price]:
    """Offers of a card and a kind; of all where one is not given.

    Raises
    ------
    UnknownName
        For a card or a kind that no table has.

    Examples
    --------
    >>> [offer.provider for offer in rows("L40S", "reserved_3y")]
    ['AWS', 'Civo', 'CoreWeave', 'Vultr']
    """
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of price", kind, KINDS, f"one of {', '.join(KINDS)}")
    if card is None:
        found = [offer for every in offers().values() for offer in every]
    else:
        known = gpu(card)
        found = list(offers().get(known.slice_of or known.name, ()))
    return [offer for offer in found if kind in (None, offer.kind)]


def prices(card: str | GPU | None = None, kind: str | None = None) -> pd.DataFrame:
    """Offers as a table: the columns of ``data/prices.csv``, USD per hour of one GPU."""
    import pandas as pd

    names = list(Price.__dataclass_fields__)
    return pd.DataFrame([offer.to_dict() for offer in rows(card, kind)], columns=names)


def price(card: str | GPU, kind: str = "on_demand", own: float | None = None) -> Estimate:
    """What an hour of a card costs [USD/h of one GPU].

    Parameters
    ----------
    card : str or GPU
        A MIG slice costs its share of the card.
    kind : str
        One of :data:`KINDS`. ``reserved`` takes every contract, whatever its term.
    own : float, optional
        A price of one's own, which overrides the table [USD/h].

    Returns
    -------
    Estimate
        The middle provider's price between the lowest and the highest offer.

    Raises
    ------
    InvalidInput
        If nobody was seen to offer the card so; give ``own`` then.

    Examples
    --------
    >>> price("L40S").value, price("L40S", "reserved_1y").value, price("L40S", own=0.95).basis
    (1.525, 0.9, 'given')
    """
    if own is not None:
        checks.positive(own=own)
        return Estimate.exact(own, "given")
    if kind not in KINDS:
        raise UnknownName("kind of price", kind, KINDS, f"one of {', '.join(KINDS)}")
    known = gpu(card)
    if kind == "on_demand" and known.usd_per_hour is not None:
        return known.usd_per_hour
    estimate = typical(_of_kind(known, kind))
    if estimate is None:
        raise InvalidInput(f"no {kind} price of {known.name} is known; give your own")
    if known.slice_of:
        whole = gpu(known.slice_of).usd_per_hour
        if known.usd_per_hour is None or whole is None:
            raise InvalidInput(f"no price of {known.slice_of} is known; give your own")
        return estimate.scaled(known.usd_per_hour.value / whole.value)
    return estimate


def _of_kind(card: GPU, kind: str) -> list[Price]:
    return [offer for offer in rows(card) if offer.kind == kind or (kind == "reserved" and "reserved" in offer.kind)]


def priced(card: str | GPU, kind: str = "on_demand", own: float | None = None) -> GPU:
    """The card at another price, for plans and searches to reckon with.

    Examples
    --------
    >>> priced("L40S", "spot").usd_per_hour == price("L40S", "spot"), priced("L40S", own=0.6).usd_per_hour.value
    (True, 0.6)
    """
    known, estimate = gpu(card), price(card, kind, own)
    if own is not None:
        return replace(known, usd_per_hour=estimate, price_source="given by the user", price_date="")
    found = _of_kind(known, kind)
    return replace(
        known,
        usd_per_hour=estimate,
        price_source=f"{kind}, {len({offer.provider for offer in found})} providers",
        price_date=max((offer.date for offer in found if offer.date != "undated"), default="undated"),
    )
