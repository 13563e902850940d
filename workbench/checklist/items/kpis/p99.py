"""The 99th percentile of latency: from the engine's own histogram, for a few requests cannot show it."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, doubt, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure
from workbench.checklist.registry import Check
from workbench.checklist.watching import query

CHECK = Check(
    id="p99",
    title="P99 of latency",
    item="99 of 100 requests are over within 3 s for chat, 30 s for batch.",
    prove="Give the address of /metrics (--metrics) or Prometheus (--prometheus), after some hundred requests.",
    turn="measure",
)
#: Requests below which a 99th percentile means nothing.
ENOUGH = 100
EXPR = (
    'histogram_quantile(0.99, sum by (le) (rate({__name__=~"(vllm|sglang):e2e_request_latency_seconds_bucket"}[1d])))'
)
MEND = "Look what the slow have in common: long answers (limit max_tokens), a queue (add replicas), full memory."


async def look(inspection: Inspection) -> Finding:
    """Take the longest record there is: Prometheus, the engine, the load of this inspection."""
    target = inspection.thresholds["p99"]
    if inspection.subject.prometheus:
        _, value = await query(inspection, EXPR)
        if value is not None:
            return conclude([target.judge("Prometheus: 99th percentile of the last day", value, MEND)])
    load = await measure(inspection)
    whole = load.after.histograms.get("latency") if load.after else None
    if whole is not None and whole.count >= ENOUGH:
        asked = f"the engine's histogram of {whole.count:,.0f} requests since its start"
        return conclude([target.judge(asked, whole.quantile(0.99), MEND)])
    taken = sorted(reply.seconds for reply in load.good_together)
    if not taken:
        return conclude([unknown("measure whole requests", "none was answered", "Let the model stream an answer.")])
    asked = f"{len(taken)} requests, {load.concurrency} at once"
    late = [seconds for seconds in taken if seconds > target.value]
    if len(late) > 1:
        return conclude(
            [bad(asked, f"{len(late)} took longer than {target.value:g} s, the longest {taken[-1]:.3g} s", MEND)]
        )
    said = f"the longest took {taken[-1]:.3g} s, {target.words} is asked; so few say little of one in a hundred"
    return conclude([doubt(asked, said, CHECK.prove)])
