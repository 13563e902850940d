"""What an environment is made of: the files of ``data/environments/``.

``NAME.toml`` says what the environment is for and the steps that install it; ``NAME.txt`` are its
requirements; ``NAME.constraints.txt`` the versions of everything below them that were seen working, so that
a release of tomorrow does not change an environment of today. A new environment is a new set of these files.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.datafiles import data_path
from workbench.errors import UnknownName


def folder() -> Path:
    """Where the recipes lie."""
    return data_path("environments")


def _lines(file: Path) -> tuple[str, ...]:
    """Requirement lines without comments, continuations joined, line ends and blanks dropped."""
    joined = file.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.partition(" #")[0] for line in joined.splitlines() if not line.lstrip().startswith("#"))
    return tuple(" ".join(line.split()) for line in lines if line.strip())


@dataclass(frozen=True)
class Step:
    """One ``pip install``: the lines of a requirements file, or packages named in the recipe."""

    file: Path | None
    lines: tuple[str, ...]
    options: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """What follows ``pip install``."""
        return [*self.options, *(["-r", str(self.file)] if self.file else self.lines)]


@dataclass(frozen=True)
class Recipe:
    """One environment's files, read.

    Attributes
    ----------
    name, purpose, note : str
        What it is called, what it is for, what one should know of it.
    torch : {"any", "cpu", "cuda", ""}
        Which build of torch: "any" takes CUDA beside an NVIDIA GPU and the CPU build elsewhere; "" has none.
    disk_gb : dict
        Space needed while building, by build of torch [GB].
    platforms : tuple of str
        ``sys.platform`` values that it works on.
    imports : tuple of str
        Modules that must import for the environment to count as built.
    steps : tuple of Step
        ``pip install`` commands, in order.
    constraints : tuple of str
        ``package==version`` lines.
    remove : tuple of str
        Packages uninstalled after the steps.
    metadata : tuple of (name, version) or None
        A distribution that is declared as installed without being so.
    variables : dict
        Environment variables that programs of this environment run with.
    wheel_variable : str
        Environment variable by which a user names a wheel that is installed instead of the steps.
    build : dict
        Environment variables that pip runs with: how packages that come as source are compiled.
    """

    name: str
    purpose: str
    note: str = ""
    torch: str = ""
    disk_gb: dict[str, float] = field(default_factory=dict)
    platforms: tuple[str, ...] = ("linux", "darwin")
    imports: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    constraints: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    metadata: tuple[str, str] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    wheel_variable: str = ""
    build: dict[str, str] = field(default_factory=dict)

    def key(self, build: str) -> str:
        """Hash of all that decides what gets installed: pins, Python, platform, build of torch, how it is compiled."""
        parts: list[Any] = [
            [[step.lines, step.options] for step in self.steps],
            self.constraints,
            self.remove,
            self.metadata,
            build,
            [platform.python_implementation(), *sys.version_info[:2], sys.platform, platform.machine()],
            *([self.build] if self.build else []),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def names() -> list[str]:
    """Every environment that has a recipe, sorted."""
    return sorted(file.stem for file in folder().glob("*.toml"))


def read(name: str) -> Recipe:
    """Read one recipe.

    Raises
    ------
    UnknownName
        No recipe has that name.
    """
    if name not in names():
        raise UnknownName("environment", name, names(), hint=f"there are {', '.join(names())}")
    table = tomllib.loads((folder() / f"{name}.toml").read_text(encoding="utf-8"))
    after = table.get("after", {})
    constraints = folder() / f"{name}.constraints.txt"
    recipe = Recipe(
        name=name,
        purpose=table["purpose"],
        note=table.get("note", ""),
        torch=table.get("torch", ""),
        disk_gb=table.get("disk_gb", {}),
        platforms=tuple(table.get("platforms", ("linux", "darwin"))),
        imports=tuple(table.get("imports", ())),
        steps=tuple(_step(step) for step in table["steps"]),
        constraints=_lines(constraints) if constraints.exists() else (),
        remove=tuple(after.get("remove", ())),
        metadata=(after["metadata"]["name"], after["metadata"]["version"]) if "metadata" in after else None,
        variables=table.get("variables", {}),
        wheel_variable=table.get("wheel_variable", ""),
        build=table.get("build", {}),
    )
    wheel = os.environ.get(recipe.wheel_variable, "") if recipe.wheel_variable else ""
    return _with_wheel(recipe, wheel) if wheel else recipe


def _step(table: dict[str, Any]) -> Step:
    if "requirements" in table:
        file = folder() / table["requirements"]
        return Step(file, _lines(file), tuple(table.get("options", ())))
    return Step(None, tuple(table["packages"]), tuple(table.get("options", ())))


def _with_wheel(recipe: Recipe, wheel: str) -> Recipe:
    """The recipe with the user's wheel in place of ours; it brings its own pins and metadata."""
    from dataclasses import replace

    note = f"Installed from {wheel}, which {recipe.wheel_variable} names."
    return replace(recipe, note=note, steps=(Step(None, (wheel,)),), constraints=(), metadata=None)
