"""Chosen targets together: their files, what read them, the order to apply them in; a folder or a zip."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.exports import registry
from workbench.exports.checks import check
from workbench.exports.file import Check, File
from workbench.exports.readme import readme
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.jobs.target import Scratch, put

#: Of every file in a zip: the same plan gives the same bytes. The format knows no earlier day.
_DAY = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """What was made of a plan.

    Parameters
    ----------
    subject : Subject
    targets : tuple of Target
        In the order they are applied.
    refused : mapping
        Target's id -> why this plan cannot be written for it.
    """

    subject: Subject
    targets: tuple[Target, ...]
    refused: Mapping[str, str]

    @cached_property
    def by_target(self) -> dict[str, list[File]]:
        """Files of each target, by its id."""
        return {target.id: list(target.files(self.subject)) for target in self.targets}

    @cached_property
    def files(self) -> list[File]:
        """All files, README.md and the plan first; a file that two targets share is there once."""
        found = {file.path: file for files in self.by_target.values() for file in files}
        plans = [self.subject.plan, *self.subject.wishes.beside]
        first = [File("README.md", "markdown", readme(self))]
        for number, plan in enumerate(plans, 1):
            name = "plan.json" if number == 1 else f"plan-{number}.json"
            first.append(File(name, "json", json.dumps(plan.to_dict(), indent=2) + "\n"))
        return [*first, *(found[path] for path in sorted(found))]

    def checks(self, *, programs: bool = False) -> dict[str, list[Check]]:
        """What the readers of each file say of it, by its path; ``programs``: those of this machine too."""
        return {file.path: check(file, programs=programs) for file in self.files}

    def zipped(self) -> bytes:
        """A zip of it all, the same bytes for the same plan."""
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self.files:
                entry = zipfile.ZipInfo(f"{self.subject.name}/{file.path}", _DAY)
                entry.create_system = 3  # modes are Unix's wherever this runs
                entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
                archive.writestr(entry, file.text.encode(), zipfile.ZIP_DEFLATED, 9)
        return held.getvalue()

    def write(self, out: str | Path) -> Path:
        """Write a ``.zip``, or the files below a folder that is empty or not there.

        Raises
        ------
        InvalidInput
            If the folder holds something, or nothing can be written.
        """
        place = Path(out).expanduser()
        try:
            if place.suffix == ".zip":
                part = place.with_name(f".{place.name}.part")
                try:
                    part.write_bytes(self.zipped())
                    part.replace(place)
                finally:
                    part.unlink(missing_ok=True)  # there only where the disk was full
                return place
            if place.exists() and (not place.is_dir() or any(place.iterdir())):
                raise InvalidInput(f"{place} holds something; name an empty folder or a .zip")
            with Scratch(place) as folder:
                assert folder is not None
                for file in self.files:
                    path = folder / file.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(file.text, encoding="utf-8")
                    path.chmod(0o755 if file.executable else 0o644)
                put(folder, place, overwrite=True)  # it is empty, if it is there
        except OSError as error:
            raise InvalidInput(f"{place} cannot be written: {error.strerror or error}") from error
        return place

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: files with their texts and checks."""
        checks = self.checks()
        return {
            "name": self.subject.name,
            "targets": [target.id for target in self.targets],
            "refused": dict(self.refused),
            "files": [
                {"path": f.path, "kind": f.kind, "text": f.text, "checks": [c.to_dict() for c in checks[f.path]]}
                for f in self.files
            ],
        }


def bundle(subject: Subject, ids: Iterable[str] | None = None) -> Bundle:
    """The targets asked for that this plan can be written for.

    Parameters
    ----------
    ids : iterable of str, optional
        Targets and groups; by default every target that can express the plan.

    Raises
    ------
    InvalidInput
        If one was named, by its id, that cannot express the plan.
    UnknownName
        For a target that there is not.
    """
    named = list(ids) if ids is not None else list(registry.GROUPS)
    asked = registry.find(named)
    refused = {target.id: why for target in asked if (why := target.refuses(subject)) is not None}
    for id in named:
        if id in refused:
            raise InvalidInput(f"this plan cannot be written for {id}: {refused[id]}")
    made = tuple(target for target in asked if target.id not in refused)
    if not made:
        raise InvalidInput("no target can be written for this plan: " + "; ".join(sorted(set(refused.values()))))
    return Bundle(subject, made, refused)
