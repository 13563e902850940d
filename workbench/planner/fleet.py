"""Several models with their loads on one fleet: how many replicas of each, and in which node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.architecture.model import Model
from workbench.deployment import ServiceLevel, Workload, check_fields
from workbench.errors import InvalidInput
from workbench.formats import checkpoint_scheme
from workbench.hardware import GPU, gpu
from workbench.planner.nodes import pack, split
from workbench.planner.placement import FleetNode, Placed, Placement
from workbench.planner.plan import as_model
from workbench.planner.replicas import Option, options

#: As many loads as the search is meant for.
MOST_LOADS = 12
#: Precisions offered to a model that does not fit, the better first.
_SMALLER = ("fp8", "awq")


@dataclass(frozen=True)
class Load:
    """A model and what arrives for it.

    Parameters
    ----------
    model
        As for :func:`~workbench.planner.plan`.
    workload : Workload
        The whole load: with ``request_rate`` that many requests a second, otherwise ``concurrency`` in flight at a
        time, shared evenly by the replicas.
    slo : ServiceLevel, optional
        Bounds on times hold at every replica; the one on throughput is of all replicas together.
    deployment : mapping
        Fields of a :class:`~workbench.Deployment`, each a value or a list to choose from. ``tensor_parallel_size`` is
        1, 2, 4 ... up to a node where it is not given, ``gpu`` any card of the fleet.
    name : str
        What it is called in the answer; the model's name by default.
    spare : int
        Replicas besides those that the load takes; 1 is N + 1.
    """

    model: Model | str | Path | Mapping[str, Any]
    workload: Workload = field(default_factory=Workload)
    slo: ServiceLevel | None = None
    deployment: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    spare: int = 0

    def __post_init__(self) -> None:
        check_fields(self.deployment)
        if isinstance(self.spare, bool) or not isinstance(self.spare, int) or self.spare < 0:
            raise InvalidInput(f"spare is {self.spare!r}; it must be a whole number of at least 0")

    @cached_property
    def found(self) -> Model:
        """The model, read."""
        return as_model(self.model)

    @property
    def title(self) -> str:
        """Its name, or the model's."""
        return self.name or self.found.id.rsplit("/", 1)[-1]


Fleet = Mapping[str, int | Sequence[int]]
#: Node sizes of every card of a fleet.
Pools = dict[str, tuple[int, ...]]


def place(loads: Sequence[Load], fleet: Fleet, gpus_per_node: int | None = None) -> Placement:
    """Place several models on one fleet, with as few GPUs as their loads allow.

    For every load and deployment the fewest replicas are found that serve it within its service level; of these one
    is chosen for each load, by branch and bound, so that all fit the nodes and the GPUs are fewest (then the price).
    A replica lies in one node; a pipeline that no node holds lies in several, but never a tensor-parallel group.

    Parameters
    ----------
    loads : sequence of Load
        At most 12.
    fleet : mapping
        Card -> how many, or the GPUs of each node: ``{"L40S": 12}``, ``{"L40S": [4, 4, 4]}``.
    gpus_per_node : int, optional
        GPUs of a node where the fleet says only how many; the card's usual box by default.

    Returns
    -------
    Placement

    Raises
    ------
    InvalidInput
        For a fleet without GPUs, a card named twice, or fields and models that cannot be planned.

    Examples
    --------
    >>> chat = Load("meta-llama/Llama-3.1-8B-Instruct", Workload(1000, 200, 32), deployment={"max_model_len": 8192})
    >>> code = Load("Qwen/Qwen2.5-32B-Instruct", Workload(2000, 300, 16), deployment={"max_model_len": 8192})
    >>> found = place([chat, code], {"L40S": 12}, gpus_per_node=4)
    >>> found.fits, [(part.name, part.replicas, part.gpus) for part in found.placed]
    (True, [('Llama-3.1-8B-Instruct', 1, 1), ('Qwen2.5-32B-Instruct', 1, 2)])
    """
    cards, pools = _read(fleet, gpus_per_node)
    if not loads or len(loads) > MOST_LOADS:
        raise InvalidInput(f"place takes 1 to {MOST_LOADS} loads, not {len(loads)}")
    titles = [load.title for load in loads]
    if len(set(titles)) < len(titles):
        raise InvalidInput("two loads have one name; give each a name of its own")
    tables = [_options(load, cards, pools) for load in loads]
    return _placement(loads, tables, cards, pools, fix=True)


def _read(fleet: Fleet, gpus_per_node: int | None) -> tuple[dict[str, GPU], Pools]:
    cards: dict[str, GPU] = {}
    pools: Pools = {}
    for name, value in fleet.items():
        card = gpu(name)
        if card.name in cards:
            raise InvalidInput(f"the fleet names {card.name} twice")
        sizes = split(value, gpus_per_node or card.gpus_per_node) if isinstance(value, int) else tuple(value)
        if not sizes or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
            raise InvalidInput(f"the fleet has {value!r} {card.name}; give a number of GPUs, or the GPUs of each node")
        cards[card.name], pools[card.name] = card, sizes
    if not cards:
        raise InvalidInput("the fleet has no GPUs; give a card and how many, like {'L40S': 12}")
    return cards, pools


def _options(load: Load, cards: Mapping[str, GPU], pools: Pools, **change: Any) -> tuple[list[Option], str]:
    """What could serve a load, and why nothing can."""
    asked = load.deployment.get("gpu", list(cards))
    wanted = {gpu(name).name for name in ([asked] if isinstance(asked, (str, GPU)) else asked)}
    fields = {name: value for name, value in load.deployment.items() if name != "gpu"} | change
    here = [card for name, card in cards.items() if name in wanted]
    if not here:
        return [], f"{load.title} asks for {', '.join(sorted(wanted))}, which the fleet does not have"
    sizes = {card.name: pools[card.name] for card in here}
    found, reason = options(load.found, load.workload, load.slo, here, sizes, fields, load.spare)
    return found, f"{load.title}: {reason}" if reason else ""


def _placement(
    loads: Sequence[Load],
    tables: Sequence[tuple[list[Option], str]],
    cards: Mapping[str, GPU],
    pools: Pools,
    fix: bool,
) -> Placement:
    nodes = [FleetNode(name, size) for name, sizes in pools.items() for size in sizes]
    if all(found for found, _ in tables) and (chosen := _choose([found for found, _ in tables], pools)) is not None:
        return _placed(loads, chosen, cards, pools, nodes)
    short, reasons = _why_not(loads, tables, pools)
    fixes = _fixes(loads, tables, cards, pools) if fix else ()
    return Placement(False, (), tuple(nodes), short, reasons, fixes)


def _choose(tables: Sequence[Sequence[Option]], pools: Pools) -> list[Option] | None:
    """An option for each load with the fewest GPUs, then the lowest price, that fits the nodes."""
    least = [min(option.cost for option in table) for table in tables]
    order = sorted(range(len(tables)), key=lambda at: -least[at][0])
    best: list[Option] | None = None
    bound = (float("inf"), float("inf"))
    chosen: dict[int, Option] = {}

    def fits(name: str) -> bool:
        blocks = [size for option in chosen.values() if option.card.name == name for size in option.blocks]
        return pack(blocks, pools[name]) is not None

    def descend(depth: int, gpus: float, usd: float) -> None:
        nonlocal best, bound
        rest = [least[at] for at in order[depth:]]
        if (gpus + sum(part[0] for part in rest), usd + sum(part[1] for part in rest)) >= bound:
            return
        if depth == len(order):
            best, bound = [chosen[at] for at in range(len(tables))], (gpus, usd)
            return
        for option in sorted(tables[order[depth]], key=lambda option: option.cost):
            chosen[order[depth]] = option
            if fits(option.card.name):
                descend(depth + 1, gpus + option.cost[0], usd + option.cost[1])
            del chosen[order[depth]]

    descend(0, 0.0, 0.0)
    return best


def _placed(
    loads: Sequence[Load],
    chosen: Sequence[Option],
    cards: Mapping[str, GPU],
    pools: Pools,
    nodes: list[FleetNode],
) -> Placement:
    first, at = {}, 0
    for name, sizes in pools.items():
        first[name], at = at, at + len(sizes)
    where: dict[int, list[int]] = {}
    for name, sizes in pools.items():
        blocks = [
            (who, size) for who, option in enumerate(chosen) if option.card.name == name for size in option.blocks
        ]
        for (who, size), node in zip(blocks, pack([size for _, size in blocks], sizes) or (), strict=True):
            where.setdefault(who, []).append(first[name] + node)
            before = nodes[first[name] + node]
            nodes[first[name] + node] = replace(before, taken=(*before.taken, (loads[who].title, size)))
    parts = tuple(_part(load, option, where[who]) for who, (load, option) in enumerate(zip(loads, chosen, strict=True)))
    total, used = sum(sum(sizes) for sizes in pools.values()), sum(part.gpus for part in parts)
    words = f"{used} of {total} GPUs serve {len(parts)} load{'s' * (len(parts) > 1)}; {total - used} are free"
    return Placement(True, parts, tuple(nodes), 0, (words,))


def _part(load: Load, option: Option, where: Sequence[int]) -> Placed:
    each = len(option.blocks) // option.replicas
    usd = option.card.usd_per_hour
    return Placed(
        name=load.title,
        model=load.found.id,
        deployment=option.deployment,
        replicas=option.replicas,
        spare=load.spare,
        gpus=option.gpus,
        concurrency=option.concurrency,
        ttft=option.ttft,
        tpot=option.tpot,
        output_tokens_per_s=option.output_tokens_per_s.scaled(option.replicas - load.spare),
        usd_per_hour=usd.scaled(option.gpus) if usd else None,
        nodes=tuple(tuple(where[at : at + each]) for at in range(0, len(where), each)),
    )


def _why_not(
    loads: Sequence[Load], tables: Sequence[tuple[list[Option], str]], pools: Pools
) -> tuple[int, tuple[str, ...]]:
    """GPUs that are missing, and the reason in words."""
    if impossible := [reason for found, reason in tables if not found]:
        return 0, tuple(impossible)
    total = sum(sum(sizes) for sizes in pools.values())
    fewest = [min(found, key=lambda option: option.cost) for found, _ in tables]
    need = sum(option.gpus for option in fewest)
    parts = ", ".join(
        f"{load.title} {option.gpus} ({option.replicas} × {option.gpus // option.replicas})"
        for load, option in zip(loads, fewest, strict=True)
    )
    if need > total:
        words = f"{need - total} GPU{'s' * (need - total > 1)} short: the loads take {need} of {total}: {parts}"
        return need - total, (words,)
    more = _nodes_missing([found for found, _ in tables], pools)
    sizes = "; ".join(f"{name} in nodes of {_sizes(nodes)}" for name, nodes in pools.items())
    words = f"{need} GPUs would do, but not as they lie, {sizes}: {parts}; {more} more GPUs in whole nodes would"
    return more, (words,)


def _sizes(nodes: Sequence[int]) -> str:
    return " and ".join(str(size) for size in dict.fromkeys(nodes))


def _nodes_missing(tables: Sequence[Sequence[Option]], pools: Pools) -> int:
    """GPUs of the fewest whole nodes, of the largest size, that make it fit."""
    grown = dict(pools)
    added = 0
    for _ in range(64):
        name = max(grown, key=lambda card: max(grown[card]))
        size = max(grown[name])
        grown[name], added = (*grown[name], size), added + size
        if _choose(tables, grown) is not None:
            return added
    return added


def _fixes(
    loads: Sequence[Load],
    tables: Sequence[tuple[list[Option], str]],
    cards: Mapping[str, GPU],
    pools: Pools,
) -> tuple[dict[str, Any], ...]:
    """One model quantised so that all fit, the better precision first; all of them where one is not enough."""
    from workbench.planner.costs import quality

    able = [
        at
        for at, load in enumerate(loads)
        if load.deployment.get("quantization") in (None, [None]) and checkpoint_scheme(load.found) is None
    ]
    groups = [[at] for at in able] + ([able] if len(able) > 1 else [])
    found: list[dict[str, Any]] = []
    for scheme in _SMALLER:
        smaller = {at: _options(loads[at], cards, pools, quantization=scheme) for at in able}
        for group in groups:
            if len(group) > 1 and found:
                continue
            trial = [smaller[at] if at in group else table for at, table in enumerate(tables)]
            then = _placement(loads, trial, cards, pools, fix=False)
            if then.fits:
                names = [loads[at].title for at in group]
                change = {"quantization": scheme}
                text = f"quantise {' and '.join(names)} with {scheme}: {then.used} of {then.gpus} GPUs"
                cost = quality(change) or ""
                found.append({"load": names, "change": change, "text": text, "gpus": then.used, "cost": cost})
    first = {tuple(fix["load"]): fix for fix in reversed(found)}  # one precision is enough for each
    return tuple(fix for fix in found if fix is first[tuple(fix["load"])])
