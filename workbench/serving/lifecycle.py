"""One engine process from start to stop, watched by a thread.

The thread reads the log, asks ``/health``, and keeps the state that :class:`workbench.serving.Server` shows. It
holds no reference to that object, so that a server nobody holds any more can be stopped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from workbench import environments
from workbench.engines.causes import Failure, killed_for_memory
from workbench.engines.starters import VLLM
from workbench.engines.starting import Starter
from workbench.engines.vllm.logs import MemoryReport
from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.serving import pace
from workbench.serving.client import Client
from workbench.serving.place import Engine, Here, Place

Status = Literal["starting", "ready", "failed", "stopped"]

_LOOK = 0.2  # seconds between two looks at the log while it comes up
_IDLE = 1.0  # … and once it is ready
_ASK = 1.0  # seconds between two questions to /health
_PORTS_TO_TRY = 3
_GRACE, _HASTE = 10.0, 2.0  # seconds between asking to end and killing


@dataclass(frozen=True)
class Order:
    """What to start.

    Attributes
    ----------
    command : tuple of str
        ``vllm serve MODEL …`` or ``llama-server --model FILE …``, without an address.
    environment : str
        Name of the environment that runs it.
    engine : Starter
        How it is started and what its log means.
    offline : bool
        The model is a local folder.
    variables : mapping
        Further environment variables.
    port : int or None
        As named by the user.
    fetch : callable, optional
        Makes the model's folder first, telling its progress; the folder then takes MODEL's place.
    place : callable
        Where it runs: a port that the user named, or None -> a :class:`workbench.serving.place.Place`.
    """

    command: tuple[str, ...]
    environment: str
    offline: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    fetch: Callable[[Callable[[Progress], None]], Path] | None = None
    engine: Starter = VLLM
    place: Callable[[int | None], Place] = Here


class _Stopped(Exception):
    """The user stopped it while it was coming up."""


class Lifecycle:
    """Starts what is ordered, at once and in a thread of its own; see :class:`workbench.serving.Server`."""

    def __init__(self, order: Order, log_path: Path) -> None:
        self.order = order
        self.log_path = log_path
        self.status: Status = "starting"
        self.progress = Progress(0.0, order.engine.stages["environment"])
        self.failure: Failure | None = None
        self.ready_seconds: float | None = None
        self.version: str | None = None
        self.said = MemoryReport()  # by the log and, once ready, by /metrics
        self.place = order.place(order.port)
        self._begin = time.monotonic()
        self._reader = order.engine.reader()
        self._read_to = 0
        self._half_line = b""
        self._pace = pace.Pace(tuple(order.engine.stages))
        self._stage, self._stage_began = "starting", self._begin
        self._took: dict[str, float] = {}
        self._rest: tuple[float, float] | None = None  # what the log's last progress bar left, and when it said so
        self._process: Engine | None = None
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._observers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="workbench-serve", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return self.place.url

    @property
    def pid(self) -> int | None:
        return self.place.pid

    @property
    def _paced(self) -> str:
        """What a start takes is known of this engine where it runs, and of no other machine."""
        return f"{self.order.engine.title} {self.place.where}".rstrip()

    # --- seen from outside --------------------------------------------------------------------------------------

    def observe(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Call ``notify`` from the thread at each change; returns what ends that."""
        with self._changed:
            self._observers.append(notify)

        def forget() -> None:
            with self._changed, contextlib.suppress(ValueError):
                self._observers.remove(notify)

        return forget

    def wait(self, timeout: float | None) -> None:
        """Until it is no longer starting; TimeoutError otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.status != "starting", timeout):
                title = self.order.engine.title
                raise TimeoutError(f"{title} is not ready after {timeout:g} s; it is {self.progress.stage}")

    def stop(self) -> None:
        """End the process group; safe to call twice and from any thread."""
        self._stopping.set()
        process = self._process
        if process is not None:
            # One that is coming up has no request to finish, and its processes wait for one another.
            process.terminate(_HASTE if self.status == "starting" else _GRACE)
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._settle("stopped")

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self.order.fetch is not None:
                folder = str(self.order.fetch(self._preparing))
                command = (*self.order.command[:2], folder, *self.order.command[3:])
                self.order = replace(self.order, command=command, offline=True, fetch=None)
            self.place.ready(self.order, self._preparing, self._stopping)
            for left in reversed(range(_PORTS_TO_TRY)):
                failure = self._start_and_watch()
                # Somebody took the port between our look and the engine's: with no port named, take another.
                if failure.kind != "port_busy" or self.order.port is not None or not left:
                    break
            self._fail(failure)
        except (_Stopped, environments.BuildCancelled):
            pass
        except WorkbenchError as error:
            self._fail(Failure("workbench", "", str(error)))
        except Exception as error:  # a bug of ours must not leave a panel saying "starting" for ever
            title = self.order.engine.title
            advice = f"The workbench could not start {title}."
            self._fail(Failure("unknown", f"{type(error).__name__}: {error}", advice, title))
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate(_HASTE)
            self.place.close()
            if self._stopping.is_set():
                self._settle("stopped")

    def _preparing(self, progress: Progress) -> None:
        if self._stopping.is_set():
            raise _Stopped
        self._begin = self._stage_began = time.monotonic()  # the start itself is yet to come
        detail = " · ".join(part for part in (progress.stage, progress.detail) if part)
        self._say(Progress(0.0, self.order.engine.stages["environment"], detail, progress.seconds_left))

    def _start_and_watch(self) -> Failure:
        """Start once and stay until it ends; why it ended."""
        if self._stopping.is_set():
            raise _Stopped
        engine = self.order.engine
        self._reader, self._read_to, self._half_line = engine.reader(), 0, b""
        self.log_path.unlink(missing_ok=True)
        self._begin = self._stage_began = time.monotonic()
        self._stage, self._took, self._rest = "starting", {}, None
        self._pace = pace.like(self._paced, self.order.command, tuple(engine.stages))
        self._process = self.place.start(self.order, self.log_path, self._preparing)
        self._tell_stage()
        asked = 0.0
        with Client(self.url, timeout=10.0) as client:
            while (code := self._process.poll()) is None:
                if self._stopping.is_set():
                    raise _Stopped
                self._read_log()
                now = time.monotonic()
                if self.status == "starting" and now - asked >= _ASK and client.healthy():
                    self._ready(client)
                asked = now if now - asked >= _ASK else asked
                self._stopping.wait(_LOOK if self.status == "starting" else _IDLE)
        if self._stopping.is_set():
            raise _Stopped
        self._read_log()
        if self.place.lost:
            failure = Failure("place_lost", "", self.place.lost, engine.title)
        else:
            failure = engine.failure(self.lines(), code)
        if self._process.memory_ran_out:
            failure = killed_for_memory(failure)
        if self.status == "ready":
            failure = replace(failure, advice=f"{engine.title} died while it was serving. {failure.advice}")
        return failure

    def _ready(self, client: Client) -> None:
        self.ready_seconds = time.monotonic() - self._begin
        self.place.answered()
        self.version = self.place.versions.get(self.order.engine.distribution)
        with contextlib.suppress(WorkbenchError):
            self.version = client.version()
        with contextlib.suppress(WorkbenchError):
            self.said = client.metrics().memory().filled_from(self._reader.report())
        self._enter(None)
        pace.keep(self._paced, self.order.command, self._took)
        self.progress = Progress(1.0, self.order.engine.stages["ready"])
        self._settle("ready")

    def _fail(self, failure: Failure) -> None:
        self.failure = failure
        self._settle("failed")

    def _settle(self, status: Status) -> None:
        """Move to a status; "failed" and "stopped" are final, and the first of them stands."""
        with self._changed:
            if self.status in ("failed", "stopped") or self.status == status:
                return
            self.status = status
            self._changed.notify_all()
        self._notify()

    def _say(self, progress: Progress) -> None:
        if progress != self.progress:
            self.progress = progress
            self._notify()

    def _notify(self) -> None:
        with self._changed:
            observers = list(self._observers)
        for notify in observers:
            # An observer that fails (a page that is gone) must not take the engine's watch with it.
            with contextlib.suppress(Exception):
                notify()

    # --- the log ------------------------------------------------------------------------------------------------

    def _read_log(self) -> None:
        """Take in what was written since the last look."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(self._read_to)
                fresh = file.read()
        except FileNotFoundError:
            return
        if not fresh:
            self._tell_stage()  # time passes
            return
        self._read_to += len(fresh)
        *whole, self._half_line = (self._half_line + fresh).split(b"\n")
        # A progress bar is redrawn with carriage returns and ends its line only when it is full.
        bar = [self._half_line.rsplit(b"\r", 1)[-1]] if b"%|" in self._half_line or b"% C" in self._half_line else []
        for raw in (*whole, *bar):
            line = raw.decode("utf-8", errors="replace")
            self._reader.feed(line)
            if (rest := pace.rest_of(line)) is not None:
                self._rest = (rest, time.monotonic())
        if self.status == "starting":
            self.said = self._reader.report()
            if self._reader.stage != self._stage:
                self._enter(self._reader.stage)
            self._tell_stage()
        self._notify()

    def _enter(self, stage: str | None) -> None:
        """Note how long the stage took that ends now; None: that was the last."""
        now = time.monotonic()
        self._took[self._stage] = self._took.get(self._stage, 0.0) + now - self._stage_began
        self._stage, self._stage_began, self._rest = stage or self._stage, now, None

    def _tell_stage(self) -> None:
        """Show the stage, how far it is and what is left, as far as the log and earlier starts know."""
        if self.status != "starting":
            return
        now, stage, share = time.monotonic(), self._stage, self._reader.share
        rest = None if self._rest is None else max(self._rest[0] - (now - self._rest[1]), 0.0)
        left = self._pace.left(stage, now - self._stage_began, rest)
        if left is not None:
            elapsed = now - self._begin
            fraction = elapsed / max(elapsed + left, 1e-9)
        else:
            begins = self.order.engine.begins
            end = next((begin for begin in begins.values() if begin > begins[stage]), 1.0)
            fraction = begins[stage] + (share or 0.0) * (end - begins[stage])
        # Never back, and never at the end before it is.
        fraction = min(max(fraction, self.progress.fraction or 0.0), 0.99)
        detail = f"{share:.0%}" if share is not None else ""
        # Whole seconds: whoever watches need not be told more often.
        seconds = None if left is None else float(round(left))
        self._say(Progress(round(fraction, 3), self.order.engine.stages[stage], detail, seconds))

    def lines(self) -> Sequence[str]:
        """The log's lines as written."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
