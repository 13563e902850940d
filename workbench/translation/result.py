"""What a translation says: each thing that was given, what becomes of it, and the whole anew."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.deployment import Deployment, Workload
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from workbench.planner import Plan

#: What can be said of something given. "kept": as it is; "renamed": it has other words; "default": pointless, because
#: it is so anyway; "removed": the release has it no more, or not yet; "wrong": no release took it so; "unknown": no
#: release that is known has it.
STATUSES = ("kept", "renamed", "default", "removed", "wrong", "unknown")
#: Of these, a person has to do something about.
LOST = ("removed", "wrong", "unknown")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was given, and what becomes of it.

    Attributes
    ----------
    given : str
        As it was written.
    value : str
        Its value as text; "" for a switch.
    status : str
        One of :data:`STATUSES`.
    becomes : str
        What stands for it in the new command; "" where nothing does.
    text : str
        Why, in a sentence; "" where nothing need be said.
    source : str
        What says so: a file of a release, a pull request, the parsers that are bundled.
    line, start, end : int
        Where in the text: line from 1, letters from 0.
    """

    given: str
    value: str
    status: str
    becomes: str = ""
    text: str = ""
    source: str = ""
    line: int = 1
    start: int = 0
    end: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Part:
    """One command, call, file or query of what was pasted.

    Attributes
    ----------
    form : str
        "shell", "docker", "kubernetes", "yaml", "python", "environment", "promql", "grafana", "rules" or "program";
        whole files: "manifest", "dockerfile", "triton", "json", "prometheus".
    engine, version : str
        Whose it is, and the release it is translated for ("" where there are no releases to tell apart).
    changes : tuple of Change
        In the order of the text.
    words : tuple of str
        The new command as separate words; empty where it is none.
    text : str
        The whole anew, in the form it was pasted in.
    remarks : tuple of str
        What is worth knowing besides, in sentences.
    model : str or None
        Id or folder.
    fields : mapping
        Fields of the Deployment it describes.
    line : int
        Where it begins.
    """

    form: str
    engine: str
    version: str
    changes: tuple[Change, ...]
    words: tuple[str, ...] = ()
    text: str = ""
    remarks: tuple[str, ...] = ()
    model: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    line: int = 1

    @property
    def command(self) -> str:
        """The new command as one line for a shell; "" where it is none."""
        return shlex.join(self.words)

    @property
    def lost(self) -> tuple[Change, ...]:
        """What was removed, wrong or unknown."""
        return tuple(change for change in self.changes if change.status in LOST)

    @property
    def deployment(self) -> Deployment | None:
        """The deployment it describes, on the card that is planned for unless another is named; None of a query.

        Raises
        ------
        InvalidInput
            A value is out of range; the message names the field.
        """
        return Deployment(**self.fields) if self.describes else None

    @property
    def describes(self) -> bool:
        """Whether it starts a server that can be planned: vLLM's, or one whose engine its fields name."""
        return bool(self.words) and (self.engine == "vllm" or "engine" in self.fields)

    def plan(self, workload: Workload | None = None, **fields: Any) -> Plan:
        """The plan it describes: whether it would fit.

        Parameters
        ----------
        workload : Workload, optional
        **fields
            Fields of the Deployment that the text does not say, ``gpu`` above all; they go before what it says.

        Raises
        ------
        InvalidInput
            It names no model, or none that is bundled or lies in a folder.
        """
        from workbench.planner import plan

        if self.deployment is None or not self.model:
            raise InvalidInput("this names no model to plan; give a command, a file or a call that does")
        return plan(self.model, workload=workload, **{**self.fields, **fields})

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "form": self.form,
            "engine": self.engine,
            "version": self.version,
            "line": self.line,
            "model": self.model,
            "changes": [change.to_dict() for change in self.changes],
            "command": self.command,
            "words": list(self.words),
            "text": self.text,
            "remarks": list(self.remarks),
            "deployment": dict(self.fields),
        }


@dataclass(frozen=True)
class Translation:
    """What was pasted, part by part."""

    version: str
    parts: tuple[Part, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Those of all parts."""
        return tuple(change for part in self.parts for change in part.changes)

    @property
    def lost(self) -> tuple[Change, ...]:
        """What was removed, wrong or unknown, in all parts."""
        return tuple(change for part in self.parts for change in part.lost)

    @property
    def commands(self) -> Sequence[str]:
        """The new commands, one a part that is one."""
        return [part.command for part in self.parts if part.words]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"version": self.version, "lost": len(self.lost), "parts": [part.to_dict() for part in self.parts]}
