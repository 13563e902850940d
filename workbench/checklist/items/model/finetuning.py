"""Fine-tuning: whether the model as it is answers the task's own examples."""

from __future__ import annotations

import asyncio

from workbench.checklist.finding import Evidence, Finding, bad, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="finetuning",
    title="Whether fine-tuning is needed is known",
    item="The model as it is solves the task well enough, or it is fine-tuned.",
    prove="Write examples ({prompt, expected}) and required_share into the needs; they are asked live.",
)
#: Examples that are asked at most, and tokens of an answer.
MOST, TOKENS = 20, 64
#: What is asked of a model where the needs do not say it.
SHARE = 0.8


async def look(inspection: Inspection) -> Finding:
    """Ask the examples; an answer is right when it holds what is expected."""
    examples = list(inspection.subject.needs.get("examples", ()))[:MOST]
    if not examples:
        return conclude([unknown("ask the task's examples", "the needs hold no examples")], CHECK.prove)
    if mute := await inspection.speechless():
        return conclude([mute], CHECK.prove)
    replies = await asyncio.gather(*(inspection.say(one["prompt"], max_tokens=TOKENS) for one in examples))
    right = [
        r.ok and one["expected"].casefold() in r.answer.casefold() for one, r in zip(examples, replies, strict=True)
    ]
    required = float(inspection.subject.needs.get("required_share", SHARE))
    asked, words = f"ask {len(examples)} examples of the task", f"{sum(right)} right, {required:.0%} are required"
    mend = "Fine-tune it on answers of a larger model (`workbench distill`), or take a larger one."
    total = good(asked, words) if sum(right) >= required * len(right) else bad(asked, words, mend)
    shown = [
        Evidence(one["prompt"][:120], f"{reply.answer[:120]!r}; {one['expected'][:60]!r} was expected", total.status)
        for one, reply, fine in zip(examples, replies, right, strict=True)
        if not fine
    ]
    return conclude([total, *(Evidence(e.asked, e.answered, "pass") for e in shown[:3])], well=words)
