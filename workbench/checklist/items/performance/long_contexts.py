"""Long contexts: prompts of 4K, 8K and 32K tokens are answered in time, and one too long is refused in words."""

from __future__ import annotations

from workbench.checklist.asking import Reply
from workbench.checklist.finding import Evidence, Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure
from workbench.checklist.registry import Check

CHECK = Check(
    id="long_contexts",
    title="Long contexts",
    item="Prompts of 4K, 8K and 32K tokens, or of what is needed, are answered in time.",
    prove="Serve with a max_model_len of these lengths, or write context_lengths into the needs.",
    turn="measure",
)
LENGTHS = (4096, 8192, 32768)
WORD = "seven "


async def look(inspection: Inspection) -> Finding:
    """Ask with prompts of each length, after the load is over."""
    if mute := await inspection.speechless():
        return conclude([mute], CHECK.prove)
    await measure(inspection)
    wanted = inspection.subject.needs.get("context_lengths") or list(LENGTHS)
    longest = await inspection.max_model_len()
    words = await _tokens_per_word(inspection)
    if words is None:
        return conclude(
            [unknown("count the tokens of a prompt", "the endpoint counts none")], "Let the answers carry usage."
        )
    given = "context_lengths" in inspection.subject.needs
    pieces: list[Evidence] = []
    for length in sorted(wanted):
        asked = f"a prompt of {length:,} tokens"
        if longest is not None and length > longest:
            mend = f"Serve with --max-model-len {length} or more, or write the lengths that matter into the needs."
            piece = bad if given else unknown
            pieces.append(piece(asked, f"{longest:,} tokens are served at most", mend))
            continue
        # The template, the answer and the last word need some room in what is served.
        room = length - 16 if longest is None else min(length - 16, longest - 64)
        pieces.append(_judged(inspection, await _ask(inspection, room, words), asked))
        if pieces[-1].status == "fail":
            break
    if longest is not None and longest < min(wanted):
        reply = await _ask(inspection, longest - 64, words)
        pieces.append(_judged(inspection, reply, f"a prompt of nearly all {longest:,} tokens"))
    if longest is not None and longest <= 2**17:
        pieces.append(_refused(await _ask(inspection, int(longest * 1.2) + 64, words), longest))
    return conclude(pieces, CHECK.prove, f"prompts of up to {max(wanted):,} tokens are answered in time")


async def _tokens_per_word(inspection: Inspection) -> float | None:
    counts = []
    for repeated in (20, 120):
        reply = await inspection.say(WORD * repeated, max_tokens=1)
        data = reply.json()
        usage = data.get("usage") if isinstance(data, dict) else None
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        if not isinstance(count, int) or isinstance(count, bool):
            return None
        counts.append(count)
    slope = (counts[1] - counts[0]) / 100
    return slope if slope > 0 else None


async def _ask(inspection: Inspection, tokens: int, per_word: float) -> Reply:
    # A beginning of its own, so that no prefix cache knows it.
    prompt = f"{inspection.marker('long')} " + WORD * max(int((tokens - 16) / per_word), 1)
    return await inspection.say(prompt, max_tokens=4, stream=True, timeout=inspection.asker.timeout * 3)


def _judged(inspection: Inspection, reply: Reply, asked: str) -> Evidence:
    if not reply.ok or reply.ttft is None:
        return reply.as_evidence(
            "fail", "Look into the engine's log; a gateway may limit the size of a request.", asked=asked
        )
    mend = "Take more GPUs or a smaller model, cache prefixes, or promise less."
    return inspection.thresholds["long_ttft"].judge(f"{asked}, first token", reply.ttft, mend)


def _refused(reply: Reply, longest: int) -> Evidence:
    asked = f"a prompt longer than the {longest:,} tokens that are served"
    if reply.status in (400, 413, 422):
        return good(asked, reply.line)
    mend = "A prompt that is too long must be refused with 400 and a message."
    if reply.ok:
        return doubt(asked, "it was answered, so that something was cut off unsaid", mend)
    return bad(asked, reply.line, mend)
