"""The next deployment: the planner's neighbours of the present one, corrected by what was measured of it.

A deployment is kept as long as it holds the service level and its cache has room. Otherwise the neighbour with the
fewest GPUs, the least loss of quality and the fewest changes that holds both is taken. What is quantised or spread
wider than needed is taken back only with room to spare, so that two deployments do not take turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.adaptation.neighbours import FIELDS, FULL, filled_share, judge, neighbours, none, same
from workbench.adaptation.observed import Observed
from workbench.deployment import ServiceLevel
from workbench.errors import InvalidInput, UnknownName
from workbench.planner import Plan, plan
from workbench.planner.needs import FLOORS
from workbench.quantities import show_count, show_seconds

if TYPE_CHECKING:
    from workbench.benchmark.load import LoadResult

_ENGINE = "vllm"


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes
    ----------
    plan : Plan
        The deployment to run: the present one where nothing is to change.
    change : dict
        Deployment fields that change, with their new values; empty: stay.
    checkpoint : str or None
        What to load instead of the model, where it is quantised otherwise and such a checkpoint is known.
    holds : bool
        Whether the service level and the cache hold then, by the plan as corrected.
    seen, expected : tuple of str
        What was measured that matters, and what is to be expected, in sentences.
    corrections : dict
        "ttft", "tpot", "kv_cache" (its share in use, never below the planned one) -> measured ÷ planned of the present
        deployment [-], where it was measured.
    """

    plan: Plan
    change: Mapping[str, Any]
    checkpoint: str | None
    holds: bool
    seen: tuple[str, ...]
    expected: tuple[str, ...]
    corrections: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        what = ", ".join(f"{name} {value}" for name, value in self.change.items())
        return "\n".join([f"change to {what}" if self.change else "stay as it is", *self.seen, *self.expected])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "change": dict(self.change),
            "checkpoint": self.checkpoint,
            "holds": self.holds,
            "seen": list(self.seen),
            "expected": list(self.expected),
            "corrections": dict(self.corrections),
            "deployment": self.plan.deployment.to_dict(),
        }


def adapt(
    planned: Plan,
    observed: Observed | LoadResult,
    slo: ServiceLevel,
    *,
    floor: str = "small",
    gpus: int | None = None,
    checkpoints: Mapping[str, str] | None = None,
) -> Step:
    """Recommend the next deployment of a model that is being served by vLLM.

    Parameters
    ----------
    planned : Plan
        What runs.
    observed : Observed or LoadResult
        What was seen of it.
    slo : ServiceLevel
        What is asked.
    floor : str
        How much quality may be lost, one of ``workbench.planner.needs.FLOORS``.
    gpus : int, optional
        The most cards there are; as many as run now by default.
    checkpoints : mapping, optional
        Scheme -> a folder or id that is quantised so already; given, no other scheme is recommended.

    Raises
    ------
    InvalidInput
        If another engine than vLLM runs, or the service level asks nothing.
    UnknownName
        For a floor that is none.
    """
    if floor not in FLOORS:
        raise UnknownName("quality floor", floor, FLOORS, f"one of {', '.join(FLOORS)}")
    if planned.deployment.engine != _ENGINE:
        raise InvalidInput(f"adapting is for vLLM; a plan for {planned.deployment.engine} has too few settings to turn")
    if slo.ttft is None and slo.tpot is None and slo.output_tokens_per_s is None:
        raise InvalidInput("say what is asked: a ServiceLevel with ttft, tpot or output_tokens_per_s")
    seen = observed if isinstance(observed, Observed) else Observed.of(observed, slo)
    corrections = _corrections(planned, seen)
    table = neighbours(planned, seen.load, slo, floor, gpus or planned.deployment.gpus, checkpoints)
    if table.empty:
        raise InvalidInput("by the plan neither what runs nor anything near it fits; compare the plan with the server")
    present = {name: getattr(planned.deployment, name) for name in FIELDS}
    rows = judge(table, present, seen.load, slo, corrections)
    # Of what runs, the measurement stands above the corrected plan.
    now_holds, pressed = _holds_now(seen, slo), _pressed(seen)
    words = _seen(seen, slo, corrections)
    better = rows[rows["holds"] & (rows["changed"] > 0)]
    if now_holds and not pressed:
        own = rows[rows["changed"] == 0]
        cost, loss = (float(own[name].iloc[0]) if len(own) else -np.inf for name in ("gpus", "loss"))
        spare = better[better["spare"]]
        better = spare[(spare["gpus"] < cost) | ((spare["gpus"] == cost) & (spare["loss"] < loss))]
        if better.empty:
            return Step(planned, {}, None, True, words, ("It holds what is asked: nothing to change.",), corrections)
    elif pressed and now_holds:
        better = better[better["room"]]
    if better.empty:
        nearest = rows.sort_values(["excess", "changed"], kind="stable").iloc[0]
        cards = f"{gpus or planned.deployment.gpus} × {planned.deployment.gpu}"
        told = f"No setting of {cards} holds it by the plan; the nearest"
        if nearest["changed"] == 0:
            return Step(planned, {}, None, False, words, (f"{told} is what runs.",), corrections)
        return _step(planned, present, nearest, checkpoints, False, words, corrections, [f"{told}:"])
    order = ["gpus", "loss", "changed", "excess"]
    best = better.sort_values(order, kind="stable").iloc[0]
    return _step(planned, present, best, checkpoints, True, words, corrections, [])


def _corrections(planned: Plan, seen: Observed) -> dict[str, float]:
    """Measured ÷ planned, of the mean times and of the cache in use."""
    speed = planned.performance(seen.load)
    found = {}
    for name in ("ttft", "tpot"):
        measured = getattr(seen, name)
        if speed is not None and measured and getattr(speed, name).value > 0:
            found[name] = measured / getattr(speed, name).value
    usage = 1.0 if seen.preemptions else seen.kv_cache_usage
    if usage is not None and planned.memory is not None:
        seats = np.array([planned.deployment.max_num_seqs or np.nan], dtype=float)
        expected = filled_share(seats, np.array([planned.memory.kv_cache_tokens.value]), seen.load)[0]
        found["kv_cache"] = max(usage / expected, 1.0)  # emptier than planned may be chance
    return found


def _holds_now(seen: Observed, slo: ServiceLevel) -> bool:
    bounds = ((seen.ttft_at, slo.ttft), (seen.tpot_at, slo.tpot))
    return all(value <= bound for value, bound in bounds if value is not None and bound is not None)


def _pressed(seen: Observed) -> bool:
    """Whether the cache was the limit."""
    return (seen.kv_cache_usage or 0.0) > FULL or (seen.preemptions or 0.0) > 0


def _seen(seen: Observed, slo: ServiceLevel, corrections: Mapping[str, float]) -> tuple[str, ...]:
    words = []
    for name in ("ttft", "tpot"):
        value, bound = getattr(seen, f"{name}_at"), getattr(slo, name)
        if value is not None and bound is not None:
            verdict = "within" if value <= bound else "above"
            words.append(f"{name.upper()} measured {show_seconds(value)}, {verdict} {show_seconds(bound)}.")
    if seen.kv_cache_usage is not None:
        back = f", {show_count(seen.preemptions)} requests were sent back" if seen.preemptions else ""
        words.append(f"The KV cache was {seen.kv_cache_usage:.0%} full{back}.")
    times = {name: value for name, value in corrections.items() if name in ("ttft", "tpot")}
    if times:
        told = " and ".join(f"{name.upper()} {value:.2f} times" for name, value in times.items())
        words.append(f"Measured is {told} what was planned; what follows is corrected by that.")
    return tuple(words)


def _step(
    planned: Plan,
    present: Mapping[str, Any],
    row: Any,
    checkpoints: Mapping[str, str] | None,
    holds: bool,
    seen: tuple[str, ...],
    corrections: Mapping[str, float],
    expected: list[str],
) -> Step:
    change: dict[str, Any] = {}
    for name in FIELDS:
        if not same(row[name], present[name]):
            value = row[name]
            whole = name in ("max_num_seqs", "tensor_parallel_size")
            change[name] = None if none(value) is None else int(value) if whole else str(value)
    fields = {**planned.deployment.to_dict(), **change}
    made = plan(planned.model, workload=planned.workload, **fields)
    times = [
        f"{name.upper()} {show_seconds(float(row[name]) * corrections.get(name, 1.0))}" for name in ("ttft", "tpot")
    ]
    expected = [
        *expected,
        f"Then {' and '.join(times)}, {show_count(float(row['kv_cache_tokens']))} tokens of KV cache, "
        f"{int(row['gpus'])} × {planned.deployment.gpu}.",
    ]
    scheme = change.get("quantization")
    checkpoint = (checkpoints or {}).get(scheme) if scheme else None
    if scheme and checkpoint is None:
        expected.append(f"Quantise it first: workbench quantize … gives a checkpoint in {scheme}, and what it loses.")
    return Step(made, change, checkpoint, holds, seen, tuple(expected), corrections)
