"""Requests finished a second."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude, doubt
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import TOKENS, measure, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="qps",
    title="QPS",
    item="Requests a second: 10 for chat, 100 for batch.",
    prove="Let the model stream answers at once; raise the threshold concurrency to the peak of a large fleet.",
    turn="measure",
)


async def look(inspection: Inspection) -> Finding:
    """Measure streams at once."""
    load = await measure(inspection)
    if not load.good_together:
        return await unmeasured(inspection, load)
    asked = f"{len(load.good_together)} answers of up to {TOKENS} tokens, {load.concurrency} at once"
    mend = f"Add replicas; or measure with more at once than {load.concurrency} (threshold concurrency)."
    if load.refused:
        said = f"{load.requests_per_s:.3g} requests/s, held back by a rate limit on the way"
        return conclude([doubt(asked, said, "Measure with a key that may send more, or at the engine itself.")])
    return conclude([inspection.thresholds["qps"].judge(asked, load.requests_per_s, mend)])
