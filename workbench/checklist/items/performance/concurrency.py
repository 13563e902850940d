"""Many at once: every request is answered, and together they get more than one alone."""

from __future__ import annotations

import statistics

from workbench.checklist.finding import Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="concurrency",
    title="Many requests at once",
    item="The throughput under load meets the peak.",
    prove="Write requests_per_s and concurrency of the peak into the needs; load a fleet with its own generator.",
    turn="measure",
)


async def look(inspection: Inspection) -> Finding:
    """Measure streams at once, and compare with one at a time."""
    load = await measure(inspection)
    if not load.together:
        return await unmeasured(inspection, load)
    sent, wrong = len(load.together), [r for r in load.wrong if r in load.together]
    asked = f"{sent} streams, {load.concurrency} at once"
    if wrong:
        mend = "Look into the engine's log: under load something breaks that holds alone."
        return conclude([bad(asked, f"{len(wrong)} failed; first: {wrong[0].line}", mend)])
    pieces = [
        good(asked, f"all answered, {load.requests_per_s:.3g} a second, {load.tokens_per_s:.4g} tokens/s together")
    ]
    if len(load.good_together) < sent or load.refused:
        mend = "The rate limit is below this load: measure with a key that may send more, or at the engine itself."
        pieces.append(doubt("look for refusals", f"{load.refused} refused by a rate limit on the way", mend))
    else:
        alone = [reply.tokens / reply.seconds for reply in load.good_alone if reply.seconds > 0]
        gain = load.tokens_per_s / statistics.median(alone) if alone else float("nan")
        mend = "Requests wait for each other: raise max_num_seqs, look at the KV cache, add replicas."
        pieces.append(inspection.thresholds["scaling_gain"].judge("all together over one alone", gain, mend))
    peak = inspection.subject.needs.get("requests_per_s")
    if peak is not None:
        asked = f"the needs' peak of {peak:g} requests a second"
        if load.requests_per_s >= peak:
            pieces.append(good(asked, f"{load.requests_per_s:.3g} a second were finished"))
        elif load.concurrency < inspection.subject.needs.get("concurrency", load.concurrency + 1):
            pieces.append(
                unknown(
                    asked, f"{load.concurrency} at once finish {load.requests_per_s:.3g}; the peak has more at once"
                )
            )
        else:
            mend = "Add replicas, or plan for the peak: `workbench search` with its workload."
            pieces.append(bad(asked, f"{load.requests_per_s:.3g} a second were finished", mend))
    return conclude(pieces, CHECK.prove, pieces[0].answered)
