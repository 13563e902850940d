"""Scheme by GPU: every combination evaluated once, and asked again whenever the workload changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.architecture.model import Model
from workbench.choices import Choices, explicit
from workbench.deployment import ServiceLevel, Workload
from workbench.hardware import GPU
from workbench.planner.evaluate import Part, evaluate
from workbench.planner.plan import as_model, usd_per_hour
from workbench.planner.reasons import reasons
from workbench.planner.search import pareto
from workbench.planner.speeds import Speed, speeds

#: Numbers of GPUs that a cell of the matrix may take, by default.
COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Option:
    """One deployment of the grid under a workload.

    Attributes
    ----------
    gpu, quantization, tensor_parallel_size : str, str or None, int
        What is chosen.
    gpus : int
        Cards that it takes, replicas and pipeline stages included.
    verdict, reason : str
        "starts", or what goes wrong and why in a sentence.
    speed : Speed or None
        None where it does not start.
    usd_per_hour : float or None
        List price of all its cards.
    kv_cache_tokens : float
        Tokens that the cache of one replica holds.
    pareto : bool
        No other option is both cheaper per token and faster per token; without prices, GPUs stand for money.
    """

    gpu: str
    quantization: str | None
    tensor_parallel_size: int
    gpus: int
    verdict: str
    reason: str
    speed: Speed | None
    usd_per_hour: float | None
    kv_cache_tokens: float
    pareto: bool = False

    @property
    def fits(self) -> bool:
        """Whether the engine starts."""
        return self.verdict == "starts"

    @property
    def meets(self) -> bool:
        """Whether it starts, and is what the service level asks."""
        return self.speed is not None and self.speed.meets

    @property
    def usd_per_million_tokens(self) -> float:
        """Price of a million output tokens; infinite where it is not known."""
        cost = self.speed.usd_per_million_tokens if self.speed else None
        return cost.value if cost else math.inf

    @property
    def output_tokens_per_s_per_gpu(self) -> float:
        """Its output rate over its cards; 0 where it does not start."""
        return self.speed.output_tokens_per_s.value / self.gpus if self.speed else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"speed": self.speed.to_dict() if self.speed else None, "meets": self.meets}


class Grid:
    """A model's schemes, GPUs and numbers of GPUs, each combination's memory evaluated once.

    Parameters
    ----------
    model
        As for :func:`workbench.planner.plan`.
    gpu : sequence of str or GPU
        The columns of the matrix.
    quantization : sequence of str or None
        Its rows.
    tensor_parallel_size : sequence of int
        Numbers of GPUs to try for each cell.
    **deployment
        Other fields of a Deployment, one value each.

    Raises
    ------
    UnknownName, UnsupportedModel, InvalidInput
        For names, models and values that cannot be planned.

    Examples
    --------
    >>> grid = Grid("meta-llama/Llama-3.1-70B-Instruct", ["L40S", "H100 SXM"], [None, "awq"], max_model_len=8192)
    >>> cells = matrix(grid.options(Workload()))
    >>> [(cell.gpu, cell.quantization, cell.gpus) for cell in cells.values()]
    [('L40S', None, 4), ('L40S', 'awq', 2), ('H100 SXM5', None, 4), ('H100 SXM5', 'awq', 1)]
    """

    def __init__(
        self,
        model: Model | str | Path,
        gpu: Sequence[str | GPU],
        quantization: Sequence[str | None],
        tensor_parallel_size: Sequence[int] = COUNTS,
        **deployment: Any,
    ) -> None:
        fields = {"gpu": list(gpu), "quantization": list(quantization)}
        fields |= {"tensor_parallel_size": list(tensor_parallel_size)}
        self.model = as_model(model)
        self._evaluation = evaluate(Choices(self.model, explicit({**fields, **deployment})))

    def options(self, workload: Workload, slo: ServiceLevel | None = None) -> tuple[Option, ...]:
        """Every combination under a workload."""
        evaluation, slo = self._evaluation, slo or ServiceLevel()
        found: dict[int, Option] = {}
        for part in evaluation.parts:
            starts = evaluation.verdict[part.rows] == "starts"
            made = speeds(part, workload, slo) if starts.any() else []
            for at, row in enumerate(part.rows.tolist()):
                found[row] = self._option(row, part, at, made[at] if starts[at] else None)
        choices = evaluation.choices
        for row in sorted(set(range(choices.size)) - found.keys()):
            found[row] = self._option(row, None, 0, None)
        return _marked([found[row] for row in range(choices.size)])

    def _option(self, row: int, part: Part | None, at: int, speed: Speed | None) -> Option:
        evaluation = self._evaluation
        deployment = evaluation.choices.deployment(row)
        card = evaluation.choices.card(deployment.gpu)
        price = usd_per_hour(card, deployment.gpus)
        verdict = str(evaluation.verdict[row])
        return Option(
            gpu=card.name,
            quantization=deployment.quantization,
            tensor_parallel_size=deployment.tensor_parallel_size,
            gpus=deployment.gpus,
            verdict=verdict,
            reason="" if verdict == "starts" else reasons(evaluation, row, part, at)[0],
            speed=speed,
            usd_per_hour=price.value if price else None,
            kv_cache_tokens=float(part.ledger.kv_cache_tokens.value[at]) if part else 0.0,
        )


def matrix(options: Iterable[Option]) -> dict[tuple[str | None, str], Option]:
    """The cells of scheme × GPU: of each, the option to take.

    That is the cheapest per output token of those that meet the service level, else of those that start, else the one
    of most GPUs, which says why not even that many do. Without prices, the fewest GPUs are the cheapest.
    """
    cells: dict[tuple[str | None, str], Option] = {}
    for option in options:
        key = option.quantization, option.gpu
        if key not in cells or _rank(option) < _rank(cells[key]):
            cells[key] = option
    return cells


def _rank(option: Option) -> tuple[bool, bool, float, int]:
    if not option.fits:
        return True, True, math.inf, -option.gpus
    return False, not option.meets, option.usd_per_million_tokens, option.gpus


def cost(option: Option, priced: bool) -> float:
    """What an option's output costs: USD per million tokens, or GPU seconds per thousand where no card has a price.

    Infinite where it does not start, or its own price is not known.
    """
    if priced:
        return option.usd_per_million_tokens
    return 1000 * option.gpus / option.speed.output_tokens_per_s.value if option.speed else math.inf


def priced(options: Iterable[Option]) -> bool:
    """Whether any of them has a price."""
    return any(option.usd_per_hour is not None for option in options)


def _marked(options: list[Option]) -> tuple[Option, ...]:
    """The same options, those on the front of cost and time per output token marked."""
    money = priced(options)
    costs = [(cost(o, money), o.speed.tpot.value if o.speed else math.inf) for o in options]
    front = pareto(np.array(costs).reshape(-1, 2))
    return tuple(replace(option, pareto=bool(best)) for option, best in zip(options, front, strict=True))
