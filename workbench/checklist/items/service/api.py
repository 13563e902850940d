"""The API: OpenAI's routes answer, stream and refuse as clients expect."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, good
from workbench.checklist.inspection import REACH, Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="api",
    title="The API is OpenAI's",
    item="Clients of OpenAI's API work: models, answers, streams, token counts, errors in its own form.",
    prove="Give the address of the endpoint.",
)
MEND = "Look into the engine's log; `workbench smoke URL` asks all routes once."


async def look(inspection: Inspection) -> Finding:
    """Ask once of everything."""
    listing = await inspection.reach()
    models = await inspection.models()
    asked = "GET /v1/models"
    if not models:
        return conclude([listing.as_evidence("fail", REACH if listing.status is None else MEND, asked=asked)])
    pieces = [good(asked, f"serves {', '.join(row['id'] for row in models[:5])}")]
    voice = await inspection.voice()
    if mute := await inspection.speechless(fatal=True):
        return conclude([*pieces, bad(mute.asked, mute.answered, MEND)])
    whole = await inspection.say("Name a colour.", max_tokens=8)
    usage = whole.json().get("usage") if isinstance(whole.json(), dict) else None
    pieces.append(whole.as_evidence("pass" if whole.ok else "fail", MEND, asked="ask for an answer"))
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if whole.ok and isinstance(usage, dict) and isinstance(count, int) and 0 <= count <= 8:
        pieces.append(good("usage of the answer", f"{usage.get('prompt_tokens')} + {count} tokens"))
    elif whole.ok:
        mend = "Without token counts nobody can bill or limit; serve with an engine that counts."
        pieces.append(bad("usage of the answer", f"{str(usage)[:80]} for at most 8 tokens", mend))
    stream = await inspection.say("Name a colour.", max_tokens=8, stream=True)
    mend = f"{MEND} A gateway must not buffer (nginx: proxy_buffering off)."
    pieces.append(stream.as_evidence("pass" if stream.ok else "fail", mend, asked="ask for a stream"))
    path = "/v1/chat/completions" if voice.kind == "chat" else "/v1/completions"
    wrong = await inspection.ask("POST", path, body={"model": await inspection.model(), "max_tokens": "many"})
    asked, data = "send a request that is wrong", wrong.json()
    if wrong.status in (400, 422) and isinstance(data, dict):
        pieces.append(wrong.as_evidence("pass", asked=asked))
    else:
        mend = "What is wrong must be refused with 400 and a message as JSON: clients repeat what answers 500."
        pieces.append(wrong.as_evidence("fail" if (wrong.status or 500) >= 500 else "warn", mend, asked=asked))
    return conclude(pieces, well="models, answers, streams, token counts and refusals are as clients expect")
