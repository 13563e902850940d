"""What may limit an engine: each rule put to the evidence, with the numbers it rests on and the setting to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from workbench.monitoring import rules, words
from workbench.monitoring.evidence import Evidence
from workbench.monitoring.finding import Change, Finding
from workbench.quantities import show_bytes, show_seconds

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
        words.numbers_known(
            ("preemptions", words.rate(seen.preemptions)), ("KV cache in use", words.share(seen.kv_usage))
        ),
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
            words.numbers_known(("KV cache in use", words.share(seen.kv_usage)), *words.requests(seen)),
            (*_cache_size(seen), *_MORE_CACHE),
        )


def _card_full(seen: Evidence) -> Iterator[Finding]:
    if seen.card_free is not None and not seen.on_cpu and rules.card_nearly_full(seen.card_free):
        yield Finding(
            "card_full",
            "memory",
            True,
            "The card is full beyond the engine's share: whatever is allocated next may fail.",
            words.numbers_known(("free on the card", show_bytes(seen.card_free))),
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
            words.numbers_known(
                ("RAM free", f"{show_bytes(seen.memory_available)} of {show_bytes(seen.memory_total)}")
            ),
            (Change("--kv-cache-memory-bytes", "lower"),) if seen.on_cpu else (),
        )


def _clocks(seen: Evidence) -> Iterator[Finding]:
    if seen.thermal is not None and rules.slowed(seen.thermal):
        yield Finding(
            "thermal",
            "throughput",
            True,
            "The card lowers its clocks because it is too hot.",
            words.numbers_known(
                ("of the time", words.share(seen.thermal)), ("temperature", words.with_unit(seen.temperature, "°C"))
            ),
            (Change("cooling", "airflow, fans, a cooler place; no setting of the engine mends it"),),
        )
    drawn = (("drawn", words.with_unit(seen.power, "W")), ("limit", words.with_unit(seen.power_limit, "W")))
    if seen.power_brake is not None and rules.slowed(seen.power_brake):
        yield Finding(
            "power_brake",
            "throughput",
            True,
            "The machine's power supply makes the card halve its clocks.",
            words.numbers_known(("of the time", words.share(seen.power_brake)), *drawn),
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
            words.numbers_known(
                ("of the time", words.share(seen.power_cap)),
                *drawn,
                ("built with", words.with_unit(seen.power_default, "W")),
            ),
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
            words.numbers_known(
                ("card busy", words.share(seen.utilization)), ("busiest process", words.cores(seen.engine_busiest)),
                ("running", words.count(seen.running)),
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
            words.numbers_known(
                *words.requests(seen),
                ("max_num_seqs", words.count(limit)),
                ("KV cache in use", words.share(seen.kv_usage)),
            ),
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
            words.numbers_known(
                ("prompts' share of the tokens computed", words.share(share)),
                ("prompts", words.tokens(seen.prompt_tokens)),
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
    numbers = words.numbers_known(
        ("tokens in a step", words.count(seen.step_tokens)),
        (
            f"where {seen.card or 'the card'} begins to be limited by arithmetic (BF16, dense)",
            f"{seen.ridge:.0f} tokens",
        ),
        ("card busy", words.share(seen.utilization)),
        ("prompts' share of the tokens computed", words.share(seen.prompt_share)),
        *words.requests(seen),
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
    numbers = words.numbers_known(
        ("processors busy", words.share(seen.cpu)),
        ("by the engine", words.of(seen.engine_cores, seen.processors)),
        *words.requests(seen),
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
        words.numbers_known(
            ("in the queue, mean", show_seconds(seen.queue)),
            ("to the first token, mean", show_seconds(seen.ttft)),
            *words.requests(seen),
        ),
        (
            Change("--data-parallel-size", "another replica, or fewer requests: more come than it serves at once"),
            Change("--max-num-seqs", "not lower: that moves requests from the batch into the queue"),
        ),
    )


#: Every rule, in the order of its weight: evidence -> findings.
RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    _preemption, _kv_cache, _card_full, _ram, _clocks, _host, _seats, _prefixes, _step, _processor, _waiting,
)  # fmt: skip


def waiting_for_something(seen: Evidence) -> Finding:
    """Where requests always wait and no rule says for what."""
    return Finding(
        "waiting",
        "throughput",
        True,
        "Requests wait all the time, and the numbers that are known do not say for what.",
        words.numbers_known(*words.requests(seen), ("KV cache in use", words.share(seen.kv_usage))),
        (Change("--data-parallel-size", "another replica takes its part of the load"),),
    )
