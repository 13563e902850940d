"""One job: its thread prepares, waits for its turn, runs the worker and keeps what comes of it."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from workbench import __version__, environments
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import messages, target
from workbench.jobs.place import Place, Ready, Task
from workbench.jobs.queue import Queue
from workbench.processes import Supervised
from workbench.progress import Progress
from workbench.worker import CANNOT_TELL

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

#: Runs in the job's thread before the worker; what it returns is added to the request. It is given a function
#: to tell progress with, which raises JobCancelled once the job is cancelled, and the event that says so.
Prepare = Callable[[Callable[[Progress], None], threading.Event], Mapping[str, Any] | None]

PROVENANCE = "workbench.json"
_WORKER = Path(__file__).parents[1] / "worker.py"
_KEPT = 100  # job folders (request, messages, log) kept in the cache


class JobFailed(WorkbenchError):
    """The job ended without a result; the message says why."""


class JobCancelled(WorkbenchError):
    """The job was cancelled; nothing of it is left."""


_queue = Queue()
_known: list[Job] = []
_inside = threading.local()  # .job is the job whose thread this is


class Job:
    """Long work in a process of its own; made by :func:`start`.

    Attributes
    ----------
    name : str
        What it is called.
    status : {"queued", "running", "succeeded", "failed", "cancelled"}
        Where it stands.
    progress : Progress
        How far it is.
    error : str or None
        Why it failed, in words.
    result : Any
        What the worker returned; None until it succeeded. A dict has the target as ``"out"``.
    out : Path or None
        The target: a folder that appears, whole, when the job succeeds.
    folder : Path
        Where its request, messages and log lie.
    seconds : float
        How long it has run [s], from its turn to its end.
    over : threading.Event
        Set at its end.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        request: dict[str, Any],
        out: Path | None,
        *,
        place: Place,
        overwrite: bool,
        heavy: bool,
        prepare: Prepare | None,
        provenance: Mapping[str, Any],
    ) -> None:
        self.name, self.out = name, out
        self.status: Status = "queued"
        self.progress = Progress(None, "queued")
        self.error: str | None = None
        self.result: Any = None
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        self.folder = environments.cache_root() / "jobs" / f"{stamp}-{uuid.uuid4().hex[:4]}"
        self._task, self._request, self._place = task, request, place
        self.overwrite, self._heavy, self._prepare = overwrite, heavy and place.one_at_a_time, prepare
        self._provenance = provenance
        parent: Job | None = getattr(_inside, "job", None)
        # A job within a job's preparation ends with it.
        self._cancel: threading.Event = parent._cancel if parent else threading.Event()
        self._observers: list[Callable[[Job], None]] = []
        self.over = threading.Event()
        self._began = self._ended = 0.0
        self._failure: WorkbenchError | None = None
        # Preparing takes no turn, so that a job within it gets one; what is ready queues in the order it came.
        self._prepares = prepare is not None or not place.prepared(task)
        self._thread = threading.Thread(target=self._run, name=f"job {name}", daemon=True)

    def __repr__(self) -> str:
        where = f" -> {self.out}" if self.out else ""
        done = f" {self.progress.fraction:.0%}" if self.progress.fraction is not None else ""
        return f"<Job {self.name}: {self.status}{done} {self.progress.stage}{where}>"

    @property
    def log_path(self) -> Path:
        """The log: what the worker and its libraries printed."""
        return self.folder / "log.txt"

    @property
    def seconds(self) -> float:
        """How long it has run [s]."""
        return (self._ended or time.monotonic()) - self._began if self._began else 0.0

    def log(self, last: int | None = None) -> str:
        """The log's text, or its `last` lines."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text if last is None else "\n".join(text.splitlines()[-last:] if last > 0 else [])

    def start(self) -> None:
        """Begin, in a thread of its own.

        Raises
        ------
        InvalidInput
            Another job is making the same target.
        """
        if self.out is not None and any(job.out == self.out and not job.over.is_set() for job in _known):
            raise InvalidInput(f"another job is making {self.out}; wait for it or choose another folder")
        _known.append(self)
        if self._heavy and not self._prepares:
            _queue.enter(self)
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to stop; returns at once. After :meth:`wait` neither process nor file of it is left."""
        self._cancel.set()

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the result.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s].

        Raises
        ------
        JobFailed
            It failed: the message says why.
        JobCancelled
            It was cancelled.
        TimeoutError
            It still runs after `timeout`.
        """
        if not self.over.wait(timeout):
            raise TimeoutError(f"{self.name} still runs after {timeout:g} s")
        if self._failure is not None:
            raise self._failure
        return self.result

    def observe(self, callback: Callable[[Job], None]) -> Callable[[], None]:
        """Call `callback` with this job, from the job's thread, at each change of status or progress.

        Returns
        -------
        callable
            Ends the subscription.
        """
        self._observers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._observers.remove(callback)

        return unsubscribe

    # ---------------------------------------------------------------------------------- in the job's thread

    def _notify(self) -> None:
        for callback in list(self._observers):
            try:
                callback(self)
            except JobCancelled:  # a job within a cancelled one told its progress; it ends by itself
                pass
            except Exception as error:  # an observer's mistake is not the job's
                with contextlib.suppress(OSError), self.log_path.open("a") as file:
                    file.write(f"[workbench] an observer failed: {error!r}\n")

    def _tell(self, progress: Progress) -> None:
        """Show progress; raises when the job was cancelled."""
        if self._cancel.is_set():
            raise JobCancelled(f"{self.name} was cancelled")
        if progress != self.progress:
            self.progress = progress
            self._notify()

    def _run(self) -> None:
        _inside.job = self
        status: Status = "failed"
        try:
            if self._prepares:
                self._begin()
            self.result = self._work()
            status = "succeeded"
        except (JobCancelled, environments.BuildCancelled):
            status = "cancelled"
            self._failure = JobCancelled(f"{self.name} was cancelled")
        except WorkbenchError as error:
            self._failure = error if isinstance(error, JobFailed) else JobFailed(f"{self.name} failed: {error}")
        except OSError as error:
            self._failure = JobFailed(f"{self.name} failed: {error.strerror or error}: {error.filename or self.out}")
        except BaseException as error:  # a bug of ours must not leave a job running for ever
            self._failure = JobFailed(f"{self.name} failed: {type(error).__name__}: {error}")
        finally:
            self._ended = time.monotonic()
            self.error = str(self._failure) if self._failure and status == "failed" else None
            if status == "succeeded":
                self.progress = Progress(1.0, "done")
            else:
                self.progress = Progress(self.progress.fraction, status, self.progress.stage)
            _queue.leave(self)
            self.status = status
            self.over.set()
            self._notify()

    def _begin(self) -> None:
        self._began = self._began or time.monotonic()
        self.status = "running"
        self._tell(Progress(None, "starting"))

    def _work(self) -> Any:
        self.folder.mkdir(parents=True)
        _forget_old(self.folder.parent)
        ready = self._place.ready(self._task, self._tell, self._cancel)
        if self._prepare is not None:
            self._request |= self._prepare(self._tell, self._cancel) or {}
        if self._heavy:
            _queue.await_turn(self, lambda first: self._tell(Progress(None, "waiting", f"for {first.name}")))
        self._begin()
        request = self.folder / "request.json"
        request.write_text(json.dumps(ready.request(self._request), indent=2), encoding="utf-8")
        with target.Scratch(self.out) as scratch:
            started = _now()
            command = [str(ready.python), str(_WORKER), ready.worker, str(request), str(scratch or "")]
            result, seconds, facts = ready.outcome(self._supervise(command, ready, scratch))
            if scratch is None or self.out is None:
                return result
            if isinstance(result, dict):
                result = {**result, "out": str(self.out)}
            made = {
                "made_by": f"llm-workbench {__version__}",
                "job": self.name,
                **self._provenance,
                "request": self._request,
                "result": result,
                **facts,
                "started": started,
                "finished": _now(),
                "seconds": round(seconds, 3),
            }
            target.write(scratch / PROVENANCE, json.dumps(made, indent=2, default=str) + "\n")
            self._tell(Progress(1.0, "keeping the result"))  # the last moment to cancel
            target.put(scratch, self.out, self.overwrite)
            return result

    def _supervise(self, command: list[str], ready: Ready, scratch: Path | None) -> dict[str, Any]:
        """Run the worker, follow its messages, and return the one that holds the result."""
        channel = self.folder / "messages.jsonl"
        channel.touch()
        environ = {**ready.environ, "WORKBENCH_MESSAGES": str(channel)}
        # Libraries leave logs and caches where they run: here they are in nobody's way, and go with the folder.
        process = Supervised(command, env=environ, log=self.log_path, scratch=scratch, cwd=self.folder)
        said: dict[str, Any] = {}
        try:
            with channel.open(encoding="utf-8") as file:
                code: int | None = None
                while code is None:
                    with contextlib.suppress(TimeoutError):
                        code = process.wait(0.1)
                    if news := messages.news(file):
                        said |= news
                    self._tell(messages.progress(said.get("progress"), self.progress))
        finally:
            process.terminate(ready.grace)
        if code == 0 and "result" in said:
            return said
        raise JobFailed(f"{self.name} failed: {self._why(code, said, process)}. Log: {self.log_path}")

    def _why(self, code: int, said: dict[str, Any], process: Supervised) -> str:
        full = f"the disk is full: make room in {self.out.parent if self.out else self.folder}; nothing was kept"
        if error := said.get("error"):
            return full if error == "the disk is full" else str(error).rstrip(".")
        if code == CANNOT_TELL:
            return full
        if code < 0:
            return f"its process {process.exit_text()}"
        return f"its process {process.exit_text()} and no result"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _forget_old(folder: Path) -> None:
    """Keep the newest job folders; their names begin with their time."""
    running = {job.folder for job in _known if job.status in ("queued", "running")}
    old = sorted(path for path in folder.iterdir() if path.is_dir())[:-_KEPT]
    for path in old:
        if path not in running:
            shutil.rmtree(path, ignore_errors=True)


def jobs() -> list[Job]:
    """Every job of this process, oldest first."""
    return list(_known)
