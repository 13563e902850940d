"""Exceed the rate limit, gently: cheap requests of one token, a bounded number, until one is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.checklist.asking import Reply

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection

#: Requests at once, a wave.
WAVE = 12


@dataclass(frozen=True)
class Flood:
    """What came back.

    Attributes
    ----------
    replies : tuple of Reply
        Answers of the first user.
    other : Reply or None
        The second user's answer at the moment the first was refused.
    """

    replies: tuple[Reply, ...]
    other: Reply | None

    @property
    def limited(self) -> list[Reply]:
        """Those that a limit refused."""
        return [reply for reply in self.replies if reply.status == 429]

    @property
    def lost(self) -> list[Reply]:
        """Those neither answered nor refused with 429: errors, silence, broken connections."""
        return [reply for reply in self.replies if reply.status not in (200, 429)]

    @property
    def counts(self) -> str:
        """How many of which answer, in words."""
        by = Counter("no answer" if r.status is None else f"HTTP {r.status}" for r in self.replies)
        return ", ".join(f"{count} × {what}" for what, count in sorted(by.items()))


async def flood(inspection: Inspection) -> Flood:
    """The flood of this inspection, made once."""
    return await inspection.once("flood", lambda: _flood(inspection))


async def _flood(inspection: Inspection) -> Flood:
    most = int(inspection.thresholds.value("flood_requests"))
    replies: list[Reply] = []
    other: Reply | None = None

    async def one(key: dict[str, str] | None = None) -> Reply:
        return await inspection.say("Hi", max_tokens=1, gated=False, patient=False, **(key or {}))

    while len(replies) < most:
        wave = await asyncio.gather(*(one() for _ in range(min(WAVE, most - len(replies)))))
        replies += wave
        if any(reply.status == 429 for reply in wave):
            if inspection.subject.other_key:
                other = await one({"key": inspection.subject.other_key})
            break
        if all(reply.status is None for reply in wave):
            break
    return Flood(tuple(replies), other)
