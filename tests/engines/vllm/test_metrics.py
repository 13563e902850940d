"""``/metrics`` of old and new releases, written with Prometheus' own client library."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client import Histogram as Recorder

from workbench.engines.vllm.metrics import Histogram, parse_metrics
from workbench.errors import InvalidInput
from workbench.quantities import GIB

LABELS = ["model_name", "engine"]


def page(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_a_page_of_today_with_two_data_parallel_engines() -> None:
    registry = CollectorRegistry()
    running = Gauge("vllm:num_requests_running", "x", LABELS, registry=registry)
    usage = Gauge("vllm:kv_cache_usage_perc", "x", LABELS, registry=registry)
    tokens = Counter("vllm:generation_tokens", "x", LABELS, registry=registry)
    queries = Counter("vllm:prefix_cache_queries", "x", LABELS, registry=registry)
    hits = Counter("vllm:prefix_cache_hits", "x", LABELS, registry=registry)
    ttft = Recorder("vllm:time_to_first_token_seconds", "x", LABELS, buckets=(0.1, 1.0), registry=registry)
    cache = {
        "block_size": "128",
        "num_gpu_blocks": "4096",
        "kv_cache_memory_bytes": str(GIB),
        "kv_cache_size_tokens": "524288",
        "kv_cache_max_concurrency": "1024.0",
        "cache_dtype": "auto",
        "gpu_memory_utilization": "0.92",
        "num_cpu_blocks": "None",
        "engine": "0",
    }
    Gauge("vllm:cache_config_info", "x", list(cache), registry=registry).labels(**cache).set(1)
    for engine in ("0", "1"):
        running.labels("m", engine).set(2)
        tokens.labels("m", engine).inc(10)
        queries.labels("m", engine).inc(40)
        hits.labels("m", engine).inc(10)
        ttft.labels("m", engine).observe(0.05)
        ttft.labels("m", engine).observe(0.5)
    usage.labels("m", "0").set(0.25)
    usage.labels("m", "1").set(0.75)

    metrics = parse_metrics(page(registry))
    assert metrics.model == "m"
    assert metrics.gauges == {"requests_running": 4.0, "kv_cache_usage": 0.75}
    assert metrics.counters["generation_tokens"] == 20.0
    assert metrics.prefix_hit_rate == 0.25
    assert metrics.histograms["ttft"].count == 4.0
    assert metrics.histograms["ttft"].mean == pytest.approx(0.275)
    memory = metrics.memory()
    assert memory.kv_cache == GIB
    assert memory.kv_cache_tokens == 524288
    assert (memory.kv_cache_blocks, memory.block_size) == (4096, 128)
    assert memory.max_concurrency == 1024.0
    assert memory.utilization == 0.92


def test_old_names_are_read_and_new_ones_win() -> None:
    registry = CollectorRegistry()
    Gauge("vllm:gpu_cache_usage_perc", "x", LABELS, registry=registry).labels("m", "0").set(0.5)
    old = Recorder("vllm:time_per_output_token_seconds", "x", LABELS, buckets=(1.0,), registry=registry)
    old.labels("m", "0").observe(0.5)
    metrics = parse_metrics(page(registry))
    assert metrics.gauges["kv_cache_usage"] == 0.5
    assert metrics.histograms["itl"].count == 1.0

    new = Recorder("vllm:inter_token_latency_seconds", "x", LABELS, buckets=(1.0,), registry=registry)
    for _ in range(3):
        new.labels("m", "0").observe(0.25)
    assert parse_metrics(page(registry)).histograms["itl"].count == 3.0


def test_a_release_without_a_label_for_tokens() -> None:
    line = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="1000",kv_cache_memory_bytes="None"} 1.0\n'
    memory = parse_metrics("# TYPE vllm:cache_config_info gauge\n" + line).memory()
    assert memory.kv_cache is None
    assert memory.kv_cache_tokens == 16000


def test_a_page_of_something_else_has_nothing_of_vllm() -> None:
    metrics = parse_metrics("# TYPE python_gc_objects counter\npython_gc_objects_total 4.0\n")
    assert not metrics.gauges
    assert not metrics.counters
    assert math.isnan(metrics.prefix_hit_rate)
    assert metrics.memory().kv_cache_tokens is None


def test_no_metrics_page_at_all() -> None:
    with pytest.raises(InvalidInput, match="/metrics"):
        parse_metrics("<html><body>404 { not found</body></html>")


def test_quantiles_of_a_known_histogram() -> None:
    histogram = Histogram((1.0, 2.0, math.inf), (4.0, 8.0, 10.0), 15.0)
    assert histogram.quantile(0.0) == 0.0
    assert histogram.quantile(0.4) == 1.0
    assert histogram.quantile(0.6) == 1.5
    assert histogram.quantile(1.0) == 2.0  # beyond the last finite bound nothing more can be said
    assert math.isnan(Histogram((1.0, math.inf), (0.0, 0.0), 0.0).quantile(0.5))
    with pytest.raises(InvalidInput):
        histogram.quantile(1.5)


def test_what_happened_since_an_earlier_reading() -> None:
    earlier = Histogram((1.0, math.inf), (2.0, 3.0), 4.0)
    later = Histogram((1.0, math.inf), (5.0, 7.0), 9.0)
    assert later.since(earlier) == Histogram((1.0, math.inf), (3.0, 4.0), 5.0)
    assert later.since(None) is later


BOUNDS = (0.01, 0.1, 0.5, 1.0, 5.0)


@given(st.lists(st.floats(0.0001, 4.99), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_stay_in_their_bucket_and_in_order(observations: list[float], a: float, b: float) -> None:
    registry = CollectorRegistry()
    recorder = Recorder("vllm:e2e_request_latency_seconds", "x", LABELS, buckets=BOUNDS, registry=registry)
    for value in observations:
        recorder.labels("m", "0").observe(value)
    histogram = parse_metrics(page(registry)).histograms["latency"]
    assert histogram.count == len(observations)
    assert histogram.mean == pytest.approx(sum(observations) / len(observations))
    low, high = sorted((a, b))
    assert histogram.quantile(low) <= histogram.quantile(high) + 1e-12
    # The true quantile and the estimate lie in the same bucket.
    true = sorted(observations)[max(math.ceil(high * len(observations)) - 1, 0)]
    bucket = next(i for i, bound in enumerate(BOUNDS) if true <= bound)
    floor = BOUNDS[bucket - 1] if bucket else 0.0
    assert floor - 1e-12 <= histogram.quantile(high) <= BOUNDS[bucket] + 1e-12
