"""Privacy: what users write does not lie in the log."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from workbench.checklist.finding import Finding, bad, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="privacy",
    title="What users write stays out of the log",
    item="Logs hold no prompts, no personal data and no keys.",
    prove="Point to the endpoint's log on this machine (--log); a random marker is then sent and looked for in it.",
)
#: How long is waited for a log to be written [s], and for how long it rests then,
#: and how much of its end is read [bytes].
PATIENCE, QUIET, END = 3.0, 0.2, 32 * 2**20
MEND = "Do not log requests (vLLM: leave --enable-log-requests out; gateways: no bodies), or mask them on the way."


async def look(inspection: Inspection) -> Finding:
    """Send a marker as a prompt and look for it in the log."""
    log = inspection.subject.log
    if log is None:
        return conclude([unknown("look for a marker in the log", "no log was given")], CHECK.prove)
    if mute := await inspection.speechless():
        return conclude([mute], CHECK.prove)
    size = log.stat().st_size
    marker, stranger = inspection.marker("private"), f"{inspection.marker('john')}@example.com"
    wrong = f"sk-{inspection.marker('wrong')}"
    reply = await inspection.say(f"My e-mail is {stranger} and my word is {marker}.", max_tokens=1)
    if not reply.ok:
        return conclude(
            [reply.as_evidence("not checked", "Let the model answer.", asked="send a prompt with a marker")]
        )
    await inspection.say("Hi", max_tokens=1, key=wrong)
    await _written(log, size)
    try:
        text = await asyncio.to_thread(tail, log, size)
    except OSError as error:
        return conclude([unknown(f"read {log.name}", f"it cannot be read: {error.strerror}")], CHECK.prove)
    secrets = {"the prompt's marker": marker, "the e-mail": stranger, "a key that was tried": wrong}
    if inspection.subject.api_key:
        secrets["the user's key"] = inspection.subject.api_key
    pieces = []
    for what, secret in secrets.items():
        count = text.count(secret.encode())
        asked = f"look for {what} in {log.name}"
        pieces.append(bad(asked, f"found {count} times", MEND) if count else good(asked, "not found"))
    if not text and not any(piece.status == "fail" for piece in pieces):
        said = f"{log.name} did not grow by the request: it is another's log, or it is written elsewhere"
        pieces.append(unknown(f"read {log.name} again", said))
    return conclude(pieces, CHECK.prove, f"none of {len(secrets)} markers lies in {log.name}")


async def _written(log: Path, size: int) -> None:
    """Wait until a log has grown and rests, or for as long as logs may lag."""
    end = time.monotonic() + PATIENCE
    seen = size
    while time.monotonic() < end:
        await asyncio.sleep(QUIET)
        now = log.stat().st_size if log.exists() else size
        if now != size and now == seen:
            return
        seen = now


def tail(log: Path, size: int) -> bytes:
    """What was written to a log since it had a size, or all of it if it was begun anew; the end, if that is much."""
    now = log.stat().st_size
    begin = max(size if now >= size else 0, now - END)
    with log.open("rb") as file:
        file.seek(begin)
        return file.read(END)
