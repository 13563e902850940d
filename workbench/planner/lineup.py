"""Every deployment of a model worth offering, evaluated once, and asked at every number of replicas at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.architecture.model import Model
from workbench.choices import Choices, Floats, Numbers
from workbench.cost import HOURS_PER_MONTH, price
from workbench.deployment import Deployment
from workbench.errors import InvalidInput
from workbench.formats import checkpoint_scheme
from workbench.hardware import GPU, gpu, names
from workbench.hardware.price_table import offers
from workbench.memory.ledger import Interval
from workbench.performance.service import Service, service
from workbench.planner.capacity import at_percentile, meets, met
from workbench.planner.evaluate import Evaluation, Part, evaluate
from workbench.planner.needs import FLOORS, Need, strictest
from workbench.quantities import Estimate

#: Replicas that are tried; beyond 16 in steps of about an eighth.
REPLICAS = (*range(1, 17), 18, 20, 22, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512)
#: Providers who must offer a card before it is proposed unasked.
_PROVIDERS = 2
#: Ways to divide a model over GPUs, (tensor, pipeline): on any card, on cards that no switch joins, over two machines.
_TENSOR = ((1, 1), (2, 1), (4, 1), (8, 1))
_PIPELINE = ((1, 2), (1, 4), (2, 2), (2, 4), (4, 2))
_ACROSS = ((8, 2), (8, 4))

Mask = npt.NDArray[np.bool_]


@lru_cache
def cards() -> tuple[str, ...]:
    """Cards to propose where nobody names one: rented out by two providers or more, with BF16, no GeForce.

    GeForce cards are left out because their driver's licence excludes data centres; MIG slices because they are parts.

    >>> "H100 SXM5" in cards(), "RTX 4090" in cards(), "T4" in cards()
    (True, False, False)
    """
    return tuple(
        name
        for name in names()
        if len({offer.provider for offer in offers().get(name, ()) if offer.kind == "on_demand"}) >= _PROVIDERS
        and "bf16" in gpu(name).supports
        and not re.fullmatch(r"RTX \d{4}", name)
    )


def formats(model: Model, card: GPU, level: str) -> list[tuple[str | None, str]]:
    """Formats of weights and of the KV cache that belong together and pass a floor, but no stricter one.

    A checkpoint that is quantised is taken as it is. A cache of lower precision goes with weights of lower precision,
    which save more and are measured to cost less.

    >>> formats(Model.from_config("meta-llama/Llama-3.1-8B-Instruct"), gpu("B200 SXM (HGX)"), "unmeasurable")
    [('fp8', 'auto')]
    >>> formats(Model.from_config("openai/gpt-oss-20b"), gpu("L40S"), "small")
    [(None, 'fp8')]
    """
    quantised = checkpoint_scheme(model) is not None
    weights = [None] if quantised else [None, "fp8", "awq", *(["nvfp4"] if "fp4" in card.supports else [])]
    return [
        (scheme, kv)
        for scheme in weights
        for kv in ("auto", "fp8")
        if strictest(("weights", scheme), ("kv", kv)) == level and (kv == "auto" or scheme or quantised)
    ]


@dataclass(frozen=True, eq=False)
class Offer:
    """One deployment that starts: a row of a lineup.

    Attributes
    ----------
    evaluation, part, at
        Where its memory was computed.
    """

    evaluation: Evaluation
    part: Part
    at: int

    @cached_property
    def deployment(self) -> Deployment:
        """What is chosen."""
        return self.evaluation.choices.deployment(int(self.part.rows[self.at]))

    @property
    def card(self) -> GPU:
        """The card."""
        return self.part.setup.card

    @lru_cache(maxsize=8192)  # noqa: B019  (lives as long as the lineup, which is cached too)
    def speeds(self, need: Need) -> tuple[Floats, Floats, Floats, Floats, Mask]:
        """Chance, TTFT, TPOT, time of an answer, and whether all is met, at every number of :func:`counts`."""
        service = self.service(need, np.array([need.load(int(count)) for count in counts(need)]))
        ttft, tpot = (at_percentile(service, name, need.percentile) for name in ("ttft", "tpot"))
        answer = service.ttft.value + (need.workload.osl - 1) * service.tpot.value
        return met(service, need.slo), ttft, tpot, answer, meets(service, need.slo)

    def service(self, need: Need, loads: Floats) -> Service:
        """What requests see at each of some loads."""
        count = len(loads)
        same = {each.name: getattr(self.part.numbers, each.name) for each in fields(Numbers)}
        numbers = Numbers(**{name: np.repeat(column[[self.at]], count) for name, column in same.items()})
        tokens = np.repeat(self.part.ledger.kv_cache_tokens.value[[self.at]], count)
        return service(self.part.setup, numbers, tokens, need.of_one(1), load=loads)


@dataclass(frozen=True, eq=False)
class Lineup:
    """All deployments tried for a model, and those of them that start.

    Attributes
    ----------
    offers : tuple of Offer
    tried : int
    refused : dict
        Card and number of GPUs -> why, for cards on which nothing starts.
    """

    model: Model
    offers: tuple[Offer, ...]
    tried: int
    refused: dict[str, str]


@lru_cache(maxsize=16)
def lineup(model: Model, max_model_len: int, floor: str = "unmeasurable", only: str | None = None) -> Lineup:
    """Evaluate the memory of every deployment of a model that is worth offering.

    On cards that no switch joins, pipelines are tried beside tensor parallelism; two and four machines only where one
    is too small. A tensor-parallel group stays in one machine.

    Parameters
    ----------
    model : Model
    max_model_len : int
    floor : str
        The formats to try are those that pass it.
    only : str, optional
        One card, whatever :func:`cards` says.
    """
    order = list(FLOORS)
    levels = [_level(model, max_model_len, level, only) for level in order[: order.index(floor) + 1]]
    found = tuple(offer for level in levels for offer in level.offers)
    starting = {offer.card.name for offer in found}
    refused: dict[str, str] = {}
    for level in levels:  # the last one that has any format of a card is of its smallest weights
        refused |= {name: why for name, why in level.refused.items() if name not in starting}
    return Lineup(model, found, sum(level.tried for level in levels), refused)


@lru_cache(maxsize=64)
def _level(model: Model, max_model_len: int, level: str, only: str | None) -> Lineup:
    """The part of a lineup whose formats no stricter floor lets pass."""
    found: list[Offer] = []
    refused: dict[str, str] = {}
    tried = 0
    for name in (gpu(only).name,) if only else cards():
        card = gpu(name)
        ways = [way for way in _TENSOR if way[0] <= card.gpus_per_node]
        if card.link_domain < card.gpus_per_node:
            ways += [way for way in _PIPELINE if way[0] * way[1] <= card.gpus_per_node]
        starting: list[Offer] = []
        for tries in (ways, [way for way in _ACROSS if card.gpus_per_node == way[0]]):
            if starting:
                break
            evaluations = _evaluations(model, card, tries, max_model_len, level)
            tried += sum(evaluation.choices.size for evaluation in evaluations)
            for evaluation in evaluations:
                starting += _starting(evaluation)
                if not starting:
                    refused[name] = _refusal(evaluation)
        found += starting
        if starting:
            refused.pop(name, None)
    return Lineup(model, tuple(found), tried, refused)


def _evaluations(model: Model, card: GPU, ways: Sequence[tuple[int, int]], length: int, level: str) -> list[Evaluation]:
    """One evaluation for each number of pipeline stages and format of the cache, the largest group last."""
    made = []
    tried = formats(model, card, level)
    for stages in sorted({way[1] for way in ways}):
        for kv in dict.fromkeys(kv for _, kv in tried):
            grid: dict[str, Any] = {
                "gpu": card,
                "quantization": [scheme for scheme, other in tried if other == kv],
                "tensor_parallel_size": [way[0] for way in ways if way[1] == stages],
                "pipeline_parallel_size": stages,
                "kv_cache_dtype": kv,
                "max_model_len": length,
            }
            made.append(evaluate(Choices(model, grid)))
    return made


def _starting(evaluation: Evaluation) -> list[Offer]:
    return [
        Offer(evaluation, part, at)
        for part in evaluation.parts
        for at, row in enumerate(part.rows.tolist())
        if evaluation.verdict[row] == "starts" and not evaluation.tight[row]
    ]


def _refusal(evaluation: Evaluation) -> str:
    """Why the last, largest deployment of a grid does not start."""
    from workbench.planner.reasons import reasons

    row = evaluation.choices.size - 1
    for part in evaluation.parts:
        if row in part.rows:
            if evaluation.verdict[row] == "starts":
                return "it starts only at the optimistic end of the estimate"
            return reasons(evaluation, row, part, int(np.flatnonzero(part.rows == row)[0]))[0]
    return evaluation.refusals.get(row, "it cannot be planned")


@dataclass(frozen=True)
class Table:
    """Every deployment at every number of replicas under a need, as columns; shape (rows,).

    Attributes
    ----------
    offer, replicas : ndarray of int
        Which offer, and how many of it besides a spare.
    gpus, with_spare : ndarray of int
        Cards paid for, the rest of whole machines included; and with one replica more.
    usd : Interval
        Of a card, a month; NaN where no price of the kind is known.
    meets : ndarray of bool
        Within the service level at the expected values.
    probability : ndarray
        That the service level is met.
    ratio : ndarray
        How far the worse of the two times is above what is asked; at most 1 where it is met.
    ttft, tpot, answer : ndarray
        At the percentile asked; mean time of a whole answer [s].
    """

    lineup: Lineup
    need: Need
    offer: npt.NDArray[np.int64]
    replicas: npt.NDArray[np.int64]
    gpus: npt.NDArray[np.int64]
    with_spare: npt.NDArray[np.int64]
    usd: Interval
    meets: Mask
    probability: Floats
    ratio: Floats
    ttft: Floats
    tpot: Floats
    answer: Floats

    @property
    def cost(self) -> Floats:
        """USD a month; infinite where no price of the kind is known."""
        return np.nan_to_num(self.gpus * self.usd.value, nan=np.inf)

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        """Fields of the deployment of every offer; ``gpu`` is the card's name."""
        return [tuple(getattr(offer.deployment, name) for name in names) for offer in self.lineup.offers]


def counts(need: Need) -> npt.NDArray[np.int64]:
    """Numbers of replicas to try: one a request in flight is the most that helps.

    >>> counts(Need(users=30)).tolist()
    [1, 2, 3]
    """
    most = min(need.concurrency or REPLICAS[-1], REPLICAS[-1])
    return np.array([*(count for count in REPLICAS if count < most), most])


def table(found: Lineup, need: Need) -> Table:
    """Ask every deployment of a lineup at every number of replicas.

    Parameters
    ----------
    found : Lineup
    need : Need

    Examples
    --------
    >>> model = Model.from_config("meta-llama/Llama-3.1-8B-Instruct")
    >>> asked = table(lineup(model, 8192, only="L40S"), Need(users=100, ttft=None))
    >>> bool(asked.meets.any()), int(asked.gpus.min())
    (True, 1)
    """
    replicas = counts(need)
    shape = (len(found.offers), len(replicas))
    bare = _only_speed(need)
    columns = {name: np.zeros(shape) for name in ("probability", "ttft", "tpot", "answer")}
    good = np.zeros(shape, dtype=bool)
    gpus, spared = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    prices = np.full((3, *shape), np.nan)
    for i, offer in enumerate(found.offers):
        *speeds, good[i] = offer.speeds(bare)
        for column, speed in zip(columns.values(), speeds, strict=True):
            column[i] = speed
        gpus[i] = paid(offer, replicas + need.spare, need.whole_nodes)
        spared[i] = paid(offer, replicas + 1, need.whole_nodes)
        if (usd := usd_per_month(offer.card, need.price)) is not None:
            prices[:, i] = np.array([usd.value, usd.low, usd.high])[:, None]
    ratios = [columns[name] / most for name, most in (("ttft", need.ttft), ("tpot", need.tpot)) if most is not None]
    columns["ratio"] = np.maximum.reduce([*ratios, np.zeros(shape)])
    return Table(
        lineup=found,
        need=need,
        offer=np.repeat(np.arange(shape[0]), shape[1]),
        replicas=np.tile(replicas, shape[0]),
        gpus=gpus.reshape(-1),
        with_spare=spared.reshape(-1),
        usd=Interval(*prices.reshape(3, -1)),
        meets=good.reshape(-1),
        **{name: column.reshape(-1) for name, column in columns.items()},
    )


def _only_speed(need: Need) -> Need:
    """The same need where only what speed depends on is kept: money is reckoned again without it."""
    return replace(need, usd_per_month=None, gpu=None, gpus=None, spare=False, whole_nodes=False, price="on_demand")


def paid(offer: Offer, replicas: Any, whole_nodes: bool) -> Any:
    """Cards that are paid for where replicas share machines but none spans more than it must.

    Parameters
    ----------
    replicas : int or ndarray
    whole_nodes : bool
        Whether the rest of the last machine is paid too.
    """
    each, node = offer.deployment.gpus, offer.card.gpus_per_node
    if not whole_nodes:
        return replicas * each
    if each > node:
        return replicas * -(-each // node) * node
    return -(-replicas // (node // each)) * node


def usd_per_month(card: GPU, kind: str) -> Estimate | None:
    """What a card costs a month, never turned off [USD]; None where nobody was seen to offer it so."""
    try:
        return price(card, kind).scaled(HOURS_PER_MONTH)
    except InvalidInput:
        return None
