"""The rate limit: it exists, says when to come again, and is each user's own."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, doubt, good
from workbench.checklist.flood import flood
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="rate_limit",
    title="The rate is limited",
    item="Requests are limited for each user or address.",
    prove="Let the model answer; the limit is then exceeded gently.",
    turn="exhaust",
)


async def look(inspection: Inspection) -> Finding:
    """Exceed the limit with cheap requests, and ask as somebody else meanwhile."""
    if mute := await inspection.speechless():
        return conclude([mute], CHECK.prove)
    burst = await flood(inspection)
    asked = f"{len(burst.replies)} requests of one token, twelve at once"
    if not burst.limited:
        mend = "Limit requests at the gateway (nginx: limit_req_zone by $http_authorization, limit_req_status 429)."
        return conclude([bad(asked, f"none was refused: {burst.counts}", mend)])
    pieces = [good(asked, burst.counts)]
    again = burst.limited[0].headers.get("retry-after")
    if again:
        pieces.append(good("Retry-After of a refusal", again))
    else:
        mend = "Send Retry-After with 429 (nginx: error_page 429 with add_header Retry-After 1 always)."
        pieces.append(doubt("Retry-After of a refusal", "there is none: clients do not know when to come again", mend))
    if burst.other is None:
        mend = "Give a second user's key (--other-key): while the first is refused, the second must be served."
        pieces.append(
            doubt("whose limit it is", "this client's; whether each user has one of their own was not seen", mend)
        )
    elif burst.other.ok:
        pieces.append(good("ask with a second user's key meanwhile", burst.other.line))
    else:
        mend = "One limit for all lets one user shut out the others: key it by user."
        pieces.append(burst.other.as_evidence("fail", mend, asked="ask with a second user's key meanwhile"))
    return conclude(pieces, well="refused with 429 and Retry-After, each user by a limit of their own")
