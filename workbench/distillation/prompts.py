"""What the teacher is asked: a file of the user's, or questions about Python's own documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers.calibration.files import content
from workbench.quantizers.calibration.samples import Conversation, parsed, sample

Messages = list[dict[str, Any]]


def chosen(prompts: str | Path | Sequence[str] | None, limit: int | None) -> list[Messages]:
    """Each prompt once, as messages, the first ``limit`` of them.

    Raises
    ------
    InvalidInput
        If a file cannot be used, or fewer than two different prompts are left: one to learn from, one to measure on.
    """
    if prompts is None:
        found = builtin()
    elif isinstance(prompts, str | Path):
        found = read(Path(prompts).expanduser().absolute())
    else:
        found = [_asked(prompt, f"prompt {number}") for number, prompt in enumerate(prompts, 1)]
    # A prompt in both parts would be measured on what was learned.
    once = list({json.dumps(messages, sort_keys=True): messages for messages in found}.values())[:limit]
    if len(once) < 2:
        raise InvalidInput("at least two different prompts are needed: one to learn from and one to measure on")
    return once


def builtin() -> list[Messages]:
    """Questions that the built-in model was taught, about the part of its text that it was trained on."""
    from workbench.builtin import text

    return [_asked(f"What does {document.title} do?", document.title) for document in text.training()]


def read(file: Path) -> list[Messages]:
    """Prompts of a file: lines of a .txt, or of a .jsonl with ``prompt``, ``text`` or ``messages``.

    Raises
    ------
    InvalidInput
        If it cannot be read, is of another kind, or a line is not what it should be.
    """
    kind = file.suffix.casefold()
    if kind not in (".txt", ".jsonl"):
        raise InvalidInput(f"prompts must be a .txt (one in each line) or a .jsonl file, not {file.name!r}")
    found = []
    for number, line in enumerate(content(file).split("\n"), 1):
        place = f"{file} line {number}"
        if line.strip():
            found.append(_asked(parsed(line, place) if kind == ".jsonl" else line, place))
    if not found:
        raise InvalidInput(f"{file} holds no prompt")
    return found


def _asked(value: Any, place: str) -> Messages:
    column = "prompt" if isinstance(value, Mapping) and "prompt" in value else None
    found = sample(value, place, column)
    if found is None:
        raise InvalidInput(f"{place} is blank")
    if isinstance(found, Conversation):
        messages = [dict(message) for message in found.messages]
        if messages[-1]["role"] != "user":
            raise InvalidInput(f"{place} does not end with what the user says, so there is nothing to answer")
        return messages
    return [{"role": "user", "content": found}]
