"""The task: what is asked of the model is written down, and what is served can hold it."""

from __future__ import annotations

from workbench.checklist.finding import Finding, bad, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="task_need",
    title="The task is known",
    item="What the model is for (chat, code, translation, retrieval …), and how long its requests are.",
    prove="Write a file with task, isl and osl [tokens] and give it (--needs); requests of that length must fit.",
)


async def look(inspection: Inspection) -> Finding:
    """Compare the written needs with what is served."""
    needs = inspection.subject.needs
    missing = [name for name in ("task", "isl", "osl") if name not in needs]
    if missing:
        said = f"the needs do not say {', '.join(missing)}" if needs else "no file of needs was given"
        return conclude([unknown("read the needs", said)], CHECK.prove)
    isl, osl = needs["isl"], needs["osl"]
    pieces = [good("read the needs", f"{needs['task']}: {isl:,} tokens in, {osl:,} tokens out")]
    longest = await inspection.max_model_len()
    asked = "GET /v1/models: max_model_len"
    if longest is None:
        pieces.append(
            unknown(asked, "the endpoint does not say how long a request may be", "Serve with an engine that does.")
        )
    elif isl + osl > longest:
        mend = f"Serve with --max-model-len {isl + osl} or more (`workbench plan` says what that takes)."
        pieces.append(bad(asked, f"{longest:,} tokens are served, {isl + osl:,} are needed", mend))
    else:
        pieces.append(good(asked, f"{longest:,} tokens are served, {isl + osl:,} are needed"))
    if (
        str(needs["task"]).casefold() in ("chat", "rag", "dialogue")
        and (await inspection.voice()).kind == "completions"
    ):
        mend = "Serve a model with a chat template (--chat-template FILE)."
        pieces.append(bad("POST /v1/chat/completions", (await inspection.voice()).replies[0].line, mend))
    return conclude(pieces, CHECK.prove)
