"""What vLLM's ``/metrics`` says: the cache it has, how busy it is, how fast it answers.

The text is Prometheus' own format and read by its client library. Names are those of vLLM 0.33; where a release
renamed or removed one, the older names stand beside it, newest first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workbench.engines.vllm.logs import MemoryReport
from workbench.errors import InvalidInput

#: Our name -> vLLM's names without the "vllm:" prefix, newest first.
GAUGES: dict[str, tuple[str, ...]] = {
    "requests_running": ("num_requests_running",),
    "requests_waiting": ("num_requests_waiting",),
    # renamed with V1; the old name went in November 2025 (vLLM pull request 29330)
    "kv_cache_usage": ("kv_cache_usage_perc", "gpu_cache_usage_perc"),
}
COUNTERS: dict[str, tuple[str, ...]] = {
    "prompt_tokens": ("prompt_tokens",),
    "generation_tokens": ("generation_tokens",),
    "requests_finished": ("request_success",),
    "preemptions": ("num_preemptions",),
    "prefix_cache_queries": ("prefix_cache_queries", "gpu_prefix_cache_queries"),
    "prefix_cache_hits": ("prefix_cache_hits", "gpu_prefix_cache_hits"),
    "draft_tokens": ("spec_decode_num_draft_tokens",),
    "accepted_tokens": ("spec_decode_num_accepted_tokens",),
}
HISTOGRAMS: dict[str, tuple[str, ...]] = {
    "ttft": ("time_to_first_token_seconds",),
    # time_per_output_token_seconds was per token all along; hidden in 0.12, then removed (pull request 32661)
    "itl": ("inter_token_latency_seconds", "time_per_output_token_seconds"),
    "tpot": ("request_time_per_output_token_seconds",),
    "latency": ("e2e_request_latency_seconds",),
    "queue": ("request_queue_time_seconds",),
    "prefill": ("request_prefill_time_seconds",),
    "decode": ("request_decode_time_seconds",),
    "prompt_length": ("request_prompt_tokens",),
    "output_length": ("request_generation_tokens",),
    # Tokens computed in one engine step; a histogram in spite of its name.
    "step_tokens": ("iteration_tokens_total",),
}


@dataclass(frozen=True)
class Histogram:
    """A cumulative histogram.

    Parameters
    ----------
    bounds : tuple of float
        Upper bounds of the buckets, rising, the last one infinite; in the quantity's unit.
    counts : tuple of float
        Observations at or below each bound.
    total : float
        Sum of all observations.

    Examples
    --------
    >>> histogram = Histogram(bounds=(0.1, 0.2, math.inf), counts=(0.0, 10.0, 10.0), total=1.5)
    >>> histogram.count, histogram.mean, round(histogram.quantile(0.5), 3)
    (10.0, 0.15, 0.15)
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float

    @property
    def count(self) -> float:
        """Number of observations."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean(self) -> float:
        """Mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    def quantile(self, q: float) -> float:
        """A quantile, interpolated within its bucket as Prometheus' ``histogram_quantile`` does.

        Parameters
        ----------
        q : float
            From 0 to 1 [-].

        Returns
        -------
        float
            In the quantity's unit; NaN of nothing; the last finite bound where it falls beyond that.

        Raises
        ------
        InvalidInput
            ``q`` is not between 0 and 1.
        """
        if not 0 <= q <= 1:
            raise InvalidInput(f"a quantile is between 0 and 1, not {q}")
        if not self.count:
            return math.nan
        rank = q * self.count
        lower, below = 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                if math.isinf(bound):
                    return lower
                return lower + (bound - lower) * max(rank - below, 0.0) / (count - below)
            lower, below = (lower if math.isinf(bound) else bound), count
        return lower

    def since(self, earlier: Histogram | None) -> Histogram:
        """What was observed after ``earlier`` was read from the same engine."""
        if earlier is None or earlier.bounds != self.bounds:
            return self
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        return Histogram(self.bounds, counts, self.total - earlier.total)


@dataclass(frozen=True)
class Metrics:
    """One reading of ``/metrics``, engines (data-parallel ranks) added up.

    Attributes
    ----------
    gauges, counters : dict of str to float
        By our names (:data:`GAUGES`, :data:`COUNTERS`); what the engine lacks is missing. ``kv_cache_usage`` is the
        fullest rank's share, from 0 to 1.
    histograms : dict of str to Histogram
        By our names (:data:`HISTOGRAMS`) [s, or tokens for the two lengths and the step].
    cache_config : dict of str to str
        Labels of ``vllm:cache_config_info`` of the first engine, as printed.
    model : str or None
        The served model's name.
    started : float or None
        When what counts was started [s since 1970]: the process, where the page says so, else its first counter. It
        tells a restarted engine from one that went on.
    """

    gauges: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    cache_config: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    started: float | None = None

    @property
    def prefix_hit_rate(self) -> float:
        """Share of queried prompt tokens found in the prefix cache, from 0 to 1 [-]; NaN before any query."""
        queries = self.counters.get("prefix_cache_queries", 0.0)
        return self.counters.get("prefix_cache_hits", 0.0) / queries if queries else math.nan

    def memory(self) -> MemoryReport:
        """What the cache configuration says of memory: exact, unlike the log's two decimals."""
        blocks, block_size = self._whole("num_gpu_blocks"), self._whole("block_size")
        tokens = self._whole("kv_cache_size_tokens")
        if tokens is None and blocks and block_size:
            tokens = blocks * block_size  # releases before 0.17 have no label for it
        return MemoryReport(
            kv_cache=self._whole("kv_cache_memory_bytes"),
            kv_cache_tokens=tokens,
            kv_cache_blocks=blocks,
            block_size=block_size,
            max_concurrency=self._real("kv_cache_max_concurrency"),
            utilization=self._real("gpu_memory_utilization"),
            cache_dtype=self.cache_config.get("cache_dtype"),
        )

    def _real(self, label: str) -> float | None:
        try:
            return float(self.cache_config[label])
        except (KeyError, ValueError):  # absent, or "None"
            return None

    def _whole(self, label: str) -> int | None:
        value = self._real(label)
        return None if value is None else int(value)


def parse_metrics(text: str) -> Metrics:
    """Read the text of ``/metrics``.

    Raises
    ------
    InvalidInput
        The text is not Prometheus' format.

    Examples
    --------
    >>> reading = parse_metrics('# TYPE vllm:num_requests_running gauge\\n'
    ...                         'vllm:num_requests_running{engine="0",model_name="m"} 3.0\\n')
    >>> reading.gauges, reading.model
    ({'requests_running': 3.0}, 'm')
    """
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, list[float]] = defaultdict(list)
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    cache: dict[str, str] = {}
    model: str | None = None
    process: float | None = None
    created: list[float] = []
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("vllm:").removeprefix("vllm_")
                if name == sample.name:
                    if name == "process_start_time_seconds":
                        process = sample.value
                    continue
                if name.endswith("_created"):
                    created.append(sample.value)
                    continue
                model = model or sample.labels.get("model_name")
                if name == "cache_config_info":
                    cache = cache or dict(sample.labels)
                elif "le" in sample.labels:
                    buckets[name.removesuffix("_bucket")][float(sample.labels["le"])] += sample.value
                else:
                    values[name].append(sample.value)
    except (ValueError, KeyError) as error:
        raise InvalidInput(f"this is not the text of a /metrics page: {error}") from error
    gauges = {ours: (max if ours == "kv_cache_usage" else sum)(values[name]) for ours, name in _present(GAUGES, values)}
    # The parser names counters without "_total" in one format and with it in the other.
    totals = {name.removesuffix("_total"): found for name, found in values.items() if name.endswith("_total")}
    counters = {ours: math.fsum(totals[name]) for ours, name in _present(COUNTERS, totals)}
    histograms = {
        ours: Histogram(
            bounds=tuple(sorted(buckets[name])),
            counts=tuple(buckets[name][bound] for bound in sorted(buckets[name])),
            total=math.fsum(values.get(f"{name}_sum", ())),
        )
        for ours, name in _present(HISTOGRAMS, buckets)
    }
    started = process if process is not None else min(created, default=None)
    return Metrics(gauges, counters, histograms, cache, model, started)


def _present(names: Mapping[str, tuple[str, ...]], found: Iterable[str]) -> list[tuple[str, str]]:
    """Our names with the newest of vLLM's that is there."""
    have = set(found)
    newest = ((ours, next((name for name in theirs if name in have), None)) for ours, theirs in names.items())
    return [(ours, name) for ours, name in newest if name is not None]
