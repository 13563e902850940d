"""Follow an engine and its machine, once a second, in a thread of its own: what ``wb.monitor`` returns."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import psutil
import pynvml  # type: ignore[import-untyped]

from workbench.engines.vllm.metrics import Metrics
from workbench.errors import InvalidInput, WorkbenchError
from workbench.monitoring.diagnosis import Diagnosis, diagnose
from workbench.monitoring.engine import between, restarted, same_process, says_something
from workbench.monitoring.readings import Meter, engine_behind
from workbench.monitoring.window import Known, Point, State, evidence
from workbench.serving import Client, Server

if TYPE_CHECKING:
    import pandas as pd

#: Percentiles and the diagnosis are of so many seconds.
WINDOW = 15.0
#: An engine at its limit may be slow to tell its numbers; one that takes longer than this [s] is not waited for.
PATIENCE = 5.0
#: A port's process is looked for again after so long [s].
_LOOK_AGAIN = 5.0

log = logging.getLogger(__name__)


class Monitor:
    """An engine and its machine, followed until :meth:`stop`.

    It ends by itself with its owner: when the last reference to this object goes, when this Python ends, and when the
    server it was made for has been stopped or has failed. An engine that is only restarted, or does not answer for a
    while, is followed on.

    Parameters
    ----------
    source : Server or str
        What ``wb.serve`` returned, or the address of a running server.
    every : float
        Time between two readings [s].
    history : int
        How many readings are kept.
    api_key : str, optional
        Where something in front of the server wants one.
    pid : int, optional
        The engine's process on this machine, where it is not found by itself.
    nvml : module
        NVML bindings; tests pass their own.

    Attributes
    ----------
    every : float
        As given [s].
    """

    def __init__(
        self,
        source: Server | str,
        *,
        every: float = 1.0,
        history: int = 3600,
        api_key: str | None = None,
        pid: int | None = None,
        nvml: Any = pynvml,
    ) -> None:
        if not 0.05 <= every <= 3600:
            raise InvalidInput(f"every is {every!r}; a reading is taken each 0.05 to 3600 seconds")
        if not isinstance(history, int) or history < 2:
            raise InvalidInput(f"history is {history!r}; keep 2 readings or more")
        self.every = every
        self._sampler = _Sampler(source, every, history, api_key, pid, nvml)
        self._thread = threading.Thread(target=self._sampler.run, daemon=True, name="monitor")
        self._finalizer = weakref.finalize(self, self._sampler.ending.set)
        self._thread.start()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._sampler.url

    @property
    def running(self) -> bool:
        """Whether readings are still taken."""
        return self._thread.is_alive() and not self._sampler.ending.is_set()

    @property
    def latest(self) -> Point | None:
        """The newest reading; None before the first."""
        history = self._sampler.history
        return history[-1] if history else None

    @property
    def history(self) -> list[Point]:
        """The readings that are kept, the oldest first."""
        return self._sampler.kept()

    @property
    def diagnosis(self) -> Diagnosis:
        """What limits the engine now, by the last seconds."""
        return self._sampler.diagnosis

    def frame(self) -> pd.DataFrame:
        """The readings that are kept, a row each, in UTC: bytes, seconds, shares from 0 to 1, rates per second."""
        import pandas as pd

        table = pd.DataFrame([point.to_dict() for point in self.history])
        for name in table.columns:
            if name == "time":
                table[name] = pd.to_datetime(table[name], unit="s")
            elif name != "state" and not name.endswith("_slowed"):
                table[name] = pd.to_numeric(table[name])
        return table

    def wait(self, readings: int = 1, timeout: float | None = None) -> Self:
        """Wait until so many readings have been taken since it began.

        Raises
        ------
        TimeoutError
            Fewer were taken within ``timeout`` seconds, or none will be taken any more.
        """
        if not self._sampler.wait(readings, timeout):
            raise TimeoutError(f"{self.url}: {self._sampler.taken} of {readings} readings were taken")
        return self

    def observe(self, callback: Callable[[Point, Diagnosis], None]) -> Callable[[], None]:
        """Call back, from the monitor's thread, at each reading.

        Returns
        -------
        callable
            Ends it.
        """
        return self._sampler.observe(callback)

    def stop(self) -> None:
        """Take no further reading; what was taken stays."""
        self._finalizer()
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        latest = self.latest
        return f"<Monitor {self.url} {latest.state if latest else 'beginning'}, {self.diagnosis.verdict}>"


def monitor(source: Server | str, **options: Any) -> Monitor:
    """Follow a server and its machine; returns at once.

    Parameters
    ----------
    source : Server or str
        What ``wb.serve`` returned, or the ``http://…`` address of a running server.
    **options
        Of :class:`workbench.monitoring.Monitor`: ``every``, ``history``, ``api_key``, ``pid``.

    Returns
    -------
    Monitor

    Raises
    ------
    InvalidInput
        The source is neither.
    """
    return Monitor(source, **options)


class _Sampler:
    """What the thread runs. It knows neither the Monitor nor, for longer than a reading, the Server."""

    def __init__(
        self, source: Server | str, every: float, keep: int, api_key: str | None, pid: int | None, nvml: Any
    ) -> None:
        self._server = weakref.ref(source) if isinstance(source, Server) else None
        self.url = source.url if isinstance(source, Server) else source
        if not isinstance(self.url, str):
            raise InvalidInput("give a server that wb.serve returned, or its address: http://host:port")
        self._client = Client(self.url, api_key=api_key, timeout=PATIENCE)
        self._local = (urlsplit(self.url).hostname or "") in _own_names()
        self._pid, self._given = pid, pid is not None
        self._looked = -_LOOK_AGAIN
        self._every, self._meter = every, Meter(nvml)
        plan = source.plan if isinstance(source, Server) else None
        self._known = Known.of(plan.deployment) if plan is not None else Known()
        self.history: deque[Point] = deque(maxlen=keep)
        self._readings: deque[tuple[float, Metrics]] = deque()
        self._recent: list[Point] = []
        self._since = 0.0
        self._gap = False
        self._restarts = 0
        self.diagnosis = Diagnosis("not known", "No reading has been taken yet.")
        self.ending = threading.Event()
        self.taken = 0
        self._told = threading.Condition()
        self._callbacks: dict[int, Callable[[Point, Diagnosis], None]] = {}
        self._numbers = count()

    # --- for the Monitor ------------------------------------------------------------------------------------------

    def kept(self) -> list[Point]:
        with self._told:
            return list(self.history)

    def wait(self, readings: int, timeout: float | None) -> bool:
        with self._told:
            self._told.wait_for(lambda: self.taken >= readings or self.ending.is_set(), timeout)
            return self.taken >= readings

    def observe(self, callback: Callable[[Point, Diagnosis], None]) -> Callable[[], None]:
        number = next(self._numbers)
        self._callbacks[number] = callback

        def forget() -> None:
            self._callbacks.pop(number, None)

        return forget

    # --- the thread -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        due = time.monotonic()
        try:
            while not self.ending.is_set():
                self._once()
                now = time.monotonic()
                due = max(due + self._every, now)  # what was late is left out, not made up for
                self.ending.wait(due - now)
        finally:
            self.ending.set()
            with self._told:
                self._told.notify_all()
            self._meter.close()
            self._client.close()

    def _once(self) -> None:
        try:
            point = self._look()
        except Exception:  # a monitor that dies of one odd reading is none
            log.exception("a reading failed")
            return
        with self._told:
            self.history.append(point)
            self.taken += 1
        self._recent = [p for p in self._recent if p.time >= self._since and 0 <= point.time - p.time <= WINDOW]
        self._recent.append(point)
        self.diagnosis = diagnose(evidence(self._recent, self._known), point.words)
        with self._told:
            self._told.notify_all()
        for callback in list(self._callbacks.values()):
            try:
                callback(point, self.diagnosis)
            except Exception:
                log.exception("what follows a monitor failed")
        if point.state == "stopped":
            self.ending.set()

    def _look(self) -> Point:
        state, words, metrics = self._ask()
        at, clock = time.time(), time.monotonic()
        machine = self._meter.read(self._engine()) if self._local else None
        now = recent = None
        if metrics is None:
            self._gap = True
        else:
            now, recent = self._rates(metrics, clock, at)
        return Point(at, state, words, self._restarts, machine, now, recent)

    def _rates(self, metrics: Metrics, clock: float, at: float) -> tuple[Any, Any]:
        if self._readings:
            last = self._readings[-1][1]
            if restarted(last, metrics):
                self._restarts += 1
                self._forget(at)
            elif self._gap and not same_process(last, metrics):
                self._forget(at)  # perhaps another: its counters must not be set against the old ones
        self._gap = False
        before = self._readings[-1] if self._readings else None
        first = self._readings[0] if self._readings else None
        now = between(before[1] if before else None, metrics, clock - before[0] if before else 0.0)
        recent = between(first[1] if first else None, metrics, clock - first[0] if first else 0.0)
        self._readings.append((clock, metrics))
        while len(self._readings) > 2 and clock - self._readings[1][0] >= WINDOW:
            self._readings.popleft()
        return now, recent

    def _forget(self, at: float) -> None:
        self._readings.clear()
        self._since = at

    # --- whom it asks ---------------------------------------------------------------------------------------------

    def _ask(self) -> tuple[State, str, Metrics | None]:
        server = self._server() if self._server is not None else None
        if self._server is not None:
            if server is None or server.status == "stopped":
                return "stopped", "The server was stopped.", None
            if not server.attached and server.status == "failed":
                return "stopped", server.error or "The server failed.", None
            if not server.attached and server.status == "starting":
                return "starting", f"The server comes up: {server.stage}.", None
            if not self._given:
                self._pid = server.pid or self._pid
        try:
            metrics = self._client.metrics()
        except InvalidInput as error:  # it answers, and not with such a page
            why = "; llama.cpp's server, for one, tells no numbers" if "404" in str(error) else ""
            return "silent", f"{error}; only the machine is watched{why}.", None
        except WorkbenchError as error:
            return "unreachable", f"{error}", None
        if not says_something(metrics):
            return "silent", "The server's /metrics holds nothing of vLLM's; only the machine is watched.", None
        return "ready", "", metrics

    def _engine(self) -> int | None:
        """The engine's process; one that was found by its port is looked for anew when it has gone."""
        if self._pid is not None and (self._given or psutil.pid_exists(self._pid)):
            return self._pid
        if time.monotonic() - self._looked >= _LOOK_AGAIN:
            self._looked = time.monotonic()
            port = urlsplit(self.url).port
            self._pid = engine_behind(port) if port else None
            return self._pid
        return None


def _own_names() -> frozenset[str]:
    """Names and addresses by which this machine calls itself."""
    addresses = {a.address.split("%")[0] for found in psutil.net_if_addrs().values() for a in found}
    return frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", *addresses})
