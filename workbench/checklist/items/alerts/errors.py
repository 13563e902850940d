"""An alert when requests fail."""

from __future__ import annotations

from workbench.checklist.alarms import alarm
from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="errors",
    title="Alert: requests fail",
    item="Somebody is told when more than 1 % of requests fail.",
    prove="Give the rule files (--manifests) or the address of Prometheus (--prometheus).",
)
PATTERNS = (
    r'(?:status|code|status_code|response_code)\s*=~?\s*"?\^?5', r'finished_reason\s*=~?\s*"[^"]*(?:abort|error)',
    r"request_failure|requests_failed|errors?_total|num_aborted_requests",
)  # fmt: skip


async def look(inspection: Inspection) -> Finding:
    """Look for a rule on answers of 5xx, aborts or failures."""
    example = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.01'
    pieces = await alarm(
        inspection, "requests that fail", PATTERNS, example, latest=inspection.thresholds["alert_error_rate"]
    )
    return conclude(pieces, CHECK.prove)
