"""Time to first token while others are served."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure, quantile, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="ttft",
    title="TTFT under load",
    item="Time to first token: 0.5 s for chat, 2 s for batch.",
    prove="Let the model stream answers at once.",
    turn="measure",
)


async def look(inspection: Inspection) -> Finding:
    """Measure streams at once."""
    load = await measure(inspection)
    fine = load.good_together
    if not fine:
        return await unmeasured(inspection, load)
    asked = f"{len(fine)} streams, {load.concurrency} at once, 95th percentile"
    mend = "Add replicas, limit the tokens of a step (--max-num-batched-tokens), or shorten prompts."
    return conclude([inspection.thresholds["ttft"].judge(asked, quantile([r.ttft or 0.0 for r in fine], 0.95), mend)])
