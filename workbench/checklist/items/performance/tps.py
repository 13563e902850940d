"""Generation speed of a request that has the engine to itself."""

from __future__ import annotations

import statistics

from workbench.checklist.finding import Finding, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="tps",
    title="Tokens a second, one request at a time",
    item="Text is generated faster than its target.",
    prove="Let the model stream answers of several tokens.",
    turn="measure",
)
MEND = "Quantise the weights, divide the model over more GPUs, or take a smaller one (`workbench plan`)."


async def look(inspection: Inspection) -> Finding:
    """Measure a few streams one after another."""
    load = await measure(inspection)
    if not load.good_alone:
        return await unmeasured(inspection, load)
    speeds = [reply.tps for reply in load.good_alone if reply.tps is not None]
    asked = f"{len(load.good_alone)} streams, tokens after the first over their time"
    if not speeds:
        return conclude([unknown(asked, "each answer came in one piece")], CHECK.prove)
    speed = statistics.median(speeds)
    if inspection.thresholds.profile == "batch":
        # The target of a batch is what all requests make together: the key figure says whether it is met.
        return conclude(
            [good(asked, f"{speed:.3g} tokens/s of one request; a batch counts all together: see its key figure")]
        )
    return conclude([inspection.thresholds["tps"].judge(asked, speed, MEND)])
