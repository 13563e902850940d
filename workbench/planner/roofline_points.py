"""Where prefill and decode of a plan lie under the roofline of its card."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from workbench.choices import Setup
from workbench.deployment import ServiceLevel, Workload
from workbench.performance import floor
from workbench.performance.step import Batch
from workbench.planner.plan import Plan
from workbench.planner.speeds import under_loads


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """One kind of step on one GPU.

    Attributes
    ----------
    phase : str
        "prefill": one prompt alone; "decode": a step of the batch that runs under the plan's workload.
    moved, flops : float
        What the step reads and writes [B], and computes [FLOP].
    intensity : float
        Their ratio [FLOP/B].
    attainable : float
        What the card's roof allows at that intensity [FLOP/s].
    achieved : float
        FLOPs over the time that the speed model gives the step, with all that it adds [FLOP/s].
    limit : str
        "bandwidth" or "compute": the part of the roof above the point.
    """

    phase: Literal["prefill", "decode"]
    moved: float
    flops: float
    intensity: float
    attainable: float
    achieved: float
    limit: Literal["bandwidth", "compute"]


@dataclass(frozen=True, slots=True)
class Roofline:
    """A card's ceilings and a plan's two points.

    Attributes
    ----------
    bandwidth, rate : float
        Datasheet's memory bandwidth [B/s], and dense rate of the format the kernels compute in [FLOP/s].
    ridge : float
        Intensity at which the two ceilings meet [FLOP/B].
    points : tuple of RooflinePoint
        Prefill, then decode; empty where the plan does not fit.
    """

    bandwidth: float
    rate: float
    ridge: float
    points: tuple[RooflinePoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def attainable(intensity: float, bandwidth: float, rate: float) -> float:
    """What a card can compute at an arithmetic intensity [FLOP/s]: min(rate, intensity × bandwidth).

    References
    ----------
    Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

    Examples
    --------
    An L40S at 1 FLOP/B, as a decode step of one request in 16 bit, and at 1,000:

    >>> attainable(1.0, 864e9, 362e12) / 1e12, attainable(1000.0, 864e9, 362e12) / 1e12
    (0.864, 362.0)
    """
    return min(rate, intensity * bandwidth)


def roofline(plan: Plan) -> Roofline | None:
    """Ceilings of the plan's card, and its prefill and decode below them; None where it could not be set up."""
    setup = plan.setup
    if setup is None:
        return None
    bandwidth, rate = setup.card.bandwidth, floor.compute_rate(setup)
    if not bandwidth or not rate:
        return None
    points = []
    if plan.fits and plan._part is not None:
        load = plan.workload
        alone, own = under_loads(plan._part, plan._at, load, ServiceLevel(), [1, load.concurrency])
        served = plan.performance() if load.request_rate else None
        tpot = served.tpot.value if served else own.tpot.value
        cached = load.isl * load.prefix_hit
        prompt = step_totals(setup, queries=load.isl - cached, requests=1.0, context=cached)
        points.append(_point("prefill", *prompt, alone.ttft.value, bandwidth, rate))
        step = step_totals(setup, queries=1.0, requests=running(plan), context=load.isl + load.osl / 2)
        points.append(_point("decode", *step, tpot, bandwidth, rate))
    return Roofline(bandwidth, rate, rate / bandwidth, tuple(points))


def running(plan: Plan, workload: Workload | None = None) -> float:
    """Requests in one decode step of one GPU: what arrives, at most what fits in batch and cache."""
    part, load = plan._part, workload or plan.workload
    if part is None or plan.memory is None:
        return 1.0
    arriving = math.ceil(load.concurrency / plan.deployment.data_parallel_size)
    fitting = plan.memory.kv_cache_tokens.value // (load.isl + load.osl / 2)
    batch = min(arriving, float(part.numbers.max_num_seqs[plan._at]), max(fitting, 1.0))
    return max(batch / plan.deployment.pipeline_parallel_size, 1.0)


def step_totals(setup: Setup, *, queries: float, requests: float, context: float) -> tuple[float, float]:
    """Bytes moved [B] and FLOPs of one step on one GPU: ``requests`` with ``queries`` new tokens over ``context`` each.

    One token a request is decoding, more are prompts; see :func:`workbench.performance.floor.step_totals`.
    """
    count, cached, new, none = (np.array([float(value)]) for value in (requests, context, queries, 0.0))
    batch = Batch.decode(count, cached) if queries == 1 else Batch(none, none, count, new, cached)
    moved, flops = floor.step_totals(setup, batch)
    return float(moved[0]), float(flops[0])


def _point(
    phase: Literal["prefill", "decode"], moved: float, flops: float, seconds: float, bandwidth: float, rate: float
) -> RooflinePoint:
    intensity = flops / moved
    limit: Literal["bandwidth", "compute"] = "compute" if intensity >= rate / bandwidth else "bandwidth"
    roof = attainable(intensity, bandwidth, rate)
    return RooflinePoint(phase, moved, flops, intensity, roof, flops / seconds, limit)
