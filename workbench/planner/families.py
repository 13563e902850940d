"""Why the other cards were not taken: each with the best it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workbench.planner.lineup import Table
from workbench.planner.recommendation import Recommendation, closest
from workbench.quantities import show_usd


@dataclass(frozen=True)
class Family:
    """All deployments on one card.

    Attributes
    ----------
    name : str
        The card.
    kind : str
        "taken", "dearer", "over budget", "missed", "too few", "no price" or "does not start".
    text : str
        Why, in a sentence.
    usd_per_month : float or None
        The cheapest of it that meets the service level.
    best : str
        That deployment in words.
    """

    name: str
    kind: str
    text: str
    usd_per_month: float | None = None
    best: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def families(asked: Table, plans: Sequence[Recommendation]) -> tuple[Family, ...]:
    """Every card of a table with what became of it: those that meet the service level first, by cost.

    Parameters
    ----------
    asked : Table
    plans : sequence of Recommendation
        The plans taken.
    """
    taken = {plan.offer.card.name: plan for plan in reversed(plans)}
    names = np.array([row[0] for row in asked.of("gpu")], dtype=object)
    found = [_family(asked, name, names, taken) for name in dict.fromkeys(names.tolist())]
    found += [Family(name, "does not start", reason) for name, reason in asked.lineup.refused.items()]
    return tuple(sorted(found, key=lambda family: (family.usd_per_month is None, family.usd_per_month or 0.0)))


def _family(asked: Table, name: str, names: Any, taken: dict[str, Recommendation]) -> Family:
    need = asked.need
    rows = (names == name)[asked.offer]
    if need.gpus is not None:
        few = rows & (asked.gpus <= need.gpus)
        if not few.any():
            return Family(name, "too few", f"It takes {asked.gpus[rows].min()} GPUs at least; there are {need.gpus}.")
        rows = few
    good = rows & asked.meets
    if not good.any():
        at = int(np.argmin(np.where(rows, asked.ratio, np.inf)))
        return Family(
            name, "missed", f"Misses the service level; nearest with {words(asked, at)}: {closest(asked, at)}."
        )
    at = int(np.lexsort((-asked.probability, np.where(good, asked.cost, np.inf)))[0])
    cost = float(asked.cost[at])
    if not np.isfinite(cost):
        return Family(name, "no price", f"Meets it, but no {need.price.replace('_', ' ')} price is known.")
    best = words(asked, at)
    if name in taken:
        titles = " and ".join(title[:1].lower() + title[1:] for title in taken[name].titles)
        return Family(name, "taken", f"Above: {titles}.", cost, best)
    if need.usd_per_month is not None and cost > need.usd_per_month:
        return Family(
            name, "over budget", f"Meets it for {show_usd(cost - need.usd_per_month)} more than the budget.", cost, best
        )
    least = float(asked.cost[asked.meets].min())
    return Family(name, "dearer", f"Meets it, {100 * (cost / least - 1):.0f} % dearer than the cheapest.", cost, best)


def words(asked: Table, at: int) -> str:
    """A row of a table in words."""
    offer = asked.lineup.offers[asked.offer[at]]
    chosen = offer.deployment
    division = f"TP {chosen.tensor_parallel_size}"
    if chosen.pipeline_parallel_size > 1:
        division += f" PP {chosen.pipeline_parallel_size}"
    replicas = int(asked.replicas[at])
    each = f"{replicas} × {division}" if replicas > 1 else division
    cache = "" if chosen.kv_cache_dtype == "auto" else f", KV {chosen.kv_cache_dtype.upper()}"
    return f"{asked.gpus[at]} GPUs ({each}), {offer.part.setup.scheme.title}{cache}"
