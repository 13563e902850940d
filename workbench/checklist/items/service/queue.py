"""Queue and limits: more requests than it can take are queued or refused politely, none is lost."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.flood import flood
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="queue",
    title="Too many requests are queued or refused, not lost",
    item="A queue takes a burst, and a limit ends it before users wait for ever.",
    prove="Let the model answer; a burst of requests of one token is then sent.",
    turn="exhaust",
)


async def look(inspection: Inspection) -> Finding:
    """Send a burst, and see what became of each request."""
    if mute := await inspection.speechless():
        return conclude([mute], CHECK.prove)
    burst = await flood(inspection)
    asked = f"{len(burst.replies)} requests of one token, twelve at once"
    if burst.lost:
        mend = "Errors under a burst mean that something breaks before the queue: look into gateway and engine log."
        return conclude([bad(asked, f"{burst.counts}; first: {burst.lost[0].line}", mend)])
    pieces = [good(asked, burst.counts)]
    if burst.limited:
        pieces.append(good("look for a limit of the queue", f"refused with 429 after {len(burst.replies)} requests"))
    else:
        mend = (
            "Limit requests a user or the queue's length at the gateway: an endless queue grows until clients give up."
        )
        pieces.append(doubt("look for a limit of the queue", "none was refused", mend))
    exported = await inspection.exported()
    if exported:
        name = next((n for n in sorted(exported) if "waiting" in n or "queue" in n), "")
        asked = "look for the queue's length on /metrics"
        pieces.append(good(asked, name) if name else unknown(asked, "no metric tells it"))
    well = f"nothing was lost of {len(burst.replies)} requests: {burst.counts}"
    return conclude(pieces, "Serve with an engine that exports the queue's length.", well)
