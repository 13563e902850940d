"""Latency is watched: histograms are exported, collected and drawn."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import watched

CHECK = Check(
    id="latency",
    title="Latency is watched",
    item="The 50th, 95th and 99th percentile of latency.",
    prove="Give the address of Prometheus (--prometheus), or the files that tell it to collect (--manifests).",
)


async def look(inspection: Inspection) -> Finding:
    """Follow the histogram from the engine to the screen."""
    names = ("vllm:e2e_request_latency_seconds", "vllm:time_to_first_token_seconds",
             "sglang:e2e_request_latency_seconds", "tgi_request_duration", "http_request_duration_seconds")  # fmt: skip
    expr = (
        'histogram_quantile(0.99, sum by (le) (rate({__name__=~"(vllm|sglang):e2e_request_latency_seconds_bucket'
        '|tgi_request_duration_bucket|http_request_duration_seconds_bucket"}[1h])))'
    )
    pattern = r"histogram_quantile[\s\S]*(latency|duration|time_to_first_token)"
    return conclude(await watched(inspection, names, expr, pattern, "a percentile of latency"), CHECK.prove)
