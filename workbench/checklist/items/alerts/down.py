"""An alert when the endpoint is gone."""

from __future__ import annotations

from workbench.checklist.alarms import alarm
from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="down",
    title="Alert: the service is down",
    item="Somebody is told when nobody answers.",
    prove="Give the rule files (--manifests) or the address of Prometheus (--prometheus).",
)
PATTERNS = (
    r"\bup\b(?:\{[^}]*\})?\s*(?:==\s*0|<\s*1)", r"\babsent(?:_over_time)?\(",
    r"probe_success(?:\{[^}]*\})?\s*(?:==\s*0|<\s*1)",
    r"kube_deployment_status_replicas_(?:available|unavailable)", r"kube_statefulset_status_replicas_ready",
)  # fmt: skip


async def look(inspection: Inspection) -> Finding:
    """Look for a rule on what is down or absent."""
    example = 'up{job="vllm"} == 0 for 2m'
    return conclude(await alarm(inspection, "a service that is down", PATTERNS, example), CHECK.prove)
