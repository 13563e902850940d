"""What a target of an export is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.deployment import ENGINES
from workbench.exports.file import File

if TYPE_CHECKING:
    from workbench.exports.subject import Subject


def _nothing(subject: Subject) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """One thing a plan can be written for.

    Parameters
    ----------
    id, title : str
        Its short name, the file's; what people read.
    about : str
        What it makes, a sentence.
    files : callable
        Subject -> the files, complete: nothing else is needed but what ``steps`` says.
    steps : callable
        Subject -> what to do with them, in order, each a sentence or a command line; Markdown.
    without : mapping
        Engine -> why it cannot be written for that one: the empty cells of the matrix.
    obstacle : callable
        Subject -> what of this plan it cannot express, naming the field; None if it can.
    group : str
        Its folder, set by the registry.
    source : str
        Where its format is documented.
    starts : bool
        Whether it starts the engine by its line, which must then say the whole plan.
    instead : bool
        Whether it stands for another of its group: it comes after those that do not.
    several : bool
        Whether it holds the plans beside this one too.
    """

    id: str
    title: str
    about: str
    files: Callable[[Subject], Sequence[File]]
    steps: Callable[[Subject], Sequence[str]]
    source: str
    without: Mapping[str, str]
    obstacle: Callable[[Subject], str | None] = _nothing
    group: str = ""
    starts: bool = True
    instead: bool = False
    several: bool = False

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines it can be written for."""
        return tuple(name for name in ENGINES if name not in self.without)

    def refuses(self, subject: Subject) -> str | None:
        """Why this subject cannot be written; None if it can."""
        if subject.wishes.beside and not self.several:
            return "beside: it holds one model"
        line = subject.unsaid if self.starts else None
        return self.without.get(subject.engine) or line or self.obstacle(subject)


def only(*engines: str, because: str) -> dict[str, str]:
    """A target's ``without``: all engines but these."""
    return {name: because for name in ENGINES if name not in engines}
