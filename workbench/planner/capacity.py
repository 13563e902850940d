"""The largest load that a deployment carries within a service level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.deployment import ServiceLevel, Workload
from workbench.memory.ledger import Floats
from workbench.performance.service import Service, service
from workbench.planner.evaluate import Evaluation, Part

#: Requests in flight beyond which no search looks.
_MOST = 16384.0
#: Halvings of the logarithm of the load: 1 to 16384 to within 1 %.
_HALVINGS = 10


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the rows of one evaluated group carry.

    Attributes
    ----------
    part : Part
    load : ndarray
        Largest concurrency within the service level, or request rate [1/s] where the workload has one; 0 where even
        the smallest misses it, or where the engine does not start. Whole numbers, where they are of requests.
    service : Service
        At that load; at the smallest where it is 0.
    """

    part: Part
    load: Floats
    service: Service


def met(found: Service, slo: ServiceLevel) -> Floats:
    """Probability that each row meets a service level, from the intervals of its estimates [0 to 1].

    An estimate's factor 1 + spread holds 90 % of measurements, so its logarithm is taken as normal with a standard
    deviation of ln(1 + spread) / 1.645; the parts of a service level as going wrong together, so the least counts.

    Examples
    --------
    >>> from workbench.planner import plan
    >>> part = plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192)._part
    >>> sure = service(part.setup, part.numbers, part.ledger.kv_cache_tokens.value, Workload())
    >>> met(sure, ServiceLevel(tpot=1.0)).round(2), met(sure, ServiceLevel(tpot=0.001)).round(2)
    (array([1.]), array([0.]))
    """
    from workbench.performance.normal import normal_cdf

    least = np.ones_like(found.running)
    for name, most in (("ttft", slo.ttft), ("tpot", slo.tpot)):
        if most is not None:
            expected = at_percentile(found, name, slo.percentile)
            spread = found.spread_ttft if name == "ttft" else found.spread_tpot
            sigma = np.log1p(spread) / 1.645
            with np.errstate(divide="ignore"):
                least = np.minimum(least, normal_cdf((np.log(most) - np.log(expected)) / sigma))
    if slo.output_tokens_per_s is not None:
        rate = found.output_tokens_per_s
        sigma = np.log(np.maximum(rate.high / rate.value, 1 + 1e-9)) / 1.645
        least = np.minimum(least, normal_cdf(np.log(rate.value / slo.output_tokens_per_s) / sigma))
    return least


def at_percentile(found: Service, name: str, percentile: float) -> Floats:
    """TTFT or TPOT that ``percentile`` of requests do not exceed [s]; at 50 the mean, as benchmarks print it."""
    if percentile == 50:
        return np.asarray(getattr(found, name).value)
    return np.asarray(found.at(name, percentile).value)


def meets(found: Service, slo: ServiceLevel) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether each row meets a service level at its expected values."""
    good = np.ones(found.running.shape, dtype=bool)
    for name, most in (("ttft", slo.ttft), ("tpot", slo.tpot)):
        if most is not None:
            good &= at_percentile(found, name, slo.percentile) <= most
    if slo.output_tokens_per_s is not None:
        good &= found.output_tokens_per_s.value >= slo.output_tokens_per_s
    return good


def capacities(evaluation: Evaluation, workload: Workload, slo: ServiceLevel) -> list[Capacity]:
    """The largest load of every deployment of a grid that starts, within a service level.

    Both times grow with the load, so the largest is found by halving its logarithm. ``output_tokens_per_s`` of the
    service level is asked of the whole, not of one deployment, and is left aside.

    Parameters
    ----------
    evaluation : Evaluation
    workload : Workload
        Lengths, and which kind of load: its concurrency or rate are replaced.
    slo : ServiceLevel

    Examples
    --------
    >>> from workbench.architecture import Model
    >>> from workbench.choices import Choices
    >>> from workbench.planner.evaluate import evaluate
    >>> model = Model.from_config("meta-llama/Llama-3.1-8B-Instruct")
    >>> grid = evaluate(Choices(model, {"gpu": "L40S", "max_model_len": 8192}))
    >>> loose, tight = (capacities(grid, Workload(), ServiceLevel(tpot=t))[0].load[0] for t in (0.05, 0.025))
    >>> bool(loose > tight > 0)
    True
    """
    slo = replace(slo, output_tokens_per_s=None)
    found = []
    for part in evaluation.parts:
        starts = evaluation.verdict[part.rows] == "starts"
        if not starts.any():
            continue
        found.append(_capacity(part, starts, workload, slo))
    return found


def _capacity(
    part: Part, starts: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], workload: Workload, slo: ServiceLevel
) -> Capacity:
    tokens = part.ledger.kv_cache_tokens.value

    def at(load: Floats) -> Service:
        return service(part.setup, part.numbers, tokens, workload, load=load)

    one = np.ones_like(tokens)
    whole = not workload.request_rate
    low, high = (1.0 * one, _MOST * one) if whole else (1e-3 * one, 1e4 * one)
    smallest = at(low)
    possible = starts & meets(smallest, slo)
    if not possible.any():
        return Capacity(part, np.zeros_like(one), smallest)
    for _ in range(_HALVINGS + (0 if whole else 4)):
        middle = np.sqrt(low * high)
        good = meets(at(np.floor(middle) if whole else middle), slo)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    load = np.where(possible, np.floor(low) if whole else low, 0.0)
    return Capacity(part, load, at(np.where(load > 0, load, 1.0 if whole else 1e-3)))
