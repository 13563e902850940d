"""What would change an advice: a looser floor, another way to pay, other times; and the rules of thumb, tried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from workbench.cost import KINDS
from workbench.formats import checkpoint_scheme
from workbench.planner.advice import Advice
from workbench.planner.families import words
from workbench.planner.lineup import Lineup, Table, lineup, table
from workbench.planner.needs import FLOORS, Need
from workbench.planner.plan import plan
from workbench.quantities import show_seconds, show_usd

#: Deployments that are asked again where only what is asked changes.
_AGAIN = 24
#: Cards that are tried with formats below the floor.
_CARDS = 8
#: Parameters up to which people call a model small, and from which large.
_SMALL, _LARGE = 10e9, 60e9
_KIND_WORDS = {
    "on_demand": "by the hour",
    "spot": "at spot prices, which may be taken away",
    "reserved": "reserved",
    "reserved_1y": "reserved for a year",
    "reserved_3y": "reserved for three years",
}
#: The format of a kind that another engine loads where it does not load vLLM's own.
_INSTEAD = {("tensorrt-llm", "fp8"): "fp8_block"}
_FOUR_BIT = {"awq", "nvfp4", "mxfp4"}


@dataclass(frozen=True)
class Change:
    """One thing asked for otherwise, and the cheapest that then meets it.

    Attributes
    ----------
    text : str
    fields : dict
        The fields of the need that change.
    usd_per_month : float or None
        None where nothing meets it.
    best : str
        The deployment in words.
    """

    text: str
    fields: dict[str, Any]
    usd_per_month: float | None
    best: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A rule of thumb, and whether it holds here.

    Attributes
    ----------
    rule : str
    holds : bool or None
        None where it cannot be told.
    text : str
        The figures it was tried on.
    """

    rule: str
    holds: bool | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def changes(advice: Advice) -> tuple[Change, ...]:
    """What other demands would cost, cheapest first of each kind.

    Examples
    --------
    >>> from workbench.planner.advice import advise
    >>> advice = advise("meta-llama/Llama-3.1-8B-Instruct", users=200, gpu="L40S")
    >>> [change.fields for change in changes(advice)][0]
    {'floor': 'small'}
    """
    need, asked = advice.need, advice.table
    if not asked.lineup.offers:
        return ()
    order = list(FLOORS)
    found: list[Change] = []
    if checkpoint_scheme(advice.model) is None or order.index(need.floor) < order.index("small"):
        looser = order[order.index(need.floor) + 1 :]
        found += [_changed(f"Accept {FLOORS[each]}", need, {"floor": each}, _looser(advice, each)) for each in looser]
    near = _nearby(asked)
    kinds = [kind for kind in KINDS if kind not in (need.price, "reserved")]
    found += [_changed(f"Pay {_KIND_WORDS[kind]}", need, {"price": kind}, near) for kind in kinds]
    if need.tpot is not None:
        slower = {"tpot": need.tpot * 1.5}
        found.append(_changed(f"{1 / slower['tpot']:.3g} tokens/s are enough", need, slower, near))
    if need.ttft is not None and need.tpot is None:
        found.append(_changed("Wait twice as long for the first token", need, {"ttft": need.ttft * 2}, near))
    if need.percentile != 50:
        found.append(_changed("Meet it on average only", need, {"percentile": 50.0}, near))
    if not need.spare:
        found.append(_changed("Keep a spare replica", need, {"spare": True}, near))
    if not need.whole_nodes:
        found.append(_changed("Rent whole machines", need, {"whole_nodes": True}, near))
    more = {"users": need.users * 2} if need.users is not None else {"requests_per_s": need.demand * 2}
    found.append(_changed("Twice the users" if need.users else "Twice the requests", need, more, near))
    return tuple(found)


def _changed(text: str, need: Need, fields: dict[str, Any], offers: Lineup) -> Change:
    asked = table(offers, replace(need, **fields))
    at = cheapest(asked)
    return Change(
        text, fields, None if at is None else float(asked.cost[at]), "" if at is None else full_words(asked, at)
    )


def cheapest(asked: Table, rows: Any = True) -> int | None:
    """The row of least cost that meets the service level with the cards there are; None without one."""
    good = asked.meets & np.isfinite(asked.cost) & rows
    if asked.need.gpus is not None:
        good &= asked.gpus <= asked.need.gpus
    if not good.any():
        return None
    return int(np.lexsort((-asked.probability.round(2), np.where(good, asked.cost, np.inf)))[0])


def full_words(asked: Table, at: int) -> str:
    """A row of a table in words, with its card."""
    card = asked.lineup.offers[asked.offer[at]].card.name
    return words(asked, at).replace("GPUs", f"× {card}", 1)


def _looser(advice: Advice, floor: str) -> Lineup:
    """The offers that pass a looser floor, on the cards that come cheapest near the service level."""
    asked, names = advice.table, [row[0] for row in advice.table.of("gpu")]
    near = np.flatnonzero(asked.ratio <= 3)
    ranked = dict.fromkeys(names[asked.offer[at]] for at in near[np.argsort(asked.cost[near], kind="stable")])
    cards = set(list(ranked)[:_CARDS]) or set(names)
    length = min(advice.need.max_model_len, advice.model.max_model_len)
    found = lineup(advice.model, length, floor, advice.need.gpu)
    return replace(found, offers=tuple(offer for offer in found.offers if offer.card.name in cards))


def _nearby(asked: Table) -> Lineup:
    """The offers that are cheapest where the service level is met or nearly so."""
    near = np.flatnonzero(asked.ratio <= 1.6)
    ranked = dict.fromkeys(
        asked.offer[near[np.argsort(asked.gpus[near] * asked.usd.value[near], kind="stable")]].tolist()
    )
    return replace(asked.lineup, offers=tuple(asked.lineup.offers[at] for at in list(ranked)[:_AGAIN]))


def rules(advice: Advice) -> tuple[Rule, ...]:
    """Rules that guides give, tried on this need.

    Examples
    --------
    >>> from workbench.planner.advice import advise
    >>> found = rules(advise("meta-llama/Llama-3.1-8B-Instruct", users=200, gpu="L40S"))
    >>> [rule.rule for rule in found][0]
    'Without NVLink, prefer pipeline to tensor parallelism'
    """
    if not advice.table.lineup.offers:
        return ()
    return tuple(rule for rule in (_pipeline(advice), *_formats(advice), *_engines(advice)) if rule)


def _pipeline(advice: Advice) -> Rule | None:
    asked = advice.table
    rows = asked.of("gpu", "tensor_parallel_size", "pipeline_parallel_size")
    plain = [offer.card.link_domain < min(2, offer.card.gpus_per_node) for offer in asked.lineup.offers]
    rule = "Without NVLink, prefer pipeline to tensor parallelism"
    found: list[tuple[float, str, dict[bool, int | None]]] = []
    for card in dict.fromkeys(row[0] for row, bare in zip(rows, plain, strict=True) if bare):
        best: dict[bool, int | None] = {}
        for piped in (False, True):
            fits = [r[0] == card and r[1] * r[2] > 1 and (r[2] > 1) == piped for r in rows]
            best[piped] = cheapest(asked, np.array(fits)[asked.offer])
        costs = [float(asked.cost[at]) for at in best.values() if at is not None]
        if costs:
            found.append((min(costs), card, best))
    if not found:
        return Rule(rule, None, "No card without NVLink meets the service level with more than one GPU a replica.")
    _, card, best = min(found, key=lambda each: each[0])
    told = {
        piped: f"{words(asked, at)} for {show_usd(asked.cost[at])} a month"
        for piped, at in best.items()
        if at is not None
    }
    if len(told) == 1:
        holds = True in told
        other = "Tensor parallelism alone" if holds else "A pipeline"
        return Rule(rule, holds, f"On {card}: {told[holds]}. {other} misses the service level there.")
    tensor, pipeline = best[False], best[True]
    assert tensor is not None
    assert pipeline is not None
    holds = bool(asked.cost[pipeline] <= asked.cost[tensor])
    why = "" if holds else " A stage waits for the one before, so a pipeline does not shorten a token's way."
    return Rule(rule, holds, f"On {card}: {told[True]}; tensor parallel alone: {told[False]}.{why}")


def _formats(advice: Advice) -> Iterator[Rule]:
    size = advice.model.parameters
    if checkpoint_scheme(advice.model) is not None or _SMALL < size < _LARGE:
        return
    asked = table(_looser(advice, "any"), replace(advice.need, floor="any"))
    rows = asked.of("quantization")
    best = cheapest(asked)
    small = size <= _SMALL
    rule = "Serve small models unquantised" if small else "Serve a 70B model in 4 bits"
    named = {None} if small else _FOUR_BIT
    kept = cheapest(asked, np.array([row[0] in named for row in rows])[asked.offer])
    if best is None or kept is None:
        yield Rule(rule, None if best is None else False, "Nothing so meets the service level.")
        return
    holds = bool(asked.cost[kept] <= asked.cost[best] * 1.001)
    mine, other = ("unquantised", "quantised") if small else ("in 4 bits", "in more")
    rest = cheapest(asked, np.array([row[0] not in named for row in rows])[asked.offer])
    told = f"Cheapest {mine}: {full_words(asked, kept)}, {show_usd(asked.cost[kept])} a month"
    if rest is not None:
        told += f"; {other}: {full_words(asked, rest)}, {show_usd(asked.cost[rest])}"
    if not holds and small:
        told += ". Fewer bytes a token make more users of the same card"
    elif holds and small:
        told += ". The card holds it anyway, so quality need not be given up"
    elif not holds:
        told += ". At this load tokens are computed rather than read, and 4-bit weights do not speed that up"
    yield Rule(rule, holds, f"{told}.")


def _engines(advice: Advice) -> Iterator[Rule]:
    if not advice.plans:
        return
    first = advice.plans[0]
    chosen = first.offer.deployment
    shared = {
        name: getattr(chosen, name)
        for name in (
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "quantization",
            "max_model_len",
            "kv_cache_dtype",
        )
    }
    told, lacking = {}, ""
    for engine, title in (("vllm", "vLLM"), ("sglang", "SGLang"), ("tensorrt-llm", "TensorRT-LLM")):
        scheme = _INSTEAD.get((engine, shared["quantization"]), shared["quantization"])
        fields = {**shared, "quantization": scheme}
        other = plan(advice.model, first.offer.card, workload=first.plan.workload, engine=engine, **fields)
        if (speed := other.performance()) is not None:
            told[title] = speed.tpot
        elif title == "TensorRT-LLM":
            lacking = other.reasons[0].rstrip(".") if other.reasons else "its speed is not known"
    rule = "vLLM for many users, TensorRT-LLM for the least latency, llama.cpp without a data centre's GPU"
    if lacking or "vLLM" not in told:
        yield Rule(rule, None, f"The first plan's deployment cannot be planned for TensorRT-LLM: {lacking}.")
        return
    times = ", ".join(f"{title} {show_seconds(tpot.value)}" for title, tpot in told.items())
    least, own = told["TensorRT-LLM"], told["vLLM"]
    faster = True if least.high < own.low else False if own.high < least.low else None
    verdict = "within the intervals, so a measurement must decide" if faster is None else "beyond the intervals"
    yield Rule(
        rule,
        faster,
        f"Mean TPOT of the first plan's replica at its load: {times}; they differ {verdict}. Plans here are vLLM's: its"
        " constants rest on the most measurements.",
    )
