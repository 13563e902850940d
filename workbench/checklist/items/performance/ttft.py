"""Time to first token of a request that has the engine to itself."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude, doubt
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure, quantile, unmeasured
from workbench.checklist.registry import Check

CHECK = Check(
    id="ttft",
    title="First token, one request at a time",
    item="The time to the first token is below its target.",
    prove="Let the model stream an answer.",
    turn="measure",
)


async def look(inspection: Inspection) -> Finding:
    """Measure a few streams one after another."""
    load = await measure(inspection)
    fine = load.good_alone
    if not fine:
        return await unmeasured(inspection, load)
    worst = quantile([reply.ttft or 0.0 for reply in fine], 0.95)
    mend = "Shorten prompts, cache prefixes, add GPUs or take a smaller model (`workbench plan` says what each gives)."
    pieces = [inspection.thresholds["ttft"].judge(f"{len(fine)} streams, the slowest", worst, mend)]
    # A stream of many tokens whose pieces come in one instant is collected on the way: its first token is its last.
    if all(reply.tokens > 4 and sum(reply.gaps) < 0.02 * reply.seconds for reply in fine):
        mend = "Let nobody on the way collect it (nginx: proxy_buffering off; no compression of text/event-stream)."
        pieces.append(doubt("look when the pieces came", "all at once: somebody on the way buffers the stream", mend))
    return conclude(pieces)
