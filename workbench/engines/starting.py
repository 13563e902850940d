"""What it takes to start an engine from here and to read what it says: one object for each engine that can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from workbench.engines.causes import Failure
from workbench.engines.vllm.logs import MemoryReport
from workbench.errors import InvalidInput

#: For a model that lies in a local folder: nothing needs to be asked of Hugging Face.
OFFLINE: Mapping[str, str] = MappingProxyType({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})


def at_address(words: Sequence[str], host: str, port: int) -> list[str]:
    """A server's words with the address it is to have.

    Raises
    ------
    InvalidInput
        If they name one already.

    Examples
    --------
    >>> at_address(["serve", "m"], "127.0.0.1", 8000)
    ['serve', 'm', '--host', '127.0.0.1', '--port', '8000']
    """
    for flag in ("--host", "--port"):
        if any(word == flag or word.startswith(flag + "=") for word in words):
            raise InvalidInput(f"leave {flag} out of the command; the workbench chooses the address")
    return [*words, "--host", host, "--port", str(port)]


class Reader(Protocol):
    """Follows a log: the stage it is in, how far that is, and what was said of memory."""

    stage: str
    share: float | None

    def feed(self, text: str) -> bool:
        """Take in one line; True where the stage or its share moved."""
        ...

    def report(self) -> MemoryReport:
        """What has been said up to now."""
        ...


class Environment(Protocol):
    """Makes an engine's environment variables; see :func:`workbench.engines.vllm.launch.process_environment`."""

    def __call__(
        self, inherited: Mapping[str, str], *, offline: bool, more: Mapping[str, str] | None = None
    ) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Starter:
    """How an engine is started and watched.

    Parameters
    ----------
    title : str
        The name people read.
    distribution : str
        The Python package that brings it, whose version is told where the server tells none.
    command : callable
        A plan's words, interpreter, host, port -> the process's words.
    environment : callable
        What the environment's programs run with -> what the engine runs with.
    stages : mapping
        Stages in the order of a start -> words; "environment", "starting" and "ready" among them.
    begins : mapping
        Stage -> about what share of a start lies before it, for a bar that moves.
    reader : callable
        Makes a :class:`Reader`.
    failure : callable
        Log lines and exit code -> why it ended.
    """

    title: str
    distribution: str
    command: Callable[[Sequence[str], Path, str, int], list[str]]
    environment: Environment
    stages: Mapping[str, str]
    begins: Mapping[str, float]
    reader: Callable[[], Reader]
    failure: Callable[[Iterable[str], int | None], Failure]
