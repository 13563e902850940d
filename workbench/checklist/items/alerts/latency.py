"""An alert when answers become slow."""

from __future__ import annotations

from workbench.checklist.alarms import alarm
from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="latency",
    title="Alert: answers are slow",
    item="Somebody is told when the 99th percentile of latency is above 3 s (30 s for batch).",
    prove="Give the rule files (--manifests) or the address of Prometheus (--prometheus).",
)
PATTERNS = (r"(?:latency|duration|time_to_first_token|time_per_output_token)\w*_(?:seconds|bucket|milliseconds)",)


async def look(inspection: Inspection) -> Finding:
    """Look for a rule on a percentile of latency."""
    example = "histogram_quantile(0.99, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))) > 3"
    pieces = await alarm(inspection, "slow answers", PATTERNS, example, latest=inspection.thresholds["alert_latency"])
    return conclude(pieces, CHECK.prove)
