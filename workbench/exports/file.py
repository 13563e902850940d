"""A file of an export, and what a check said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: "unchecked": what would read it is not here, or no schema of it can be had; the detail says which.
Outcome = Literal["pass", "fail", "unchecked"]


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    Parameters
    ----------
    path : str
        Where it lies in the bundle, with forward slashes.
    kind : str
        What reads it: a file of ``checks/``.
    text : str
        All of it, ending with a newline.
    language : str
        As highlighters name it; by default the kind.
    executable : bool
        Whether it is run by its name.
    version : str
        Release of what reads it, where the words it takes change with its releases.
    """

    path: str
    kind: str
    text: str
    language: str = ""
    executable: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What one reader said of a file.

    Parameters
    ----------
    reader : str
        Who read it: a library, a program, a schema, with its version where there is one.
    outcome : {"pass", "fail", "unchecked"}
    detail : str
        What is wrong, or why nobody could look; empty where it passes.
    """

    reader: str
    outcome: Outcome
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"reader": self.reader, "outcome": self.outcome, "detail": self.detail}
