"""A running model server, ours or somebody else's: what ``wb.serve`` returns."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench import environments
from workbench.engines.vllm.logs import MemoryReport, strip_ansi
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import HERE, Place
from workbench.progress import Progress
from workbench.serving.client import Client, Generation, Prompt
from workbench.serving.lifecycle import Lifecycle, Order, Status
from workbench.serving.smoke import SmokeResult, smoke

if TYPE_CHECKING:
    from workbench.planner import Plan

_LOGS_KEPT = 30


class Server:
    """A model server: started by us, or found running at a URL.

    A started one lives until :meth:`stop`, until the last reference to this object goes, or until this Python ends,
    however it ends. A context manager stops it at its end. One that was only attached to is never stopped.

    Parameters
    ----------
    order : Order, optional
        What to start.
    url : str, optional
        The address of a server that runs already; either this or ``order``.
    plan : Plan, optional
        What it was started by, for :func:`workbench.compare`.
    api_key : str, optional
        For an attached server.
    model : str, optional
        Which model of an attached server to ask; by default the first that it names.
    """

    def __init__(
        self,
        order: Order | None = None,
        *,
        url: str | None = None,
        plan: Plan | None = None,
        api_key: str | None = None,
        model: str | None = None,
    ) -> None:
        if (order is None) == (url is None):
            raise InvalidInput("a server is either started or found at a url")
        self.plan = plan
        self.smoke_result: SmokeResult | None = None
        self._api_key, self._model = api_key, model
        self._life: Lifecycle | None = None
        self._found_url = ""
        if order is not None:
            self._life = Lifecycle(order, _log_path())
            # Runs at the end of this Python too; a killed one is the keeper's business.
            self._finalizer = weakref.finalize(self, self._life.stop)
        else:
            self._attach(str(url))

    def _attach(self, url: str) -> None:
        self._status: Status = "failed"
        self._report, self._version, self._refusal = MemoryReport(), None, ""
        with self._client(url) as client:
            self._found_url = client.url
            try:
                served = [str(model["id"]) for model in client.models()]
            except (WorkbenchError, KeyError, TypeError, ValueError) as error:
                unlike = f"{client.url}/v1/models does not answer as OpenAI's API does; is it such a server?"
                self._refusal = str(error) if isinstance(error, WorkbenchError) else unlike
                return
            if self._model is not None and served and self._model not in served:
                shown = ", ".join(served[:5]) + (" …" if len(served) > 5 else "")
                self._refusal = f"{client.url} does not serve {self._model}; it serves {shown}"
                return
            if not client.healthy(timeout=10.0):
                self._refusal = f"{client.url}/health says that the server is not well; look at its log"
                return
            self._status = "ready"
            # Only vLLM has these, and a gateway before it may keep them to itself.
            with contextlib.suppress(WorkbenchError, ValueError, KeyError, TypeError):
                self._report = client.metrics().memory()
            with contextlib.suppress(WorkbenchError, ValueError, KeyError, TypeError):
                self._version = client.version()

    # --- state --------------------------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """Whether it was found running, so that it is neither started nor stopped here."""
        return self._life is None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; OpenAI's API is under ``/v1``."""
        return self._life.url if self._life else self._found_url

    @property
    def status(self) -> Status:
        """ "starting", "ready", "failed" or "stopped"."""
        return self._life.status if self._life else self._status

    @property
    def stage(self) -> str:
        """What it is doing, in words."""
        if self._life is None or self.status != "starting":
            return self.status
        return self._life.progress.stage

    @property
    def progress(self) -> Progress:
        """How far the start has come."""
        return self._life.progress if self._life else Progress(1.0, self.status)

    @property
    def error(self) -> str | None:
        """Why it failed: what to do, and the line of the log that matters."""
        if self._life is None:
            return self._refusal or None
        return str(self._life.failure) if self._life.failure else None

    @property
    def failure_kind(self) -> str | None:
        """One word for why it failed, as in :class:`workbench.engines.causes.Failure`."""
        return self._life.failure.kind if self._life and self._life.failure else None

    @property
    def ready_seconds(self) -> float | None:
        """From the start of the process to its first healthy answer [s]."""
        return self._life.ready_seconds if self._life else None

    @property
    def version(self) -> str | None:
        """The engine's version, once known."""
        if self._life is None:
            return self._version
        return self._life.version or self._life.said.version

    @property
    def report(self) -> MemoryReport:
        """What the engine has said of its memory up to now."""
        return self._life.said if self._life else self._report

    @property
    def command(self) -> tuple[str, ...]:
        """The command it was started with, the engine's own and without address; empty if attached."""
        return self._life.order.command if self._life else ()

    @property
    def engine(self) -> str:
        """The name of what was started ("vLLM", "llama.cpp"); empty if attached."""
        return self._life.order.engine.title if self._life else ""

    @property
    def environment(self) -> str:
        """The environment that runs it; empty if attached."""
        return self._life.order.environment if self._life else ""

    @property
    def node(self) -> str:
        """Address of the node of a cluster that it was started on; empty for this machine, and if attached."""
        return self._life.place.node if self._life else ""

    def beside(self) -> Place:
        """Where workers run on the machine that it was started on; here, if it was only found running."""
        return self._life.place.beside() if self._life else HERE

    @property
    def pid(self) -> int | None:
        """Process id of the engine's group leader; None before it starts and if attached."""
        return self._life.pid if self._life else None

    @property
    def log_path(self) -> Path | None:
        """The log file; None if attached."""
        return self._life.log_path if self._life else None

    def log(self, last: int | None = None) -> str:
        """The log, without colours.

        Parameters
        ----------
        last : int, optional
            Only so many lines from the end.
        """
        lines = self._life.lines() if self._life else ()
        return "\n".join(strip_ansi(line) for line in (lines if last is None else lines[-last:] if last else ()))

    def observe(self, callback: Callable[[Server], None]) -> Callable[[], None]:
        """Call back, from another thread, whenever status, stage, progress or log change.

        Returns
        -------
        callable
            Ends it.
        """
        if self._life is None:
            return lambda: None
        this = weakref.ref(self)

        def notify() -> None:
            server = this()
            if server is not None:
                callback(server)

        return self._life.observe(notify)

    # --- control ------------------------------------------------------------------------------------------------

    def wait_ready(self, timeout: float | None = None) -> Self:
        """Wait until it answers.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s].

        Raises
        ------
        WorkbenchError
            It failed, or was stopped; the message says why.
        TimeoutError
            It still comes up after ``timeout``.
        """
        if self._life is not None:
            self._life.wait(timeout)
        if self.status == "failed":
            raise WorkbenchError(self.error or "the server failed")
        if self.status == "stopped":
            raise WorkbenchError("the server was stopped")
        return self

    def stop(self) -> None:
        """Stop what was started here, with every process of its group; a found server is left alone."""
        if self._life is not None:
            self._finalizer.detach()
            self._life.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- use ----------------------------------------------------------------------------------------------------

    def client(self) -> Client:
        """A client of its own, with the server's key and model; waits until the server is ready."""
        self.wait_ready()
        return self._client()

    def _client(self, url: str | None = None) -> Client:
        return Client(url or self.url, api_key=self._api_key, model=self._model)

    def generate(self, prompt: Prompt, **sampling: Any) -> Generation:
        """One answer; waits until the server is ready. See :meth:`workbench.serving.client.Client.generate`."""
        self.wait_ready()
        with self._client() as client:
            return client.generate(prompt, **sampling)

    def stream(self, prompt: Prompt, **sampling: Any) -> Iterator[str | Generation]:
        """Pieces of an answer as they come, and last the whole with its times."""
        self.wait_ready()
        with self._client() as client:
            yield from client.stream(prompt, **sampling)

    def smoke(self, **options: Any) -> SmokeResult:
        """Ask it everything once; waits until it is ready. Options are those of :func:`workbench.serving.smoke`.

        The result is kept as :attr:`smoke_result`, where :func:`workbench.compare` finds the speed it saw.
        """
        self.wait_ready()
        self.smoke_result = smoke(self.url, api_key=self._api_key, model=self._model, **options)
        return self.smoke_result

    def __repr__(self) -> str:
        kind = "attached" if self.attached else self.status if self.status != "starting" else self.stage
        return f"<Server {self.url} {kind}>"


def _log_path() -> Path:
    """A fresh file among the last few logs."""
    folder = environments.cache_root() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    old = sorted(folder.glob("serve-*.log"), key=lambda path: path.stat().st_mtime)
    for path in old[:-_LOGS_KEPT]:
        path.unlink(missing_ok=True)
    return folder / f"serve-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}.log"
