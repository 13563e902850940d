"""The model: what answers is what was chosen."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="base_model",
    title="The chosen model answers",
    item="The base model is chosen by size, quality and cost, and it is the one that is served.",
    prove="Name the model that was chosen (--model), as clients name it.",
)


async def look(inspection: Inspection) -> Finding:
    """Ask for the model by its name, and see who answers."""
    listing = await inspection.reach()
    names = [row["id"] for row in await inspection.models()]
    expected = inspection.subject.model
    if not names:
        return conclude([unknown("GET /v1/models", listing.line, "Let the endpoint name its models.")])
    pieces = []
    if expected is None:
        pieces.append(unknown("GET /v1/models", f"serves {', '.join(names[:5])}; nobody said which was chosen"))
    elif expected not in names:
        mend = f"Serve it under that name (--served-model-name {expected}), or correct the name."
        pieces.append(bad("GET /v1/models", f"serves {', '.join(names[:5])}, not {expected}", mend))
    else:
        pieces.append(good("GET /v1/models", f"serves {expected}"))
    if mute := await inspection.speechless():
        return conclude([*pieces, mute], CHECK.prove)
    reply = await inspection.say("Hello", max_tokens=1)
    name, data = await inspection.model(), reply.json()
    answered = data.get("model") if isinstance(data, dict) else None
    asked = f"ask {name} for one token"
    if answered == name:
        pieces.append(good(asked, f"{answered} answers"))
    elif reply.ok:
        pieces.append(bad(asked, f"{answered or 'a model without a name'} answers", "Look at the gateway's routes."))
    else:
        pieces.append(reply.as_evidence("fail", "Look at the gateway's routes.", asked=asked))
    other = inspection.marker("no-such-model")
    path = "/v1/chat/completions" if (await inspection.voice()).kind == "chat" else "/v1/completions"
    body = {"model": other, "max_tokens": 1, "prompt": "Hello", "messages": [{"role": "user", "content": "Hello"}]}
    body.pop("prompt" if "chat" in path else "messages")
    wrong = await inspection.ask("POST", path, body=body)
    asked = "ask for a model that does not exist"
    if wrong.status in (400, 403, 404, 422):
        pieces.append(wrong.as_evidence("pass", asked=asked))
    else:
        mend = "A name that nobody serves must be refused (404), or a typing error costs an answer by another model."
        pieces.append(wrong.as_evidence("fail" if wrong.ok else "warn", mend, asked=asked))
    return conclude(pieces, CHECK.prove, f"{name} answers, and a name that nobody serves is refused")
