"""One moment of an engine and its machine, and what a while of them amounts to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from workbench import cpu
from workbench.deployment import Deployment
from workbench.engines.vllm import versions
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import gpu
from workbench.monitoring.engine import Percentiles, Rates
from workbench.monitoring.evidence import Evidence
from workbench.monitoring.readings import SLOWED, CardReading, Reading
from workbench.monitoring.rules import ridge_tokens

#: From fewer readings nothing is said of requests: whoever waits in one of them may have come that moment.
_FEW = 3
#: "ready": it told its numbers; "starting": it was started here and comes up; "unreachable": nothing answers;
#: "silent": it answers, and has no numbers to tell; "stopped": it was started here and has ended.
State = Literal["ready", "starting", "unreachable", "silent", "stopped"]


@dataclass(frozen=True, slots=True)
class Point:
    """One moment.

    Parameters
    ----------
    time : float
        [s since 1970]
    state : str
        See :data:`State`.
    words : str
        The state in words, where it needs some.
    restarts : int
        How often the engine was seen to begin anew.
    machine : Reading or None
        This machine; None where the engine runs on another.
    engine : Rates or None
        Since the reading before; only what stands now, no rates, where that was not of the same process. None where the
        engine told nothing.
    recent : Rates or None
        Over the last seconds, for percentiles and for the diagnosis.
    """

    time: float
    state: State
    words: str = ""
    restarts: int = 0
    machine: Reading | None = None
    engine: Rates | None = None
    recent: Rates | None = None

    def to_dict(self) -> dict[str, Any]:
        """One flat row, as :meth:`Monitor.frame` shows it: bytes, seconds, shares from 0 to 1, rates per second."""
        now, recent, machine = self.engine or Rates(0.0), self.recent or Rates(0.0), self.machine
        row: dict[str, Any] = {
            "time": self.time,
            "state": self.state,
            "restarts": self.restarts,
            "running": now.running,
            "waiting": now.waiting,
            "kv_usage": now.kv_usage,
            "generation_tokens_per_s": now.generation_tokens,
            "prompt_tokens_per_s": now.prompt_tokens,
            "cached_tokens_per_s": now.cached_tokens,
            "requests_per_s": now.requests,
            "preemptions_per_s": now.preemptions,
            "steps_per_s": now.steps,
            "step_tokens": now.step_tokens,
            "accepted": recent.accepted,
        }
        for name in ("ttft", "itl", "queue", "latency"):
            times: Percentiles | None = getattr(recent, name)
            row |= {f"{name}_p50": times.p50 if times else None, f"{name}_p95": times.p95 if times else None}
        row |= {
            "cpu": machine.cpu if machine else None,
            "memory_total": machine.memory_total if machine else None,
            "memory_available": machine.memory_available if machine else None,
            "engine_rss": machine.engine_rss if machine else None,
            "engine_cores": machine.engine_cores if machine else None,
            "engine_busiest": machine.engine_busiest if machine else None,
        }
        for card in machine.cards if machine else ():
            name = f"gpu{card.index}"
            row |= {
                f"{name}_memory_used": card.memory_used,
                f"{name}_memory_total": card.memory_total,
                f"{name}_utilization": card.utilization,
                f"{name}_power": card.power,
                f"{name}_temperature": card.temperature,
                f"{name}_slowed": None if card.slowed is None else ", ".join(card.slowed),
            }
        return row


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the engine besides its numbers.

    Parameters
    ----------
    max_num_seqs : int or None
        Most requests in its batch, all ranks together.
    on_cpu : bool or None
        Whether it computes on the processor; None: it does where the machine has no card.
    """

    max_num_seqs: int | None = None
    on_cpu: bool | None = None

    @classmethod
    def of(cls, deployment: Deployment) -> Known:
        """What a deployment says; an omitted ``max_num_seqs`` is that release's default for the card."""
        on_cpu = cpu.is_cpu(deployment.gpu)
        if deployment.engine != "vllm":
            return cls(None, on_cpu)
        seats = deployment.max_num_seqs
        if seats is None:
            try:
                version = versions.version(deployment.engine_version)
                capacity = 0.0 if on_cpu else gpu(deployment.gpu).capacity.value
                seats = version.default_max_num_seqs(capacity, cpu.NAME if on_cpu else deployment.gpu)
            except (UnknownName, InvalidInput):
                return cls(None, on_cpu)
        return cls(seats * deployment.data_parallel_size, on_cpu)


def evidence(points: Sequence[Point], known: Known | None = None) -> Evidence:
    """What some moments of one process, the latest last, amount to.

    Parameters
    ----------
    points : sequence of Point
        Of the last seconds, without those before a restart.
    known : Known, optional
    """
    known = known or Known()
    if not points:
        return Evidence(max_num_seqs=known.max_num_seqs, on_cpu=known.on_cpu)
    recent = points[-1].recent or Rates(0.0)
    # Once it does not answer, what it did before says nothing of now.
    rates = [point.engine for point in points if point.engine is not None] if points[-1].engine else []
    if len(rates) < _FEW:
        rates = []
    running, waiting = _known(rates, lambda r: r.running), _known(rates, lambda r: r.waiting)
    machines = [point.machine for point in points if point.machine is not None]
    on_cpu = known.on_cpu
    if on_cpu is None and machines:
        on_cpu = not machines[-1].cards
    cards = {} if on_cpu else _cards(machines)
    return Evidence(
        running_least=min(running, default=None),
        running_most=max(running, default=None),
        running=_mean(running),
        waiting_least=min(waiting, default=None),
        waiting_most=max(waiting, default=None),
        waiting=_mean(waiting),
        kv_usage=_mean(_known(rates, lambda r: r.kv_usage)),
        preemptions=recent.preemptions,
        prompt_tokens=recent.prompt_tokens,
        cached_tokens=recent.cached_tokens,
        generation_tokens=recent.generation_tokens,
        step_tokens=recent.step_tokens,
        ttft=recent.ttft.mean if recent.ttft else None,
        queue=recent.queue.mean if recent.queue else None,
        prefix_caching=recent.prefix_caching,
        max_num_seqs=known.max_num_seqs,
        on_cpu=on_cpu,
        cpu=_mean(_known(machines, lambda m: m.cpu)),
        processors=machines[-1].processors if machines else None,
        engine_cores=_mean(_known(machines, lambda m: m.engine_cores)),
        engine_busiest=_mean(_known(machines, lambda m: m.engine_busiest)),
        memory_available=machines[-1].memory_available if machines else None,
        memory_total=machines[-1].memory_total if machines else None,
        **cards,
    )


def _cards(machines: Sequence[Reading]) -> dict[str, Any]:
    """Of the engine's cards: the busiest's utilisation, the fullest's rest, the most often slowed one's clocks."""
    series: dict[int, list[CardReading]] = {}
    for machine in machines:
        for card in machine.engines_cards:
            series.setdefault(card.index, []).append(card)
    if not series:
        return {}
    busiest = max(series.values(), key=lambda cards: _mean(_known(cards, lambda c: c.utilization)) or 0.0)
    free = [
        float(cards[-1].memory_total - cards[-1].memory_used)
        for cards in series.values()
        if cards[-1].memory_total is not None and cards[-1].memory_used is not None
    ]
    worst = {
        reason: max(series.values(), key=lambda cards, reason=reason: _share(cards, reason) or 0.0)  # type: ignore[misc]
        for reason in SLOWED
    }
    capped = max(
        (worst["power"], worst["power brake"]), key=lambda cards: _mean(_known(cards, lambda c: c.power)) or 0.0
    )
    temperatures = [float(t) for cards in series.values() for t in _known(cards, lambda c: c.temperature)]
    model = busiest[-1].card()
    return {
        "card": model.name if model else busiest[-1].name,
        "utilization": _mean(_known(busiest, lambda c: c.utilization)),
        "card_free": min(free, default=None),
        "temperature": max(temperatures, default=None),
        "thermal": _share(worst["thermal"], "thermal"),
        "power_cap": _share(worst["power"], "power"),
        "power_brake": _share(worst["power brake"], "power brake"),
        "power": _mean(_known(capped, lambda c: c.power)),
        "power_limit": capped[-1].power_limit,
        "power_default": capped[-1].power_default,
        "ridge": ridge_tokens(model.flops["bf16"], model.bandwidth) if model and "bf16" in model.flops else None,
    }


def _share(cards: Iterable[CardReading], reason: str) -> float | None:
    told = [card.slowed for card in cards if card.slowed is not None]
    return fmean(reason in slowed for slowed in told) if told else None


def _known(items: Iterable[Any], value: Callable[[Any], float | None]) -> list[float]:
    return [found for item in items if (found := value(item)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
