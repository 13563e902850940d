"""Errors and timeouts are watched."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import watched

CHECK = Check(
    id="errors",
    title="Errors are watched",
    item="The share of errors and of timeouts.",
    prove="Give the address of Prometheus (--prometheus), or the files that tell it to collect (--manifests).",
)


async def look(inspection: Inspection) -> Finding:
    """Follow the counters of answers by their status."""
    names = ("http_requests_total", "http_request_duration_seconds", "vllm:request_success_total",
             "tgi_request_failure", "sglang:num_aborted_requests_total")  # fmt: skip
    expr = (
        'sum({__name__=~"http_requests_total|http_request_duration_seconds_count|nginx_ingress_controller_requests'
        '|istio_requests_total|tgi_request_failure|vllm:request_success_total"})'
    )
    pattern = r"5\.\.|5xx|status=~?\"5|error|abort|failure"
    return conclude(await watched(inspection, names, expr, pattern, "errors"), CHECK.prove)
