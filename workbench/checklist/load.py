"""A short load: a few streamed requests one after another, then a few at once, while the engine is watched.

Enough to see a fault, not a benchmark: one minute at most, a few hundred tokens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.checklist.asking import Reply
from workbench.checklist.finding import Finding, bad, conclude
from workbench.checklist.inspection import metrics_of
from workbench.engines.vllm.metrics import Metrics

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection

#: Requests one after another, and rounds of requests at once.
ALONE, ROUNDS = 5, 3
#: Output tokens of each.
TOKENS = 32
#: How long all of it may take [s].
LONGEST = 60.0
#: How often the engine is looked at meanwhile [s].
EVERY = 0.4


@dataclass(frozen=True)
class Load:
    """What the load showed.

    Attributes
    ----------
    alone, together : tuple of Reply
        Streamed answers, one after another and at once.
    concurrency : int
        How many at once.
    seconds : float
        How long those at once took [s].
    before, after : Metrics or None
        The engine's own figures around them.
    kv_cache_usage : float or None
        Largest share of the KV cache seen in use [-].
    waited : float or None
        Most requests seen waiting.
    refused : int
        Answers 429 that a rate limit gave, also those that were waited for.
    """

    alone: tuple[Reply, ...]
    together: tuple[Reply, ...]
    concurrency: int
    seconds: float
    before: Metrics | None
    after: Metrics | None
    kv_cache_usage: float | None
    waited: float | None
    refused: int

    @property
    def good_alone(self) -> list[Reply]:
        """Whole streams of those one after another."""
        return [reply for reply in self.alone if reply.ok and reply.ttft is not None]

    @property
    def good_together(self) -> list[Reply]:
        """Whole streams of those at once."""
        return [reply for reply in self.together if reply.ok and reply.ttft is not None]

    @property
    def wrong(self) -> list[Reply]:
        """Answers that are no whole stream, refusals of a rate limit aside."""
        return [r for r in (*self.alone, *self.together) if r.status != 429 and not (r.ok and r.ttft is not None)]

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second of all at once [tokens/s]."""
        return sum(reply.tokens for reply in self.good_together) / self.seconds if self.seconds > 0 else 0.0

    @property
    def requests_per_s(self) -> float:
        """Requests finished a second, all at once [requests/s]."""
        return len(self.good_together) / self.seconds if self.seconds > 0 else 0.0


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile of a few measured values: the smallest that so many are at or below.

    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5), quantile([3.0, 1.0, 2.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    place = -(-q * len(ordered) // 1)  # the next whole number above
    return ordered[min(max(int(place) - 1, 0), len(ordered) - 1)]


async def measure(inspection: Inspection) -> Load:
    """The load of this inspection, made once."""
    return await inspection.once("load", lambda: _measure(inspection))


async def unmeasured(inspection: Inspection, load: Load) -> Finding:
    """The finding where no stream was whole."""
    said = load.alone[0].line if load.alone else (await inspection.voice()).line
    mend = "Let the model stream an answer; see the API's own check."
    return conclude([bad("stream an answer", said, mend)])


async def _measure(inspection: Inspection) -> Load:
    concurrency = max(int(inspection.thresholds.value("concurrency")), 1)
    kind = (await inspection.voice()).kind
    end = time.perf_counter() + LONGEST
    # vLLM alone knows it; others refuse what they do not know.
    fields = {"ignore_eos": True} if await inspection.metrics() is not None else {}
    refused_before = inspection.asker.refused

    async def one(number: int) -> Reply:
        left = end - time.perf_counter()
        if left <= 0:
            return Reply("POST a streamed answer", None, error=f"not asked: the load takes {LONGEST:g} s at most")
        # Each begins differently, so that no prefix cache answers for the engine.
        prompt = f"{number} {inspection.marker('run')}: tell what a checklist is for."
        return await inspection.say(
            prompt, max_tokens=TOKENS, temperature=0.7, stream=True, gated=False, fields=fields,
            timeout=min(left, inspection.asker.timeout),
        )  # fmt: skip

    if not kind:
        return Load((), (), concurrency, 0.0, None, None, None, None, 0)
    await one(0)  # warms up
    alone = []
    for number in range(ALONE):
        alone.append(await one(number + 1))
        if len(alone) == 2 and not any(reply.ok for reply in alone):
            break  # it will not become better
    if not any(reply.ok for reply in alone):
        return Load(tuple(alone), (), concurrency, 0.0, None, None, None, None, 0)
    before = await inspection.metrics(fresh=True)
    usage: list[float] = []
    waiting: list[float] = []

    base = inspection.subject.metrics or ""

    async def watch() -> None:
        while True:
            seen = metrics_of(await inspection.ask("GET", "/metrics", base=base, gated=False, patient=False))
            if seen is not None:
                usage.append(seen.gauges.get("kv_cache_usage", 0.0))
                waiting.append(seen.gauges.get("requests_waiting", 0.0))
            await asyncio.sleep(EVERY)

    watcher = asyncio.ensure_future(watch()) if before is not None else None
    gate = asyncio.Semaphore(concurrency)

    async def gated(number: int) -> Reply:
        async with gate:
            return await one(number)

    begin = time.perf_counter()
    try:
        together = await asyncio.gather(*(gated(100 + n) for n in range(concurrency * ROUNDS)))
    finally:
        if watcher is not None:
            watcher.cancel()
    seconds = time.perf_counter() - begin
    after = await inspection.metrics(fresh=True)
    return Load(
        tuple(alone), tuple(together), concurrency, seconds, before, after,
        max(usage) if usage else None, max(waiting) if waiting else None,
        inspection.asker.refused - refused_before,
    )  # fmt: skip
