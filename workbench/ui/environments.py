"""Which isolated environments are built, and building those that are missing, in sight."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable
from typing import Any, ClassVar

import traitlets

from workbench import environments
from workbench.environments import BuildCancelled
from workbench.progress import Progress
from workbench.ui.panel import Panel, Throttle, log, sentence

#: How often to look whether another process has begun a build [s].
POLL_SECONDS = 2.0


class EnvironmentsPanel(Panel):
    """The environments of this machine: what each is for, whether it is there, how far its build has come.

    Parameters
    ----------
    build : iterable of str, optional
        Environments to build now, in this order. A build that another process has begun is followed anyway.
    """

    script = "environments.js"
    actions: ClassVar[dict[str, str]] = {"build": "build", "cancel": "cancel"}

    rows = traitlets.List(read_only=True).tag(sync=True)

    def __init__(self, build: Iterable[str] = ()) -> None:
        self._progress: dict[str, Progress] = {}
        self._errors: dict[str, str] = {}
        self._wanted: list[str] = []
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        super().__init__()
        self._throttle = Throttle(self.refresh)
        self.refresh()
        for name in build:
            self.build(name)
        # `workbench lab` builds in a process of its own, one after the other: follow what it has begun.
        threading.Thread(target=_follow, args=(weakref.ref(self),), daemon=True, name="follow builds").start()

    def refresh(self) -> None:
        """Look again at what is built."""
        self.set_trait("rows", [self._row(environments.get(name)) for name in environments.names()])

    def _row(self, environment: environments.Environment) -> dict[str, Any]:
        name = environment.name
        progress = self._progress.get(name)
        state = "built" if environment.built else "unsuited" if environment.unsuited else "missing"
        if state == "missing" and name in self._wanted:
            state = "building" if progress else "queued"
        elif state == "missing" and environment.building:
            state = "building"
        return {
            "name": name,
            "purpose": environment.purpose,
            "note": environment.unsuited or environment.note,
            "state": state,
            "bytes": environment.size_bytes(),
            "needs": environment.disk_bytes,
            "error": self._errors.get(name, ""),
            "progress": vars(progress) if progress and state == "building" else None,
        }

    def build(self, name: str) -> None:
        """Build an environment in the background, after those already asked for.

        Raises
        ------
        UnknownName
            There is no environment of that name.
        """
        if environments.get(name).built or name in self._wanted:
            return
        with self._lock:
            self._errors.pop(name, None)
            self._wanted.append(name)
            if self._thread is None:
                self._cancel = threading.Event()
                self._thread = threading.Thread(target=self._work, daemon=True, name="environments")
                self._thread.start()
        self._throttle()

    def cancel(self) -> None:
        """Stop building; what is half built is cleared by the next build."""
        with self._lock:
            del self._wanted[1:]
            self._cancel.set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until nothing is being built."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or self._cancel.is_set():
                    self._wanted.clear()
                    self._thread = None
                    break
                name = self._wanted[0]

            def tell(progress: Progress, name: str = name) -> None:
                self._progress[name] = progress
                self._throttle()

            try:
                environments.ensure(name, tell, self._cancel)
            except BuildCancelled:
                pass
            except Exception as error:  # shown in the page; the next one may still succeed
                log.warning("environment %s was not built", name, exc_info=error)
                self._errors[name] = sentence(error)
            with self._lock:
                self._progress.pop(name, None)
                if name in self._wanted:
                    self._wanted.remove(name)
            self._throttle()
        self._throttle()


def _follow(panel: weakref.ref[EnvironmentsPanel]) -> None:
    """Join builds that other processes have begun, until nothing is left to build or the panel is gone."""
    joined: set[str] = set()  # once each: whoever stops following in the page means it
    while True:
        here = panel()
        if here is None or here.comm is None:  # closed
            return
        found = [environments.get(name) for name in environments.names()]
        missing = [e for e in found if not e.built and not e.unsuited and not e.own]
        if not missing:
            return
        for environment in missing:
            if environment.building and environment.name not in joined:
                joined.add(environment.name)
                here.build(environment.name)
        del here
        time.sleep(POLL_SECONDS)
