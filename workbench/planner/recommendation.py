"""One plan of an advice: so many replicas of a deployment, what they cost, how sure they are, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from workbench.cost import HOURS_PER_MONTH, priced
from workbench.formats import scheme
from workbench.planner.capacity import capacities, met
from workbench.planner.costs import quality
from workbench.planner.lineup import Offer, Table, paid, usd_per_month
from workbench.planner.needs import FORMATS, Need
from workbench.planner.plan import Plan
from workbench.quantities import Estimate, show_count, show_seconds, show_usd

#: What a figure's basis means where it is not said of the figure itself.
_FITTED = {
    "calibrated": "constants fitted to public serving benchmarks",
    "roofline": "the card's datasheet; no measurement of this card or engine is in the fit",
}


@dataclass(frozen=True)
class Figure:
    """A figure of a plan, with where it comes from.

    Attributes
    ----------
    name, unit : str
        What it is; the unit of the house ("s", "USD", "tokens/s", "share" …).
    estimate : Estimate
    words : str
        A sentence.
    """

    name: str
    unit: str
    estimate: Estimate
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"name": self.name, "unit": self.unit, **self.estimate.to_dict(), "words": self.words}


@dataclass(frozen=True)
class Recommendation:
    """A plan of an advice.

    Attributes
    ----------
    titles : tuple of str
        What it is among the plans: "Cheapest", "Safest" …
    offer : Offer
        The deployment of one replica.
    need : Need
        What it is planned for; fewer users than asked where that is all a budget carries.
    replicas, spare : int
        Replicas that carry the load, and replicas besides.
    """

    titles: tuple[str, ...]
    offer: Offer
    need: Need
    replicas: int
    spare: int

    @cached_property
    def plan(self) -> Plan:
        """One replica under its share of the load, as ``wb.plan`` makes it."""
        model = self.offer.part.setup.model
        row = int(self.offer.part.rows[self.offer.at])
        return Plan(model, self.offer.evaluation, row, self.need.of_one(self.replicas))

    @cached_property
    def _service(self) -> Any:
        return self.offer.service(self.need, np.array([self.need.load(self.replicas)]))

    @property
    def gpus(self) -> int:
        """Cards that are paid for."""
        return int(paid(self.offer, self.replicas + self.spare, self.need.whole_nodes))

    @property
    def usd_per_month(self) -> Estimate | None:
        """What they cost; None where no price of the kind is known."""
        each = usd_per_month(self.offer.card, self.need.price)
        return each.scaled(self.gpus) if each else None

    def at_percentile(self, name: str) -> Estimate:
        """``ttft`` or ``tpot`` at the percentile asked [s]."""
        found = self._service
        interval = getattr(found, name) if self.need.percentile == 50 else found.at(name, self.need.percentile)
        return Estimate(float(interval.value[0]), float(interval.low[0]), float(interval.high[0]), found.basis)

    @property
    def answer(self) -> float:
        """Mean time of a whole answer [s]."""
        found = self._service
        return float(found.ttft.value[0] + (self.need.workload.osl - 1) * found.tpot.value[0])

    @property
    def probability(self) -> float:
        """That the service level is met while all replicas but the spare run."""
        return float(met(self._service, self.need.slo)[0])

    @property
    def meets(self) -> bool:
        """Within the service level at the expected values."""
        asked = (("ttft", self.need.ttft), ("tpot", self.need.tpot))
        return all(most is None or self.at_percentile(name).value <= most for name, most in asked)

    @property
    def within_budget(self) -> bool:
        """Costs no more than the budget, where there is one."""
        cost, most = self.usd_per_month, self.need.usd_per_month
        return most is None or (cost is not None and cost.value <= most)

    @cached_property
    def room(self) -> float:
        """Users, or requests a second, that the replicas carry within the service level, the spare left aside."""
        part, at = self.offer.part, self.offer.at
        alone = replace(self.offer.evaluation, parts=[part])
        (found,) = capacities(alone, self.need.of_one(1), self.need.slo)
        carried = self.need.users_of(float(found.load[at]) * self.replicas)
        return float(math.floor(carried + 1e-9)) if self.need.users is not None else carried

    @property
    def name(self) -> str:
        """The hardware in words.

        >>> from workbench.planner.advice import advise
        >>> advise("meta-llama/Llama-3.1-8B-Instruct", users=200, gpu="L40S").plans[0].name.endswith(" × L40S")
        True
        """
        return f"{show_count(self.gpus)} × {self.offer.card.name}"

    @property
    def division(self) -> str:
        """How the cards are divided, in words."""
        chosen = self.offer.deployment
        parts = [f"{self.replicas} replica{'s' * (self.replicas > 1)}"]
        parts[0] += f" and {self.spare} spare" if self.spare else ""
        if chosen.gpus > 1:
            parts[0] += f" of {chosen.gpus} GPUs"
        if chosen.tensor_parallel_size > 1:
            parts.append(f"tensor parallel {chosen.tensor_parallel_size}")
        if chosen.pipeline_parallel_size > 1:
            parts.append(f"pipeline parallel {chosen.pipeline_parallel_size}")
        return ", ".join(parts)

    @property
    def weights(self) -> str:
        """The format of the weights, and of the cache where it is another than the model's."""
        chosen = self.offer.deployment
        title = self.offer.part.setup.scheme.title
        return title if chosen.kv_cache_dtype == "auto" else f"{title}, KV cache in {chosen.kv_cache_dtype.upper()}"

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure of the plan with its basis."""
        need, plan = self.need, self.plan
        rests = _FITTED.get(self._service.basis, self._service.basis)
        found = []
        if (cost := self.usd_per_month) is not None:
            each = cost.scaled(1 / self.gpus)
            source = price_words(self.offer, need)
            words = (
                f"{self.gpus} GPUs × {show_usd(each.value / HOURS_PER_MONTH)} an hour × {HOURS_PER_MONTH:g} h. {source}"
            )
            found.append(Figure("USD per month", "USD", cost, words))
        found.append(
            Figure("Load at the busiest moment", "requests", Estimate.exact(need.demand, "given"), load_words(need))
        )
        each_load = Estimate.exact(need.load(self.replicas), "given")
        found.append(
            Figure(
                "Load of one replica",
                "requests",
                each_load,
                f"That over {self.replicas} replica{'s' * (self.replicas > 1)}, rounded up.",
            )
        )
        share = "the mean" if need.percentile == 50 else f"{need.percentile:g} % of requests"
        for name, title in (("ttft", "Time to first token"), ("tpot", "Time per further token")):
            words = f"Of {share}, at that load. Steps of the engine from kernels, batches from a closed form; {rests}."
            found.append(Figure(title, "s", self.at_percentile(name), words))
        chance = Estimate.exact(self.probability, self._service.basis)
        words = "The 90 % intervals of the two times read as lognormal; the less likely of the two counts."
        found.append(Figure("Chance of meeting the service level", "share", chance, words))
        if plan.memory is not None:
            for name, title, unit in (
                ("weights", "Weights on each GPU", "B"),
                ("kv_cache_tokens", "KV cache of a replica", "tokens"),
            ):
                found.append(Figure(title, unit, getattr(plan.memory, name), plan.explanations.get(name, "")))
        words = "Largest load of the replicas within the service level, found by halving."
        room = Estimate.exact(self.room, self._service.basis)
        found.append(Figure("Room for" + (" users" if need.users is not None else " requests/s"), "users", room, words))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        cost = self.usd_per_month
        return {
            "titles": list(self.titles),
            "name": self.name,
            "division": self.division,
            "weights": self.weights,
            "gpu": self.offer.card.name,
            "gpus": self.gpus,
            "replicas": self.replicas,
            "spare": self.spare,
            "users": self.need.users,
            "requests_per_s": self.need.requests_per_s,
            "deployment": self.offer.deployment.to_dict(),
            "workload": self.plan.workload.to_dict(),
            "usd_per_month": cost.to_dict() if cost else None,
            "ttft": self.at_percentile("ttft").to_dict(),
            "tpot": self.at_percentile("tpot").to_dict(),
            "probability": self.probability,
            "meets": self.meets,
            "within_budget": self.within_budget,
            "room": self.room,
            "command": self.plan.command,
            "figures": [figure.to_dict() for figure in self.figures],
        }


def load_words(need: Need) -> str:
    """Where the load comes from.

    >>> load_words(Need(users=500))
    '500 users × 10 % active × 1 request each; the share and the requests are yours to set, nobody measured them.'
    """
    if need.users is None:
        return "As given: requests that arrive in a second of the busiest time."
    each = f"{need.in_flight:g} request{'s' * (need.in_flight != 1)}"
    return (
        f"{show_count(need.users)} users × {need.active_share * 100:g} % active × {each} each; the share and the"
        " requests are yours to set, nobody measured them."
    )


def price_words(offer: Offer, need: Need) -> str:
    """Where a price comes from.

    >>> from workbench.planner.lineup import lineup
    >>> from workbench.architecture import Model
    >>> found = lineup(Model.from_config("meta-llama/Llama-3.1-8B-Instruct"), 8192, only="A10")
    >>> price_words(found.offers[0], Need()).split(", read")[0]
    "The middle provider's list price: 1.29 Lambda, 1 provider"
    """
    card = offer.card if need.price == "on_demand" else priced(offer.card, need.price)
    read = "undated" if card.price_date == "undated" else f"read {card.price_date}"
    return f"The middle provider's list price: {card.price_source}, {read}."


def quality_words(offer: Offer) -> str | None:
    """What the formats were measured to cost; None where nothing is lost."""
    chosen = offer.deployment
    change = {"quantization": chosen.quantization, "kv_cache_dtype": chosen.kv_cache_dtype}
    lost = {name: value for name, value in change.items() if value not in (None, "auto")}
    if not lost:
        return None
    told = quality(lost)
    unknown = [value for name, value in lost.items() if FORMATS.get((_KIND[name], value), "any") == "any"]
    if unknown:
        names = " and ".join(scheme(name).title for name in unknown if name)
        return f"Nobody in our table measured what {names} costs in quality: measure it on your tasks."
    return f"Quality: {told}." if told else None


_KIND = {"quantization": "weights", "kv_cache_dtype": "kv"}


def reasons(chosen: Recommendation, asked: Table, first: Recommendation | None = None) -> list[str]:
    """Why this division, format and number of replicas: what the next smaller or plainer choice would take.

    Parameters
    ----------
    chosen : Recommendation
    asked : Table
    first : Recommendation, optional
        The first plan of the advice, beside which a safer or faster one is put.
    """
    found = []
    if first is not None and first is not chosen and first.need == chosen.need:
        if any(title.startswith("Safest") for title in chosen.titles):
            was, now = (f"{100 * plan.probability:.0f} %" for plan in (first, chosen))
            found.append(f"A chance of {now} to meet the service level; the {first.titles[0].lower()} has {was}.")
        if any(title.startswith("Fastest") for title in chosen.titles):
            was, now = (show_seconds(plan.answer) for plan in (first, chosen))
            found.append(f"A whole answer takes {now} on average; the {first.titles[0].lower()} takes {was}.")
    offer, plan = chosen.offer, chosen.plan
    here = offer.deployment
    fields = ("gpu", "quantization", "kv_cache_dtype", "tensor_parallel_size", "pipeline_parallel_size")
    every = asked.of(*fields)
    mine = tuple(getattr(here, name) for name in fields)
    smaller = [row for row in every if row[:3] == mine[:3] and row[3] * row[4] < here.gpus]
    if here.gpus > 1 and not smaller:
        found.append(
            f"Fewer than {here.gpus} {offer.card.name} do not hold the weights and one request of that length."
        )
    elif here.gpus > 1 and (told := _instead(asked, every, smaller, "fewer", chosen)):
        found.append(f"{here.gpus} GPUs a replica: {told}.")
    plainer = [row for row in every if row[0] == mine[0] and row[1] is None and row[1:3] != mine[1:3]]
    if here.quantization is not None:
        told = "unquantised weights do not fit on this card"
        if plainer:
            told = _instead(asked, every, plainer, "unquantised", chosen) or "unquantised would do for the same money"
        found.append(f"{plan.setup.scheme.title if plan.setup else ''} weights: {told}.")
    load = chosen.need.load(chosen.replicas)
    unit = "a second" if chosen.need.users is None else "at once"
    each = f"{load:.3g} request{'s' * (load != 1)} {unit}"
    if chosen.replicas == 1:
        found.append(f"One replica carries all {each}.")
    else:
        found.append(f"Each of {chosen.replicas} replicas carries {each}; one fewer would {_one_fewer(chosen)}.")
    return found


def _instead(
    asked: Table, every: Sequence[tuple[Any, ...]], others: Sequence[tuple[Any, ...]], word: str, chosen: Recommendation
) -> str:
    """What some other offers would take; empty where that is not more than the plan chosen for another reason."""
    rows = np.isin(asked.offer, [i for i, row in enumerate(every) if row in set(others)])
    good = rows & asked.meets & np.isfinite(asked.cost)
    if good.any():
        at = int(np.argmin(np.where(good, asked.cost, np.inf)))
        own = chosen.usd_per_month
        if own is not None and asked.cost[at] <= own.value:
            return ""
        return f"{word} would take {asked.gpus[at]} GPUs and {show_usd(asked.cost[at])} a month"
    at = int(np.argmin(np.where(rows, asked.ratio, np.inf)))
    return f"{word} would miss the service level at any number (nearest: {closest(asked, at)})"


def closest(asked: Table, at: int) -> str:
    """Which of the two times of a row are above what is asked."""
    parts = []
    for name, value, most in (("TTFT", asked.ttft[at], asked.need.ttft), ("TPOT", asked.tpot[at], asked.need.tpot)):
        if most is not None and value > most:
            parts.append(f"{name} {show_seconds(float(value))}, asked {show_seconds(most)}")
    return "; ".join(parts) or "by the other time"


def _one_fewer(chosen: Recommendation) -> str:
    fewer = replace(chosen, replicas=chosen.replicas - 1)
    if fewer.meets and fewer.probability > chosen.probability - 0.005:
        return "do as well"
    if fewer.meets:
        return f"lower the chance of meeting the service level to {fewer.probability * 100:.0f} %"
    late = [
        f"raise {name.upper()} to {show_seconds(fewer.at_percentile(name).value)}"
        for name, most in (("ttft", chosen.need.ttft), ("tpot", chosen.need.tpot))
        if most is not None and fewer.at_percentile(name).value > most
    ]
    return " and ".join(late)


def tradeoffs(chosen: Recommendation, others: Sequence[Recommendation]) -> list[str]:
    """What one pays for this plan, beside the other plans."""
    found = []
    chance = chosen.probability
    if chosen.meets and chance < 0.85:
        found.append(
            f"About {round((1 - chance) * 10)} in 10 that it misses the service level: so wide is the estimate. Measure"
            " before buying."
        )
    if told := quality_words(chosen.offer):
        found.append(told)
    if chosen.replicas + chosen.spare == 1:
        found.append("One replica only: while it restarts, nobody is served.")
    elif not chosen.spare:
        found.append("No spare: when a replica fails, the others carry its requests and slow down.")
    costs = [o.usd_per_month.value for o in others if o.usd_per_month and o.meets and o.need == chosen.need]
    own = chosen.usd_per_month
    if own and costs and own.value > 1.005 * min(costs) and chosen.meets:
        found.append(f"{show_usd(own.value - min(costs))} a month more than the cheapest.")
    budget = chosen.need.usd_per_month
    if own and budget and own.value <= budget < own.high:
        found.append(f"The dearest offer seen would come to {show_usd(own.high)}, above the budget: compare offers.")
    if chosen.plan.setup and chosen._service.basis == "roofline":
        found.append(f"Its speed rests on the datasheet of {chosen.offer.card.name} alone.")
    return found
