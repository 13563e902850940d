"""Where an engine runs: on this machine, or wherever else somebody describes in these words."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workbench import environments, jobs
from workbench.environments import Environment
from workbench.errors import MissingPart
from workbench.processes import Supervised, short_scratch
from workbench.progress import Progress
from workbench.serving.ports import HOST, Reservation

if TYPE_CHECKING:
    from workbench.serving.lifecycle import Order


class Engine(Protocol):
    """A started engine, as its owner sees it; :class:`workbench.processes.Supervised` is one."""

    def poll(self) -> int | None:
        """Its exit code once all of it is gone; None until then."""
        ...

    def terminate(self, grace: float) -> None:
        """End it; return when it is gone. `grace` are the seconds between asking and killing."""
        ...

    @property
    def memory_ran_out(self) -> bool:
        """Whether its machine's kernel has killed for want of memory since it was started."""
        ...


class Place(Protocol):
    """Where one server runs, for as long as there is one.

    Attributes
    ----------
    url : str
        Where it will answer; "" while that is not known.
    pid : int or None
        Its process on this machine, if it is on this machine.
    versions : mapping
        Packages that its environment holds, once known.
    where : str
        Which place it is; "" for this machine.
    node : str
        Address of the machine it runs on, once known; "" for this machine.
    lost : str
        Why an engine went where its log cannot say, in words; else "".
    """

    @property
    def url(self) -> str: ...

    pid: int | None
    versions: Mapping[str, str]
    where: str
    node: str
    lost: str

    def ready(self, order: Order, tell: Callable[[Progress], None], stopping: threading.Event) -> None:
        """Build what must be there; `tell` raises once the server is stopped."""
        ...

    def start(self, order: Order, log: Path, tell: Callable[[Progress], None]) -> Engine:
        """Start it, its words going to `log`; a second time at another port, if none was named."""
        ...

    def answered(self) -> None:
        """It is up, and holds its port itself."""
        ...

    def close(self) -> None:
        """It has ended, or never came up: leave nothing."""
        ...

    def beside(self) -> jobs.Place:
        """Where workers run on the machine that the engine is on."""
        ...


class Here:
    """This machine.

    Parameters
    ----------
    port : int, optional
        As named by the user: refused at once if it is taken, not a minute later.

    Raises
    ------
    InvalidInput
        The port is taken.
    """

    def __init__(self, port: int | None) -> None:
        self._named, self._tried = port, False
        self._reservation = Reservation(port)
        self._environment: Environment | None = None
        self._scratch: Path | None = None
        self.pid: int | None = None
        self.versions: Mapping[str, str] = {}
        self.where = self.node = self.lost = ""

    @property
    def url(self) -> str:
        """At this machine's own address only."""
        return f"http://{HOST}:{self._reservation.port}"

    def ready(self, order: Order, tell: Callable[[Progress], None], stopping: threading.Event) -> None:
        """Build the environment if it is missing."""
        self._environment = environments.ensure(order.environment, tell, stopping)

    def start(self, order: Order, log: Path, tell: Callable[[Progress], None]) -> Supervised:
        """Start the process."""
        if self._environment is None:
            raise MissingPart(f"environment {order.environment} was not made ready")
        if self._tried and self._named is None:
            self._reservation.release()
            self._reservation = Reservation()
        self._tried = True
        self._sweep()
        self._scratch = short_scratch()
        # vLLM leaves its sockets where it is killed: they go with this folder, which dies with us.
        places = {"TMPDIR": str(self._scratch), "VLLM_RPC_BASE_PATH": str(self._scratch)}
        environ = self._environment.environ()
        process = Supervised(
            order.engine.command(order.command, self._environment.python, HOST, self._reservation.port),
            env=order.engine.environment(environ, offline=order.offline, more={**places, **order.variables}),
            log=log,
            scratch=self._scratch,
        )
        self.pid = process.pid
        return process

    def answered(self) -> None:
        """The engine holds the port now."""
        self.versions = self._environment.versions() if self._environment else {}
        self._reservation.release()

    def close(self) -> None:
        """Remove what the last process left in its own temporary folder."""
        self._sweep()
        self._reservation.release()

    def beside(self) -> jobs.Place:
        """This machine."""
        return jobs.HERE

    def _sweep(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch = None
