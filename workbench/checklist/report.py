"""The report: every answer with its evidence, and the verdict; as data, Markdown or a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workbench.checklist.finding import Finding, Status, as_data
from workbench.checklist.registry import STAGES, Check
from workbench.errors import InvalidInput

#: As counted in the verdict.
COUNTED: tuple[Status, ...] = ("pass", "warn", "fail", "not checked")


@dataclass(frozen=True)
class Answer:
    """One check and what it found.

    Attributes
    ----------
    check : Check
        The item.
    finding : Finding
        What was found.
    seconds : float
        How long it took [s].
    """

    check: Check
    finding: Finding
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """``stage.id``."""
        return self.check.name

    @property
    def status(self) -> Status:
        """Of its finding."""
        return self.finding.status

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        check = self.check
        return {
            "name": self.name, "stage": check.stage, "id": check.id, "title": check.title, "item": check.item,
            **as_data(self.finding), "prove": check.prove, "seconds": round(self.seconds, 3),
        }  # fmt: skip


@dataclass(frozen=True, repr=False)
class Report:
    """What an inspection found.

    Attributes
    ----------
    url, model : str
        The endpoint; the model that answered.
    profile : str
        Whose targets decide.
    answers : tuple of Answer
        In the order of the list.
    thresholds : mapping
        The figures that decided, by name.
    started : str
        Date and time, UTC.
    seconds : float
        How long it took [s].
    asked : int
        Questions sent.
    strict : bool
        Whether what is not checked stands in the way.
    ended_early : str
        Why it ended before all was answered; empty where it did not.
    """

    url: str
    model: str
    profile: str
    answers: tuple[Answer, ...]
    thresholds: Mapping[str, float]
    started: str
    seconds: float
    asked: int
    strict: bool = False
    ended_early: str = ""

    @property
    def counts(self) -> dict[Status, int]:
        """How many answers of each kind."""
        found = Counter(answer.status for answer in self.answers)
        return {status: found.get(status, 0) for status in COUNTED}

    @property
    def ready(self) -> bool:
        """Whether nothing failed and something was checked; strictly, whether all was."""
        counts = self.counts
        if self.ended_early or counts["fail"] or not counts["pass"]:
            return False
        return not (self.strict and counts["not checked"])

    @property
    def verdict(self) -> str:
        """In two words."""
        return "ready" if self.ready else "not ready"

    @property
    def summary(self) -> str:
        """The verdict with its reason, in a sentence."""
        counts = self.counts
        failed = "; ".join(answer.check.title for answer in self.answers if answer.status == "fail")
        open_ones = counts["not checked"]
        rest = f"{open_ones} could not be checked" if open_ones else ""
        if self.ended_early:
            return f"Not done: {self.ended_early}"
        if failed:
            return f"{counts['fail']} of {len(self.answers)} do not hold: {failed}" + (f"; {rest}" if rest else "")
        if not counts["pass"]:
            return "Nothing could be checked"
        if rest:
            return f"Nothing failed, as far as it was checked; {rest}"
        return "Nothing failed, and every item was checked"

    def answer(self, name: str) -> Answer:
        """The answer of a check: ``stage.id``.

        Raises
        ------
        InvalidInput
            It was not asked.
        """
        found = next((answer for answer in self.answers if answer.name == name), None)
        if found is None:
            raise InvalidInput(f"the report has no {name}; it has {', '.join(a.name for a in self.answers)}")
        return found

    def names(self, status: Status) -> set[str]:
        """Names of the checks that answered so."""
        return {answer.name for answer in self.answers if answer.status == status}

    def frame(self) -> Any:
        """A table: a row a check."""
        import pandas as pd

        rows = [answer.to_json() for answer in self.answers]
        return pd.DataFrame(rows, columns=["stage", "id", "title", "status", "said", "mend", "seconds"])

    def stages(self) -> list[tuple[str, list[Answer]]]:
        """Headings with their answers, in order."""
        return [
            (title, found)
            for stage, title in STAGES.items()
            if (found := [answer for answer in self.answers if answer.check.stage == stage])
        ]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "schema_version": 1, "url": self.url, "model": self.model, "profile": self.profile, "ready": self.ready,
            "verdict": self.verdict, "summary": self.summary, "counts": self.counts, "strict": self.strict,
            "ended_early": self.ended_early, "started": self.started, "seconds": round(self.seconds, 3),
            "questions": self.asked, "thresholds": dict(self.thresholds),
            "checks": [answer.to_json() for answer in self.answers],
        }  # fmt: skip

    def to_markdown(self) -> str:
        """As Markdown."""
        from workbench.checklist.markdown import markdown

        return markdown(self)

    def to_html(self) -> str:
        """As a page of its own: one file, no script, nothing fetched."""
        from workbench.checklist.page import page

        return page(self)

    def save(self, path: str | Path) -> Path:
        """Write it as the ending says: ``.html``, ``.md`` or ``.json``.

        Raises
        ------
        InvalidInput
            The ending is another, or the file cannot be written.
        """
        import json

        file = Path(path).expanduser()
        writers: dict[str, Callable[[], str]] = {
            ".html": self.to_html,
            ".md": self.to_markdown,
            ".json": partial(json.dumps, self.to_json(), indent=2, ensure_ascii=False),
        }
        write = writers.get(file.suffix)
        if write is None:
            raise InvalidInput(f"a report is written as .html, .md or .json, not {file.name}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(write(), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error
        return file

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.summary}"]
        for title, answers in self.stages():
            lines += ["", title]
            lines += [f"  {a.status:<12} {a.check.title}: {' '.join(a.finding.said.split())[:140]}" for a in answers]
        return "\n".join(lines)
