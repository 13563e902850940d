"""The file that a teacher's answers are kept in: a JSON line each, written when it comes, never asked for twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers.calibration.files import decoded
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
        self._half: tuple[int, int] | None = None  # where half a line begins, and the file ends
        self._unended = False  # whether the last line lacks its end

    def read(self) -> None:
        """Take what an earlier run left.

        Raises
        ------
        InvalidInput
            If it is no file of answers. Half a line at its end, of a process that was killed, goes when the next comes.
        """
        self._lines, self._half, self._unended = {}, None, False
        if not self.file.exists():
            return
        try:
            raw = self.file.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{self.file} cannot be read: {error.strerror or error}") from None
        last = raw.rfind(b"\n") + 1
        if _is_half(raw[last:]):
            self._half, raw = (last, len(raw)), raw[:last]
        self._unended = bool(raw) and not raw.endswith(b"\n")
        for number, line in enumerate(decoded(raw, self.file).split("\n"), 1):
            if line.strip():
                self._take(line, f"{self.file} line {number}")

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
        with self.file.open("ab") as handle:
            if self._half and handle.tell() == self._half[1]:  # nobody else has written meanwhile
                handle.truncate(self._half[0])
            if self._unended:
                handle.write(b"\n")
            self._half, self._unended = None, False
            handle.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._lines[key] = line


def _is_half(tail: bytes) -> bool:
    """Whether this is the beginning of a line of ours, of a process that was killed while it wrote."""
    begins = b'{"messages": ['
    if not tail or not (tail.startswith(begins) or begins.startswith(tail)):
        return False
    try:
        json.loads(tail)
    except (ValueError, RecursionError):  # the former also for half a character
        return True
    return False
