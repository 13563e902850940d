"""Where heavy jobs wait: their workers run one at a time, for a machine has one GPU, or one CPU, to give."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol


class Waiting(Protocol):
    """What stands in the queue."""

    name: str

    @property
    def over(self) -> threading.Event:
        """Set at its end."""
        ...


class Queue:
    """First come, first served.

    >>> Queue().leave(object())  # it never stood there: nothing happens
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []

    def enter(self, job: Waiting) -> None:
        """Take the last place; one that stands there keeps its own."""
        with self._lock:
            if job not in self._waiting:
                self._waiting.append(job)

    def await_turn(self, job: Waiting, tell: Callable[[Waiting], None]) -> None:
        """Return once the job is the first; ``tell`` is called with whoever is before, and may raise to give up."""
        self.enter(job)
        while True:
            with self._lock:
                first = self._waiting[0]
            if first is job:
                return
            tell(first)
            first.over.wait(0.2)

    def leave(self, job: object) -> None:
        """Make way for the next."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(job)  # type: ignore[arg-type]
