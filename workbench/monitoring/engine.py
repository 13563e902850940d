"""An engine's ``/metrics`` as what people ask for: tokens a second, percentiles, what a step is made of.

The page counts from the engine's start; what happens now is the difference of two readings. vLLM has such a page,
under names of old releases and new (:mod:`workbench.engines.vllm.metrics`); llama-cpp-python's server has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.engines.vllm.metrics import Histogram, Metrics


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long something took, of those that ended between two readings.

    Parameters
    ----------
    count : float
        How many ended.
    mean, p50, p95 : float
        [s]; percentiles are interpolated within the histogram's buckets.
    """

    count: float
    mean: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What an engine did between two readings; what it does not count is None.

    Parameters
    ----------
    seconds : float
        Between the two [s].
    running, waiting : float or None
        Requests at the later reading.
    kv_usage : float or None
        Share of the KV cache in use at the later reading, the fullest rank's, from 0 to 1 [-].
    prompt_tokens, cached_tokens, generation_tokens : float or None
        Tokens of prompts, those of them found in the prefix cache, tokens said [1/s].
    requests, preemptions : float or None
        Requests that ended; requests sent back for want of cache [1/s].
    accepted : float or None
        Share of drafted tokens that were kept, from 0 to 1 [-].
    steps, step_tokens : float or None
        Engine steps [1/s]; tokens computed in one, mean.
    ttft, itl, queue, latency : Percentiles or None
        Time to the first token, between two tokens, in the queue, of a whole request.
    prefix_caching : bool or None
        Whether the engine says that it caches prefixes.
    """

    seconds: float
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    generation_tokens: float | None = None
    requests: float | None = None
    preemptions: float | None = None
    accepted: float | None = None
    steps: float | None = None
    step_tokens: float | None = None
    ttft: Percentiles | None = None
    itl: Percentiles | None = None
    queue: Percentiles | None = None
    latency: Percentiles | None = None
    prefix_caching: bool | None = None


def says_something(metrics: Metrics) -> bool:
    """Whether the page holds anything of vLLM's."""
    return bool(metrics.gauges or metrics.counters)


def restarted(earlier: Metrics, later: Metrics) -> bool:
    """Whether the later reading is of another process: it started later, or a counter has gone back.

    >>> before, after = Metrics(counters={"generation_tokens": 90.0}), Metrics(counters={"generation_tokens": 3.0})
    >>> restarted(before, after), restarted(after, before)
    (True, False)
    """
    if earlier.started is not None and later.started is not None and later.started > earlier.started + 0.5:
        return True
    return any(value < earlier.counters.get(name, 0.0) for name, value in later.counters.items())


def same_process(earlier: Metrics, later: Metrics) -> bool:
    """Whether both are known to be of one process: no counter that happens to be higher can deceive."""
    return earlier.started is not None and later.started is not None and not restarted(earlier, later)


def between(earlier: Metrics | None, later: Metrics, seconds: float) -> Rates:
    """What happened between two readings of one process.

    Parameters
    ----------
    earlier, later : Metrics
        Two readings, not of an engine that was restarted between them; without the earlier one, what stands now.
    seconds : float
        Between the two, more than 0 [s].

    Examples
    --------
    >>> before = Metrics(counters={"generation_tokens": 100.0})
    >>> after = Metrics(gauges={"requests_running": 2.0}, counters={"generation_tokens": 180.0})
    >>> found = between(before, after, 2.0)
    >>> found.generation_tokens, found.running, found.preemptions
    (40.0, 2.0, None)
    """
    if earlier is None:
        return Rates(seconds=0.0, **_standing(later))
    rate = {name: _grown(earlier.counters, later.counters, name, seconds) for name in later.counters}
    steps = _since(earlier, later, "step_tokens")
    drafted = rate.get("draft_tokens")
    queries, hits, prompt = (rate.get(name) for name in ("prefix_cache_queries", "prefix_cache_hits", "prompt_tokens"))
    cached = prompt * min(hits / queries, 1.0) if prompt is not None and hits is not None and queries else None
    return Rates(
        seconds=seconds,
        **_standing(later),
        prompt_tokens=prompt,
        cached_tokens=cached,
        generation_tokens=rate.get("generation_tokens"),
        requests=rate.get("requests_finished"),
        preemptions=rate.get("preemptions"),
        accepted=min((rate.get("accepted_tokens") or 0.0) / drafted, 1.0) if drafted else None,
        steps=steps.count / seconds if steps else None,
        step_tokens=steps.mean if steps and steps.count else None,
        ttft=_percentiles(_since(earlier, later, "ttft")),
        itl=_percentiles(_since(earlier, later, "itl")),
        queue=_percentiles(_since(earlier, later, "queue")),
        latency=_percentiles(_since(earlier, later, "latency")),
    )


def _standing(later: Metrics) -> dict[str, Any]:
    return {
        "running": later.gauges.get("requests_running"),
        "waiting": later.gauges.get("requests_waiting"),
        "kv_usage": later.gauges.get("kv_cache_usage"),
        "prefix_caching": _yes(later.cache_config, "enable_prefix_caching"),
    }


def _grown(earlier: Mapping[str, float], later: Mapping[str, float], name: str, seconds: float) -> float:
    # A counter with labels appears with its first event; before that it stood at nought.
    return max(later[name] - earlier.get(name, 0.0), 0.0) / seconds


def _since(earlier: Metrics, later: Metrics, name: str) -> Histogram | None:
    now = later.histograms.get(name)
    return None if now is None else now.since(earlier.histograms.get(name))


def _percentiles(histogram: Histogram | None) -> Percentiles | None:
    if histogram is None or histogram.count <= 0 or not math.isfinite(histogram.total):
        return None
    return Percentiles(histogram.count, histogram.mean, histogram.quantile(0.5), histogram.quantile(0.95))


def _yes(labels: Mapping[str, str], name: str) -> bool | None:
    return {"true": True, "false": False}.get(labels.get(name, "").casefold())
