"""The file that a teacher's answers are kept in: a JSON line each, written when it comes, never asked for twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers.calibration.files import content
from workbench.quantizers.calibration.samples import Conversation, parsed, sample


@dataclass(frozen=True, slots=True)
class Origin:
    """Who answered, and asked for what: another teacher or another temperature gives another answer.

    Parameters
    ----------
    teacher : str
        The model's name at the server.
    max_tokens : int
        Longest answer.
    temperature : float
        Of the sampling.
    """

    teacher: str
    max_tokens: int
    temperature: float

    def line(self, prompt: Sequence[Mapping[str, Any]], answer: str, finish_reason: str) -> dict[str, Any]:
        """An answer as it is kept."""
        return {
            "messages": [*prompt, {"role": "assistant", "content": answer}],
            "finish_reason": finish_reason,
            "teacher": self.teacher,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def key(self, prompt: Sequence[Mapping[str, Any]]) -> str:
        """A short name of each question."""
        whole = json.dumps([self.teacher, self.max_tokens, self.temperature, *prompt], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


class Answers:
    """A file of answers, read once and added to.

    Parameters
    ----------
    file : Path
        JSON lines with ``messages``, the last of them the answer; made when the first answer comes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Take what an earlier run left.

        Raises
        ------
        InvalidInput
            If it is no file of answers. Half a line at its end, of a process that was killed, is dropped.
        """
        self._lines = {}
        if not self.file.exists():
            return
        lines = content(self.file).split("\n")
        half = lines.pop()
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._take(line, f"{self.file} line {number}")
        if half:
            whole = self.file.read_bytes()
            with self.file.open("r+b") as handle:
                handle.truncate(whole.rfind(b"\n") + 1)

    def _take(self, line: str, place: str) -> None:
        value = parsed(line, place)
        found = sample(value, place, "messages") if isinstance(value, Mapping) else None
        if not isinstance(found, Conversation) or len(found.messages) < 2 or found.messages[-1]["role"] != "assistant":
            raise InvalidInput(f"{place} is no answer of a teacher; keep the answers in a file of their own")
        try:
            str(value["finish_reason"])
            origin = Origin(str(value["teacher"]), int(value["max_tokens"]), float(value["temperature"]))
        except (KeyError, TypeError, ValueError):
            return  # somebody else's conversation: it stays in the file and answers no question of ours
        self._lines[origin.key(value["messages"][:-1])] = value

    def of(self, key: str) -> dict[str, Any] | None:
        """The answer to a question, if it is there."""
        return self._lines.get(key)

    def add(self, key: str, line: dict[str, Any]) -> None:
        """Keep an answer, on the disk before the next is asked for."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._lines[key] = line
