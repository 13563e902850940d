"""Scheme by GPU: every combination evaluated once, and asked again whenever the workload changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.architecture.model import Model
from workbench.choices import Choices, Floats, explicit
from workbench.deployment import ServiceLevel, Workload
from workbench.hardware import GPU
from workbench.memory.ledger import Interval
from workbench.planner.curve import meets
from workbench.planner.evaluate import Part, evaluate
from workbench.planner.plan import Performance, as_model, usd_per_hour, usd_per_million
from workbench.planner.reasons import reasons
from workbench.planner.search import pareto
from workbench.quantities import Estimate

#: Numbers of GPUs that a cell of the matrix may take, by default.
COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Option:
    """One deployment of the grid under a workload.

    Attributes
    ----------
    gpu, quantization, gpus : str, str or None, int
        What is chosen.
    verdict, reason : str
        "starts", or what goes wrong and why in a sentence.
    performance : Performance or None
        None where it does not start.
    usd_per_hour : float or None
        List price of all its cards.
    kv_cache_tokens : float
        Tokens that the cache of one replica holds.
    meets : bool
        Starts, and is what the service level asks.
    pareto : bool
        No other option is both cheaper per token and faster per token; without prices, GPUs stand for money.
    """

    gpu: str
    quantization: str | None
    gpus: int
    verdict: str
    reason: str
    performance: Performance | None
    usd_per_hour: float | None
    kv_cache_tokens: float
    meets: bool
    pareto: bool = False

    @property
    def fits(self) -> bool:
        """Whether the engine starts."""
        return self.verdict == "starts"

    @property
    def usd_per_million_tokens(self) -> float:
        """Price of a million output tokens; infinite where it is not known."""
        cost = self.performance.usd_per_million_tokens if self.performance else None
        return cost.value if cost else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"performance": self.performance.to_dict() if self.performance else None}


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
        for part, service in evaluation.services(workload):
            for at, row in enumerate(part.rows.tolist()):
                speed = None
                if evaluation.verdict[row] == "starts":
                    rate = _at(service.output_tokens_per_s, at, service.basis)
                    price = usd_per_hour(part.setup.card, part.setup.deployment.gpus)
                    ttft, tpot = (_at(each, at, service.basis) for each in (service.ttft, service.tpot))
                    speed = Performance(ttft, tpot, rate, usd_per_million(price, rate))
                found[row] = self._option(row, part, at, speed, slo)
        choices = evaluation.choices
        for row in sorted(set(range(choices.size)) - found.keys()):
            found[row] = self._option(row, None, 0, None, slo)
        return _marked([found[row] for row in range(choices.size)])

    def _option(self, row: int, part: Part | None, at: int, speed: Performance | None, slo: ServiceLevel) -> Option:
        evaluation = self._evaluation
        deployment = evaluation.choices.deployment(row)
        card = evaluation.choices.card(deployment.gpu)
        price = usd_per_hour(card, deployment.gpus)
        verdict = str(evaluation.verdict[row])
        return Option(
            gpu=card.name,
            quantization=deployment.quantization,
            gpus=deployment.tensor_parallel_size,
            verdict=verdict,
            reason="" if verdict == "starts" else reasons(evaluation, row, part, at)[0],
            performance=speed,
            usd_per_hour=price.value if price else None,
            kv_cache_tokens=float(part.ledger.kv_cache_tokens.value[at]) if part else 0.0,
            meets=speed is not None and meets(speed, slo),
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


def _marked(options: list[Option]) -> tuple[Option, ...]:
    """The same options, those on the front of cost and time per output token marked."""
    costs = np.array([_costs(option) for option in options]).reshape(-1, 2)
    if np.isinf(costs[:, 0]).all():
        costs[:, 0] = [
            option.gpus / option.performance.output_tokens_per_s.value if option.performance else math.inf
            for option in options
        ]
    front = pareto(costs)
    return tuple(replace(option, pareto=bool(best)) for option, best in zip(options, front, strict=True))


def _costs(option: Option) -> tuple[float, float]:
    return option.usd_per_million_tokens, option.performance.tpot.value if option.performance else math.inf


def _at(interval: Interval, at: int, basis: str) -> Estimate:
    value: Floats
    low, value, high = interval.low, interval.value, interval.high
    return Estimate(float(value[at]), float(low[at]), float(high[at]), basis)
