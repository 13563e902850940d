"""What one deployment gives under one load, as a service level judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from workbench.choices import Numbers
from workbench.deployment import ServiceLevel, Workload
from workbench.memory.ledger import Interval
from workbench.performance.service import Service, service
from workbench.planner.capacity import meets
from workbench.planner.evaluate import Part
from workbench.planner.plan import usd_per_hour, usd_per_million
from workbench.quantities import Estimate


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed under one load.

    Attributes
    ----------
    ttft, tpot : Estimate
        Times [s] that the service level's percentile of requests do not exceed; at 50 the means.
    output_tokens_per_s : Estimate
        Of the whole deployment.
    usd_per_million_tokens : Estimate or None
        Output tokens; None where no price is known.
    meets : bool
        Whether that is what is asked.
    """

    ttft: Estimate
    tpot: Estimate
    output_tokens_per_s: Estimate
    usd_per_million_tokens: Estimate | None
    meets: bool

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: v.to_dict() if isinstance(v := getattr(self, name), Estimate) else v for name in self.__slots__}


def speeds(part: Part, workload: Workload, slo: ServiceLevel) -> list[Speed]:
    """The speed of every row of an evaluated group."""
    return _read(part, service(part.setup, part.numbers, part.ledger.kv_cache_tokens.value, workload), slo)


def under_loads(part: Part, at: int, workload: Workload, slo: ServiceLevel, loads: Sequence[int]) -> list[Speed]:
    """The speed of one row of a group under several concurrencies, all from one evaluation."""
    rows = np.full(len(loads), at)
    numbers = Numbers(**{each.name: getattr(part.numbers, each.name)[rows] for each in fields(Numbers)})
    tokens = part.ledger.kv_cache_tokens.value[rows]
    closed = replace(workload, request_rate=None, requests=None)
    return _read(part, service(part.setup, numbers, tokens, closed, load=np.array(loads, dtype=float)), slo)


def _read(part: Part, found: Service, slo: ServiceLevel) -> list[Speed]:
    price = usd_per_hour(part.setup.card, part.setup.deployment.gpus)
    ttft, tpot, good = _at(found, "ttft", slo), _at(found, "tpot", slo), meets(found, slo)
    made = []
    for at in range(len(good)):
        rate = _estimate(found.output_tokens_per_s, at, found.basis)
        first, further = _estimate(ttft, at, found.basis), _estimate(tpot, at, found.basis)
        made.append(Speed(first, further, rate, usd_per_million(price, rate), bool(good[at])))
    return made


def _at(found: Service, name: str, slo: ServiceLevel) -> Interval:
    interval: Interval = getattr(found, name) if slo.percentile == 50 else found.at(name, slo.percentile)
    return interval


def _estimate(interval: Interval, at: int, basis: str) -> Estimate:
    return Estimate(float(interval.value[at]), float(interval.low[at]), float(interval.high[at]), basis)
