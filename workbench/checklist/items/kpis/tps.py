"""Generation speed while others are served: of each for chat, of all together for batch."""

from __future__ import annotations

import statistics

from workbench.checklist.finding import Finding, conclude, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="tps",
    title="TPS under load",
    item="Tokens a second: 30 of each request for chat, 1,000 of all together for batch.",
    prove="Let the model stream answers of several tokens at once.",
    turn="measure",
)


async def look(inspection: Inspection) -> Finding:
    """Measure streams at once."""
    load = await measure(inspection)
    fine, target = load.good_together, inspection.thresholds["tps"]
    if not fine:
        return await unmeasured(inspection, load)
    asked = f"{len(fine)} streams, {load.concurrency} at once"
    mend = "Add replicas, quantise, or let fewer requests run at once (--max-num-seqs); for a batch, more."
    if inspection.thresholds.profile == "batch":
        return conclude([target.judge(f"{asked}, all together", load.tokens_per_s, mend)])
    speeds = [reply.tps for reply in fine if reply.tps is not None]
    if not speeds:
        return conclude([unknown(asked, "each answer came in one piece")], CHECK.prove)
    return conclude([target.judge(f"{asked}, the median of each", statistics.median(speeds), mend)])
