"""What a worker says while it runs: lines of JSON, read as they come."""

from __future__ import annotations

import contextlib
import json
from typing import Any, TextIO

from workbench.progress import Progress


def news(file: TextIO) -> dict[str, Any]:
    """The newest message of each kind since the last look; half a line is left for the next time."""
    found: dict[str, Any] = {}
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return found
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                found |= message


def progress(facts: Any, before: Progress) -> Progress:
    """A message of progress as one; what it was before where the message is none.

    >>> progress({"fraction": 2, "stage": "loading"}, Progress(None, "starting"))
    Progress(fraction=1.0, stage='loading', detail='', seconds_left=None)
    """
    if not isinstance(facts, dict):
        return before
    fraction, left = facts.get("fraction"), facts.get("seconds_left")
    return Progress(
        min(1.0, max(0.0, float(fraction))) if isinstance(fraction, int | float) else None,
        str(facts.get("stage", "")),
        str(facts.get("detail", "")),
        float(left) if isinstance(left, int | float) else None,
    )
