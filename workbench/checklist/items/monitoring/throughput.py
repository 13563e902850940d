"""Throughput is watched: requests and tokens a second."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import watched

CHECK = Check(
    id="throughput",
    title="Throughput is watched",
    item="Requests and tokens a second.",
    prove="Give the address of Prometheus (--prometheus), or the files that tell it to collect (--manifests).",
)


async def look(inspection: Inspection) -> Finding:
    """Follow the counters from the engine to the screen."""
    names = ("vllm:generation_tokens_total", "vllm:request_success_total", "sglang:generation_tokens_total",
             "tgi_request_success", "llamacpp:tokens_predicted_total")  # fmt: skip
    counters = "(vllm|sglang):generation_tokens_total|tgi_request_success|llamacpp:tokens_predicted_total"
    expr = f'sum(rate({{__name__=~"{counters}"}}[5m]))'
    # A rate of a gauge of concurrency, which guides draw, is no throughput; nor are errors.
    counted = "tokens_total|request_success|tokens_predicted|requests_total|request_count"
    pattern = rf"^(?!.*(?:5\.\.|5xx|error))[\s\S]*(?:rate|increase)\([^)]*(?:{counted})"
    return conclude(await watched(inspection, names, expr, pattern, "a rate of requests or tokens"), CHECK.prove)
