"""Availability: the share of time the endpoint was up, from who watched it."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, unknown
from workbench.checklist.inspection import REACH, Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import query

CHECK = Check(
    id="availability",
    title="Availability",
    item="Up 99.9 % of the time for chat, 99.5 % for batch.",
    prove="Give the address of Prometheus (--prometheus), which has watched it for weeks.",
)
#: From outside where there is a probe, else how often the metrics could be collected.
EXPRS = (
    "avg_over_time(probe_success[30d])",
    "avg(avg_over_time(up[30d]) and on (instance, job) "
    '{__name__=~"(vllm|sglang):num_requests_running|tgi_queue_size"})',
)


async def look(inspection: Inspection) -> Finding:
    """Ask Prometheus; that it answers now is no availability."""
    now = await inspection.reach()
    if now.status is None or now.status >= 500:
        return conclude([bad("GET /v1/models now", now.line, REACH)])
    if inspection.subject.prometheus is None:
        said = f"HTTP {now.status} now, which says nothing of the last month"
        return conclude([unknown("GET /v1/models now", said)], CHECK.prove)
    mend = "Run two replicas behind probes, and look what took it down."
    for expr in EXPRS:
        _, value = await query(inspection, expr)
        if value is not None:
            return conclude([inspection.thresholds["availability"].judge(f"Prometheus: {expr}", value, mend)])
    return conclude(
        [unknown("Prometheus: up or probe_success of the last 30 days", "it has neither of this endpoint")], CHECK.prove
    )
