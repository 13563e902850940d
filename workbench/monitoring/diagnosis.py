"""What limits an engine now: the rules put to the numbers, each finding with its evidence and the setting to change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.monitoring import rules
from workbench.quantities import show_bytes, show_seconds

Verdict = Literal["limited", "healthy", "idle", "not known"]
#: What a finding is about, in the words of those who look for it.
About = Literal["memory", "throughput", "latency"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The numbers of a while; None is "not known", and no rule is put to it.

    Parameters
    ----------
    running_least, running_most, running : float or None
        Requests in the batch: fewest, most, mean.
    waiting_least, waiting_most, waiting : float or None
        Requests in the queue, the same.
    kv_usage : float or None
        Share of the KV cache in use, mean [-].
    preemptions, prompt_tokens, cached_tokens, generation_tokens : float or None
        [1/s]
    step_tokens : float or None
        Tokens computed in an engine step, mean.
    ttft, queue : float or None
        Mean times [s].
    prefix_caching : bool or None
        As the engine says.
    max_num_seqs : int or None
        Most requests in a batch, all ranks together, where the plan says it.
    on_cpu : bool or None
        Whether the engine computes on the processor.
    card : str
        The card's name.
    utilization : float or None
        Share of the time the engine's busiest card ran a kernel, mean [-].
    card_free : float or None
        Of the engine's fullest card [bytes].
    temperature : float or None
        Highest [°C].
    thermal, power_cap, power_brake : float or None
        Shares of the readings in which clocks were lowered for it, the worst card's [-].
    power, power_limit, power_default : float or None
        That card's draw, its limit, and the limit it was built with [W].
    ridge : float or None
        :func:`workbench.monitoring.rules.ridge_tokens` of the card in BF16.
    cpu : float or None
        Share of all processors that was busy, mean [-].
    processors : int or None
        How many there are.
    engine_cores, engine_busiest : float or None
        Processors that the engine and its busiest process kept busy, mean [-].
    memory_available, memory_total : float or None
        RAM [bytes].
    """

    running_least: float | None = None
    running_most: float | None = None
    running: float | None = None
    waiting_least: float | None = None
    waiting_most: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    preemptions: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    generation_tokens: float | None = None
    step_tokens: float | None = None
    ttft: float | None = None
    queue: float | None = None
    prefix_caching: bool | None = None
    max_num_seqs: int | None = None
    on_cpu: bool | None = None
    card: str = ""
    utilization: float | None = None
    card_free: float | None = None
    temperature: float | None = None
    thermal: float | None = None
    power_cap: float | None = None
    power_brake: float | None = None
    power: float | None = None
    power_limit: float | None = None
    power_default: float | None = None
    ridge: float | None = None
    cpu: float | None = None
    processors: int | None = None
    engine_cores: float | None = None
    engine_busiest: float | None = None
    memory_available: float | None = None
    memory_total: float | None = None

    @property
    def prompt_share(self) -> float | None:
        """Share of the tokens computed that are prompts'; None where that is not counted or nothing was."""
        if self.prompt_tokens is None or self.generation_tokens is None:
            return None
        share = rules.prompt_share(self.prompt_tokens, self.generation_tokens, self.cached_tokens or 0.0)
        return None if math.isnan(share) else share


@dataclass(frozen=True, slots=True)
class Change:
    """What to change: a flag of ``vllm serve`` or a thing to do, and what it brings."""

    setting: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the numbers say.

    Parameters
    ----------
    kind : str
        A word for it: "preemption", "kv_cache", "max_num_seqs" …
    about : str
        "memory", "throughput" or "latency".
    limits : bool
        Whether it holds the engine back now; else it is good to know.
    text : str
        One sentence.
    evidence : tuple of (str, str)
        The numbers it rests on: name, and value with its unit.
    changes : tuple of Change
        The cheapest first.
    """

    kind: str
    about: About
    limits: bool
    text: str
    evidence: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What limits the engine now.

    Parameters
    ----------
    verdict : str
        "limited", "healthy" (it works and nothing holds it back), "idle" (nothing was asked), "not known".
    text : str
        The verdict in a sentence.
    findings : tuple of Finding
        What limits first.
    """

    verdict: Verdict
    text: str
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.text}"]
        for finding in self.findings:
            lines += ["", f"{finding.about}: {finding.text}"]
            lines += [f"  {name}: {value}" for name, value in finding.evidence]
            lines += [f"  {change.setting}: {change.text}" for change in finding.changes]
        return "\n".join(lines)


def diagnose(seen: Evidence, why_unknown: str = "") -> Diagnosis:
    """Put every rule to the numbers.

    Parameters
    ----------
    seen : Evidence
    why_unknown : str
        Said where there is no evidence of requests.

    Examples
    --------
    >>> diagnose(Evidence()).verdict
    'not known'
    >>> busy = Evidence(running_least=4, running_most=9, running=6, waiting_least=0, waiting_most=1, waiting=0.2,
    ...                 kv_usage=0.4, preemptions=0.0)
    >>> diagnose(busy).verdict
    'healthy'
    """
    found = [finding for rule in _RULES for finding in rule(seen)]
    found.sort(key=lambda finding: not finding.limits)  # stable: within each, the order of the rules
    limiting = [finding for finding in found if finding.limits]
    findings = tuple(found)
    if limiting:
        return Diagnosis("limited", limiting[0].text, findings)
    if seen.running_most is None or seen.waiting_most is None:
        return Diagnosis("not known", why_unknown or "A few readings more are needed.", findings)
    if rules.idle(seen.running_most, seen.waiting_most):
        return Diagnosis("idle", "Nothing was asked of the engine.", findings)
    if rules.waits_all_the_time(seen.waiting_least or 0.0):
        waiting = _queue(seen)
        return Diagnosis("limited", waiting.text, (waiting, *findings))
    return Diagnosis("healthy", "Requests are answered as they come, and nothing holds the engine back.", findings)


# --- the rules put to the evidence, in the order of their weight ----------------------------------------------------

_MORE_CACHE = (
    Change("--kv-cache-dtype fp8", "half the bytes of each cached token; look at the quality before"),
    Change("--tensor-parallel-size", "more cards share the weights and leave more for the cache"),
    Change("--data-parallel-size", "another replica has a cache of its own"),
)
_FEWER = Change(
    "--max-num-seqs", "lower: fewer requests at a time that outgrow the cache; those wait in the queue instead"
)


def _cache_size(seen: Evidence) -> tuple[Change, ...]:
    """How to make the cache larger here."""
    if seen.on_cpu:
        return (Change("--kv-cache-memory-bytes", "higher, within the RAM that is free"),)
    if seen.card_free is not None and seen.card_free > 2 * rules.SPARE:
        free = show_bytes(seen.card_free)
        return (Change("--gpu-memory-utilization", f"higher: {free} of the card are free, and the cache lies inside"),)
    return ()


def _preemption(seen: Evidence) -> Iterator[Finding]:
    if seen.preemptions is None or not rules.preempts(seen.preemptions):
        return
    yield Finding(
        "preemption",
        "memory",
        True,
        "Running requests are sent back and computed again, because the KV cache is too small for the batch.",
        _numbers(("preemptions", _rate(seen.preemptions)), ("KV cache in use", _share(seen.kv_usage))),
        (*_cache_size(seen), _FEWER, *_MORE_CACHE),
    )


def _kv_cache(seen: Evidence) -> Iterator[Finding]:
    if seen.kv_usage is None or seen.waiting_least is None:
        return
    if rules.cache_holds_back(seen.kv_usage, seen.waiting_least):
        yield Finding(
            "kv_cache",
            "memory",
            True,
            "Requests wait because the KV cache is full.",
            _numbers(("KV cache in use", _share(seen.kv_usage)), *_requests(seen)),
            (*_cache_size(seen), *_MORE_CACHE),
        )


def _card_full(seen: Evidence) -> Iterator[Finding]:
    if seen.card_free is not None and not seen.on_cpu and rules.card_nearly_full(seen.card_free):
        yield Finding(
            "card_full",
            "memory",
            True,
            "The card is full beyond the engine's share: whatever is allocated next may fail.",
            _numbers(("free on the card", show_bytes(seen.card_free))),
            (
                Change("--gpu-memory-utilization", "a little lower: it leaves room outside the cache"),
                Change("other processes", "those that hold memory of the card; workbench doctor names them"),
            ),
        )


def _ram(seen: Evidence) -> Iterator[Finding]:
    if seen.memory_available is None or seen.memory_total is None:
        return
    if rules.memory_short(seen.memory_available, seen.memory_total):
        yield Finding(
            "memory",
            "memory",
            True,
            "The machine's memory runs out: it will swap, or end a process.",
            _numbers(("RAM free", f"{show_bytes(seen.memory_available)} of {show_bytes(seen.memory_total)}")),
            (Change("--kv-cache-memory-bytes", "lower"),) if seen.on_cpu else (),
        )


def _clocks(seen: Evidence) -> Iterator[Finding]:
    if seen.thermal is not None and rules.slowed(seen.thermal):
        yield Finding(
            "thermal",
            "throughput",
            True,
            "The card lowers its clocks because it is too hot.",
            _numbers(("of the time", _share(seen.thermal)), ("temperature", _unit(seen.temperature, "°C"))),
            (Change("cooling", "airflow, fans, a cooler place; no setting of the engine mends it"),),
        )
    drawn = (("drawn", _unit(seen.power, "W")), ("limit", _unit(seen.power_limit, "W")))
    if seen.power_brake is not None and rules.slowed(seen.power_brake):
        yield Finding(
            "power_brake",
            "throughput",
            True,
            "The machine's power supply makes the card halve its clocks.",
            _numbers(("of the time", _share(seen.power_brake)), *drawn),
            (Change("power supply", "its capacity and cables; no setting of the engine mends it"),),
        )
    if seen.power_cap is not None and rules.slowed(seen.power_cap):
        lowered = seen.power_limit is not None and seen.power_default is not None
        lowered = lowered and seen.power_limit < seen.power_default - 1  # type: ignore[operator]
        yield Finding(
            "power",
            "throughput",
            lowered,  # at the limit it was built with, a card at work is what it is
            "The card lowers its clocks to keep within "
            + (
                "a power limit below the one it was built with."
                if lowered
                else "its power limit, as cards at full work do."
            ),
            _numbers(("of the time", _share(seen.power_cap)), *drawn, ("built with", _unit(seen.power_default, "W"))),
            (Change("nvidia-smi -pl", f"back to {seen.power_default:.0f} W, if the machine bears it"),)
            if lowered
            else (),
        )


def _host(seen: Evidence) -> Iterator[Finding]:
    if seen.utilization is None or seen.engine_busiest is None or seen.running is None or seen.on_cpu:
        return
    if rules.card_waits_for_host(seen.utilization, seen.engine_busiest, seen.running):
        yield Finding(
            "host",
            "throughput",
            True,
            "The card waits for the engine's own program: one of its processes has a whole core and needs more.",
            _numbers(
                ("card busy", _share(seen.utilization)), ("busiest process", _cores(seen.engine_busiest)),
                ("running", _count(seen.running)),
            ),
            (
                Change("--enforce-eager", "leave it out: CUDA graphs take most of the launching off the processor"),
                Change("--api-server-count", "higher, where splitting text into tokens takes the time"),
                Change("a faster core", "one thread schedules each replica; more cores do not help it"),
            ),
        )  # fmt: skip


def _seats(seen: Evidence) -> Iterator[Finding]:
    if seen.waiting_least is None or seen.running_least is None or seen.running_most is None:
        return
    if seen.kv_usage is not None and seen.kv_usage >= rules.FULL:
        return  # more seats would not find place in the cache
    higher = Change("--max-num-seqs", "higher: more requests at a time, each a little slower")
    if seen.max_num_seqs is not None:
        taken, limit = rules.seats_taken(seen.running_least, seen.max_num_seqs, seen.waiting_least), seen.max_num_seqs
        text = "Requests wait because the batch is limited to as many as run, and the cache has room for more."
    elif seen.kv_usage is not None:
        limit = None
        taken = rules.seats_look_taken(seen.running_least, seen.running_most, seen.waiting_least, seen.kv_usage)
        text = "Always as many requests run while others wait and the cache has room: probably the batch is limited."
    else:
        return
    if taken:
        yield Finding(
            "max_num_seqs",
            "throughput",
            True,
            text,
            _numbers(*_requests(seen), ("max_num_seqs", _count(limit)), ("KV cache in use", _share(seen.kv_usage))),
            (higher, Change("--data-parallel-size", "another replica, if the batch is already as slow as it may be")),
        )


def _prefixes(seen: Evidence) -> Iterator[Finding]:
    share = seen.prompt_share
    if seen.prefix_caching is None or share is None or not seen.running_most:
        return
    if rules.cache_of_prefixes_missed(seen.prefix_caching, share):
        yield Finding(
            "prefix_cache",
            "throughput",
            True,
            "Prefix caching is off and prompts are most of what is computed: those that begin alike are computed anew.",
            _numbers(
                ("prompts' share of the tokens computed", _share(share)), ("prompts", _tokens(seen.prompt_tokens))
            ),
            (Change("--enable-prefix-caching", "vLLM's default; it helps only prompts that share their beginning"),),
        )


def _step(seen: Evidence) -> Iterator[Finding]:
    """What a busy card's time goes into: arithmetic or reading. It limits where requests wait for it."""
    if (
        seen.step_tokens is None
        or seen.ridge is None
        or seen.utilization is None
        or not rules.is_busy(seen.utilization)
    ):
        return
    wait = rules.waits_all_the_time(seen.waiting_least or 0.0)
    numbers = _numbers(
        ("tokens in a step", _count(seen.step_tokens)),
        (
            f"where {seen.card or 'the card'} begins to be limited by arithmetic (BF16, dense)",
            f"{seen.ridge:.0f} tokens",
        ),
        ("card busy", _share(seen.utilization)),
        ("prompts' share of the tokens computed", _share(seen.prompt_share)),
        *_requests(seen),
    )
    if rules.computes_more_than_it_reads(seen.step_tokens, seen.ridge):
        prompts = (seen.prompt_share or 0.0) >= 0.5
        what = (
            "Prompts keep the card's arithmetic busy."
            if prompts
            else "The batch is large enough to keep the card's arithmetic busy."
        )
        yield Finding(
            "prefill" if prompts else "compute",
            "throughput" if wait else "latency",
            wait,
            what,
            numbers,
            (
                Change("an FP8 checkpoint", "FP8 weights and activations double the arithmetic where the card has it"),
                Change("--max-num-batched-tokens", "lower: shorter pauses between tokens; higher: prompts sooner done"),
                Change("--tensor-parallel-size", "more cards share each prompt; or --data-parallel-size, each request"),
            ),
        )  # fmt: skip
    else:
        yield Finding(
            "bandwidth",
            "throughput" if wait else "latency",
            wait,
            "Each step reads all weights for few tokens: the memory's bandwidth sets the time between tokens.",
            numbers,
            (
                Change("more requests at a time", "they cost little until the step reaches that many tokens"),
                Change(
                    "a quantised checkpoint",
                    "fewer bytes to read: AWQ, GPTQ or FP8 weights; workbench quantize makes one",
                ),
                Change("--speculative-config", "several tokens for one reading, where drafts are accepted"),
                Change("--tensor-parallel-size", "each card reads a part"),
            ),
        )


def _processor(seen: Evidence) -> Iterator[Finding]:
    if not seen.on_cpu or seen.cpu is None or not seen.running_most or not rules.is_busy(seen.cpu):
        return
    numbers = _numbers(
        ("processors busy", _share(seen.cpu)),
        ("by the engine", _of(seen.engine_cores, seen.processors)),
        *_requests(seen),
    )
    wait = rules.waits_all_the_time(seen.waiting_least or 0.0)
    counted = seen.engine_cores is not None and seen.processors is not None
    if counted and rules.others_take_it(seen.cpu, seen.engine_cores, seen.processors):  # type: ignore[arg-type]
        change = Change("other programs", "end them, or give the engine a machine of its own")
        text = "Other programs keep the processors busy, on which this engine computes."
        yield Finding("other_programs", "throughput", True, text, numbers, (change,))
        return
    yield Finding(
        "processor",
        "throughput",
        wait,
        "The processors are busy, and on them this engine computes.",
        numbers,
        (
            Change("a GPU, or more cores", "workbench search compares them"),
            Change("a smaller model", "or fewer bits of this one"),
        ),
    )


def _waiting(seen: Evidence) -> Iterator[Finding]:
    if seen.queue is None or seen.ttft is None or not rules.waits_more_than_it_works(seen.queue, seen.ttft):
        return
    if seen.queue < 0.02:  # nobody feels it, and a step that is under way is waited for anyhow
        return
    yield Finding(
        "queue",
        "latency",
        (seen.waiting_most or 0.0) >= 1,
        "Most of the time to the first token passes in the queue.",
        _numbers(
            ("in the queue, mean", show_seconds(seen.queue)),
            ("to the first token, mean", show_seconds(seen.ttft)),
            *_requests(seen),
        ),
        (
            Change("--data-parallel-size", "another replica, or fewer requests: more come than it serves at once"),
            Change("--max-num-seqs", "not lower: that moves requests from the batch into the queue"),
        ),
    )


_RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    _preemption, _kv_cache, _card_full, _ram, _clocks, _host, _seats, _prefixes, _step, _processor, _waiting,
)  # fmt: skip


def _queue(seen: Evidence) -> Finding:
    return Finding(
        "waiting",
        "throughput",
        True,
        "Requests wait all the time, and the numbers that are known do not say for what.",
        _numbers(*_requests(seen), ("KV cache in use", _share(seen.kv_usage))),
        (Change("--data-parallel-size", "another replica takes its part of the load"),),
    )


# --- numbers in words -------------------------------------------------------------------------------------------------


def _numbers(*pairs: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in pairs if value is not None)


def _requests(seen: Evidence) -> tuple[tuple[str, str | None], ...]:
    return (("running", _count(seen.running)), ("waiting", _count(seen.waiting)))


def _count(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.0f} {unit}"


def _rate(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g} a second"


def _tokens(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f} tokens/s"


def _of(cores: float | None, processors: int | None) -> str | None:
    return None if cores is None else f"{cores:.2g} of {processors} cores"


def _cores(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g} cores"
