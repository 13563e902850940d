"""Where a job's worker runs: on this machine, or wherever else somebody describes in these words.

Whatever the place, what the job starts and watches is one process on this machine that speaks as
:mod:`workbench.worker` says. Here that is the worker itself; elsewhere (:mod:`workbench.cluster`) it is one that
runs the worker far away and passes on what it says. So progress, log, cancel, and a whole result or none are the
job's own business, everywhere the same.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workbench import environments
from workbench.environments.build import clean_environ, installed
from workbench.progress import Progress


@dataclass(frozen=True)
class Task:
    """What is to run.

    Attributes
    ----------
    worker : str
        Its file, or its module's dotted name.
    environment : str or None
        The environment whose Python runs it; None for the place's own Python.
    variables : mapping
        Environment variables for it.
    inputs : tuple of str
        Names in the request whose values are paths, where they are paths at all: what it reads.
    """

    worker: str
    environment: str | None
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


class Ready(Protocol):
    """A place that can begin: what the job starts on this machine.

    Attributes
    ----------
    python : Path
        The interpreter.
    environ : mapping
        Its whole environment.
    worker : str
        What it runs.
    grace : float
        How long it may take to end when it is asked to [s].
    """

    @property
    def python(self) -> Path: ...
    @property
    def environ(self) -> Mapping[str, str]: ...
    @property
    def worker(self) -> str: ...
    @property
    def grace(self) -> float: ...

    def request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What that worker is asked, for what the task's worker is asked."""
        ...

    def outcome(self, said: Mapping[str, Any]) -> tuple[Any, float, dict[str, Any]]:
        """From its last message: the task's result, how long it took [s], and what it ran in, for the provenance."""
        ...


class Place(Protocol):
    """Where workers run.

    Attributes
    ----------
    one_at_a_time : bool
        Whether heavy workers wait for one another.
    """

    @property
    def one_at_a_time(self) -> bool: ...

    def prepared(self, task: Task) -> bool:
        """Whether :meth:`ready` has nothing to build."""
        ...

    def ready(self, task: Task, tell: Callable[[Progress], None], cancel: threading.Event) -> Ready:
        """Build here what has to be, telling progress."""
        ...


@dataclass(frozen=True)
class _ReadyHere:
    worker: str
    python: Path
    environ: Mapping[str, str]
    facts: Mapping[str, Any]
    grace: float = 5.0

    def request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return request

    def outcome(self, said: Mapping[str, Any]) -> tuple[Any, float, dict[str, Any]]:
        return said["result"], said["seconds"], {"environment": self.facts, "platform": platform.platform()}


class Here:
    """This machine; it has one GPU, or one CPU, to give."""

    one_at_a_time = True

    def prepared(self, task: Task) -> bool:
        """Whether the environment is built."""
        return task.environment is None or environments.get(task.environment).built

    def ready(self, task: Task, tell: Callable[[Progress], None], cancel: threading.Event) -> Ready:
        """Build the environment if it is missing."""
        if task.environment is None:
            facts: dict[str, Any] = {"name": None, "python": platform.python_version()}
            return _ReadyHere(task.worker, Path(sys.executable), clean_environ(task.variables), facts)
        built = environments.ensure(task.environment, tell, cancel)
        versions = built.versions() or installed(built.python)
        facts = {"name": built.name, "requirements": built.requirements, "versions": versions}
        return _ReadyHere(task.worker, built.python, built.environ(task.variables), facts)


HERE = Here()
