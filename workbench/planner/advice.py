"""From what is needed to three plans: cheapest, safest, fastest, or what comes nearest where nothing will do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench.architecture.model import Model
from workbench.planner.families import Family, families
from workbench.planner.lineup import Lineup, Mask, Table, lineup, paid, table, usd_per_month
from workbench.planner.needs import FLOORS, Need
from workbench.planner.plan import as_model
from workbench.planner.recommendation import Recommendation, reasons, tradeoffs
from workbench.quantities import show_count, show_seconds, show_usd

#: The chance of meeting the service level from which a plan is called safe.
SAFE = 0.9
#: Where no budget is given, the fastest plan costs at most this many times the cheapest.
_FASTEST = 2.0
#: Deployments whose capacity is sought where a budget does not carry all users.
_SOUGHT = 12


@dataclass(frozen=True)
class Advice:
    """What was found for a need.

    Attributes
    ----------
    model : Model
    need : Need
    verdict : str
        "yes", "over budget" (met, for more money), "missed" (no deployment tried meets the service level) or "none" (no
        deployment starts).
    plans : tuple of Recommendation
        At most three, the first being the one to take.
    rejected : tuple of Family
        Why the other cards were not taken.
    table : Table
        Everything that was compared.
    """

    model: Model
    need: Need
    verdict: str
    plans: tuple[Recommendation, ...]
    rejected: tuple[Family, ...]
    table: Table

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        if self.verdict == "none":
            return "No deployment of this model starts"
        first = self.plans[0] if self.plans else None
        if first is None:
            return "Nothing fits what is given"
        cost = show_usd(first.usd_per_month.value) if first.usd_per_month else "an unknown price"
        if self.verdict == "yes":
            return f"Yes: {first.name} for {cost} a month"
        if self.verdict == "over budget":
            return f"Not for {show_usd(self.need.usd_per_month or 0)} a month: {first.name} would cost {cost}"
        return "No deployment tried meets this service level"

    @cached_property
    def why(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """Of each plan, its reasons and its trade-offs."""
        return tuple(
            (tuple(reasons(p, self.table, self.plans[0])), tuple(tradeoffs(p, self.plans))) for p in self.plans
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        plans = [
            plan.to_dict() | {"reasons": list(why), "tradeoffs": list(pays)}
            for plan, (why, pays) in zip(self.plans, self.why, strict=True)
        ]
        return {
            "model": self.model.id,
            "need": self.need.to_dict(),
            "verdict": self.verdict,
            "headline": self.headline,
            "summary": self.summary,
            "plans": plans,
            "rejected": [family.to_dict() for family in self.rejected],
            "tried": self.table.lineup.tried,
            "compared": len(self.table.offer),
        }

    @property
    def summary(self) -> str:
        """What was asked, in a sentence."""
        need = self.need
        who = (
            f"{show_count(need.users)} users"
            if need.users is not None
            else f"{need.requests_per_s:g} requests a second"
        )
        if need.concurrency is not None:
            who += f" ({show_count(need.concurrency)} requests at once)"
        asked = []
        share = "on average" if need.percentile == 50 else f"for {need.percentile:g} % of requests"
        if need.ttft is not None:
            asked.append(f"first token within {show_seconds(need.ttft)}")
        if need.tpot is not None:
            asked.append(f"{1 / need.tpot:.3g} tokens/s to each")
        text = f"{self.model.id.rsplit('/', 1)[-1]} for {who}"
        if asked:
            text += f", {' and '.join(asked)} {share}"
        return f"{text}; {FLOORS[need.floor]}."


def advise(model: Model | str | Path | Mapping[str, Any], need: Need | None = None, **fields: Any) -> Advice:
    """Three plans for what is needed, or the nearest to it.

    Every deployment of :func:`~workbench.planner.lineup.lineup` is asked at every number of replicas. Of those that
    meet the service level at the expected values within budget and hardware: the cheapest; the cheapest whose chance of
    meeting it is 90 % and that has a spare replica; the one whose answers are complete first. Where two are the same,
    the cheapest on another card stands beside it.

    Parameters
    ----------
    model
        As for :func:`workbench.planner.plan`.
    need : Need, optional
        Or its fields, one by one.

    Raises
    ------
    InvalidInput
        For a field that cannot be.

    Examples
    --------
    >>> found = advise("meta-llama/Llama-3.1-8B-Instruct", users=200, usd_per_month=5000.0)
    >>> found.verdict, found.plans[0].titles[0], found.plans[0].meets and found.plans[0].within_budget
    ('yes', 'Cheapest', True)
    """
    known = as_model(model)
    need = replace(need or Need(), **fields)
    length = min(need.max_model_len, known.max_model_len)
    found = lineup(known, length, need.floor, need.gpu)
    return choose(known, need, found, table(found, need))


def choose(model: Model, need: Need, found: Lineup, asked: Table) -> Advice:
    """The plans of a table."""
    if not found.offers:
        return Advice(model, need, "none", (), families(asked, ()), asked)
    cost = asked.cost
    allowed = np.isfinite(cost) | (need.usd_per_month is None)
    if need.gpus is not None:
        allowed &= asked.gpus <= need.gpus
    affordable = allowed & (cost <= (need.usd_per_month or np.inf))
    if (affordable & asked.meets).any():
        verdict, plans = "yes", _three(asked, allowed, affordable)
    elif (allowed & asked.meets).any():
        verdict, plans = "over budget", _over(asked, allowed, affordable)
    else:
        verdict, plans = "missed", _nearest(asked, allowed, affordable)
    return Advice(model, need, verdict, plans, families(asked, plans), asked)


def _made(asked: Table, row: int, title: str, spare: int | None = None) -> Recommendation:
    offer = asked.lineup.offers[asked.offer[row]]
    count = int(asked.need.spare) if spare is None else spare
    return Recommendation((title,), offer, asked.need, int(asked.replicas[row]), count)


def _least(key: Any, rows: Mask, *ties: Any) -> int | None:
    """The row of the least key among some; of equal ones the least of the ties."""
    found = np.flatnonzero(rows)
    if not found.size:
        return None
    order = np.lexsort(tuple(tie[found] for tie in reversed((key, *ties))))
    return int(found[order[0]])


def _three(asked: Table, allowed: Mask, affordable: Mask) -> tuple[Recommendation, ...]:
    need, cost = asked.need, asked.cost
    unlikely = -asked.probability.round(2)
    good = affordable & asked.meets
    first = _least(cost, good, unlikely)
    assert first is not None
    picked = [_made(asked, first, "Cheapest")]
    picked.append(_safest(asked, allowed, affordable, cost, unlikely))
    limit = need.usd_per_month or _FASTEST * cost[first]
    fast = good & (cost <= limit)
    quick = fast & (asked.answer <= 1.02 * asked.answer[fast].min())
    fastest = _least(cost, quick, asked.answer)
    assert fastest is not None
    picked.append(
        _made(asked, fastest, "Fastest within the budget" if need.usd_per_month else "Fastest for twice the price")
    )
    plans = _merged(picked)
    names = [row[0] for row in asked.of("gpu")]
    used = {plan.offer.card.name for plan in plans}
    while len(plans) < len(picked):
        elsewhere = np.array([name not in used for name in names])[asked.offer]
        other = _least(cost, good & elsewhere, unlikely)
        if other is None:
            break
        plans = (*plans, _made(asked, other, "Cheapest on another card"))
        used.add(names[asked.offer[other]])
    return plans


def _safest(asked: Table, allowed: Mask, affordable: Mask, cost: Any, unlikely: Any) -> Recommendation:
    """With a spare and a chance of 90 %; else without the spare; else of the best chance there is."""
    need = asked.need
    spared = asked.with_spare * asked.usd.value
    inside = allowed & (spared <= (need.usd_per_month or np.inf)) & (asked.with_spare <= (need.gpus or np.inf))
    row = _least(spared, inside & asked.meets & (asked.probability >= SAFE), unlikely)
    if row is not None:
        return _made(asked, row, "Safest", spare=1)
    row = _least(cost, affordable & asked.meets & (asked.probability >= SAFE), unlikely)
    if row is None:
        row = _least(unlikely, affordable & asked.meets, cost)
    assert row is not None
    return _made(asked, row, "Safest within the budget")


def _merged(picked: list[Recommendation]) -> tuple[Recommendation, ...]:
    """The same, those that are one plan as one of several titles."""
    found: dict[Any, Recommendation] = {}
    for plan in picked:
        key = plan.offer.deployment, plan.replicas, plan.spare
        if key in found:
            found[key] = replace(found[key], titles=found[key].titles + plan.titles)
        else:
            found[key] = plan
    return tuple(found.values())


def _over(asked: Table, allowed: Mask, affordable: Mask) -> tuple[Recommendation, ...]:
    """The cheapest that meets the service level, the best for the money, and the most users for the money."""
    first = _least(asked.cost, allowed & asked.meets, -asked.probability.round(2))
    assert first is not None
    picked = [_made(asked, first, "Meets it, over the budget")]
    if (best := _closest_row(asked, affordable)) is not None:
        picked.append(_made(asked, best, "Nearest within the budget"))
    if (fewer := _fewer(asked, allowed)) is not None:
        picked.append(fewer)
    return _merged(picked)


def _fewer(asked: Table, allowed: Mask) -> Recommendation | None:
    """The plan that serves the most users within the service level and the budget."""
    need = asked.need
    assert need.usd_per_month is not None
    good = np.flatnonzero(allowed & asked.meets)
    best: Recommendation | None = None
    ranked = dict.fromkeys(asked.offer[good[np.argsort(asked.cost[good], kind="stable")]].tolist())
    for at in list(ranked)[:_SOUGHT]:
        offer = asked.lineup.offers[at]
        each = usd_per_month(offer.card, need.price)
        if each is None:
            continue
        most = math.floor(need.usd_per_month / each.value)
        most = min(most, need.gpus or most)
        count = next((n for n in range(most, 0, -1) if paid(offer, n + need.spare, need.whole_nodes) <= most), 0)
        if not count:
            continue
        carried = Recommendation(("Fewer users, within the budget",), offer, need, count, int(need.spare)).room
        if need.users is None:
            fewer = replace(need, requests_per_s=min(carried, need.demand)) if carried > 0 else None
        else:
            fewer = replace(need, users=min(int(carried), need.users)) if carried >= 1 else None
        if fewer is not None and (best is None or fewer.demand > best.need.demand):
            best = Recommendation(("Fewer users, within the budget",), offer, fewer, count, int(need.spare))
    return best


def _nearest(asked: Table, allowed: Mask, affordable: Mask) -> tuple[Recommendation, ...]:
    """What comes nearest, at any price and for the money."""
    picked = []
    for rows, title in ((affordable, "Nearest within the budget"), (allowed, "Nearest at any price")):
        if (row := _closest_row(asked, rows)) is not None:
            picked.append(_made(asked, row, title if asked.need.usd_per_month else "Nearest"))
    return _merged(picked)


def _closest_row(asked: Table, rows: Mask) -> int | None:
    """The cheapest of those that come within 5 % of the nearest."""
    if not rows.any():
        return None
    return _least(asked.cost, rows & (asked.ratio <= 1.05 * asked.ratio[rows].min()), asked.ratio)
