"""Long work as jobs: a process in an environment, with progress, cancel, and a whole result or none.

>>> job = start("quantise", "workbench.quantizers.worker", {...}, "quantize", out)     # doctest: +SKIP
>>> job.status, job.progress                                                            # doctest: +SKIP
('running', Progress(fraction=0.4, stage='calibrating', detail='layer 2 of 4', seconds_left=None))
>>> job.wait()                                                                          # doctest: +SKIP

How a worker is written is in :mod:`workbench.worker`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from workbench import __version__, environments
from workbench.environments.build import clean_environ, installed
from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.processes import Supervised
from workbench.progress import Progress
from workbench.worker import CANNOT_TELL

__all__ = ["Job", "JobCancelled", "JobFailed", "Prepare", "Progress", "jobs", "start"]

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

#: Runs in the job's thread before the worker; what it returns is added to the request. It is given a function
#: to tell progress with, which raises JobCancelled once the job is cancelled, and the event that says so.
Prepare = Callable[[Callable[[Progress], None], threading.Event], Mapping[str, Any] | None]

PROVENANCE = "workbench.json"
_WORKER = Path(__file__).with_name("worker.py")
_KEPT = 100  # job folders (request, messages, log) kept in the cache


class JobFailed(WorkbenchError):
    """The job ended without a result; the message says why."""


class JobCancelled(WorkbenchError):
    """The job was cancelled; nothing of it is left."""


class _Queue:
    """Where heavy jobs wait: their workers run one at a time, for a machine has one GPU, or one CPU, to give."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: list[Job] = []

    def enter(self, job: Job) -> None:
        with self.lock:
            if job not in self.jobs:
                self.jobs.append(job)

    def await_turn(self, job: Job) -> None:
        self.enter(job)
        while True:
            with self.lock:
                first = self.jobs[0]
            if first is job:
                return
            job._tell(Progress(None, "waiting", f"for {first.name}"))  # raises when cancelled
            first._over.wait(0.2)

    def leave(self, job: Job) -> None:
        with self.lock, contextlib.suppress(ValueError):
            self.jobs.remove(job)


_queue = _Queue()
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
    """

    def __init__(
        self,
        name: str,
        worker: str,
        request: dict[str, Any],
        environment: str | None,
        out: Path | None,
        *,
        overwrite: bool,
        heavy: bool,
        prepare: Prepare | None,
        provenance: Mapping[str, Any],
        variables: Mapping[str, str],
    ) -> None:
        self.name, self.out = name, out
        self.status: Status = "queued"
        self.progress = Progress(None, "queued")
        self.error: str | None = None
        self.result: Any = None
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        self.folder = environments.cache_root() / "jobs" / f"{stamp}-{uuid.uuid4().hex[:4]}"
        self._worker, self._request, self._environment = worker, request, environment
        self._overwrite, self._heavy, self._prepare = overwrite, heavy, prepare
        self._provenance, self._variables = provenance, variables
        parent: Job | None = getattr(_inside, "job", None)
        # A job within a job's preparation ends with it.
        self._cancel: threading.Event = parent._cancel if parent else threading.Event()
        self._observers: list[Callable[[Job], None]] = []
        self._over = threading.Event()
        self._began = self._ended = 0.0
        self._failure: WorkbenchError | None = None
        # Preparing takes no turn, so that a job within it gets one; what is ready queues in the order it came.
        self._prepares = prepare is not None or not (environment is None or environments.get(environment).built)
        if heavy and not self._prepares:
            _queue.enter(self)
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
        if not self._over.wait(timeout):
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
            self._over.set()
            self._notify()

    def _begin(self) -> None:
        self._began = self._began or time.monotonic()
        self.status = "running"
        self._tell(Progress(None, "starting"))

    def _work(self) -> Any:
        self.folder.mkdir(parents=True)
        _forget_old(self.folder.parent)
        python, variables, facts = self._ready_environment()
        if self._prepare is not None:
            self._request |= self._prepare(self._tell, self._cancel) or {}
        if self._heavy:
            _queue.await_turn(self)
        self._begin()
        request = self.folder / "request.json"
        request.write_text(json.dumps(self._request, indent=2), encoding="utf-8")
        with _scratch(self.out) as scratch:
            started = _now()
            command = [str(python), str(_WORKER), self._worker, str(request), str(scratch or "")]
            said = self._supervise(command, variables, scratch)
            if scratch is None or self.out is None:
                return said["result"]
            result = said["result"]
            if isinstance(result, dict):
                result = {**result, "out": str(self.out)}
            made = {
                "made_by": f"llm-workbench {__version__}",
                "job": self.name,
                **self._provenance,
                "request": self._request,
                "result": result,
                "environment": facts,
                "platform": platform.platform(),
                "started": started,
                "finished": _now(),
                "seconds": round(said["seconds"], 3),
            }
            _write(scratch / PROVENANCE, json.dumps(made, indent=2, default=str) + "\n")
            self._tell(Progress(1.0, "keeping the result"))  # the last moment to cancel
            _put(scratch, self.out, self._overwrite)
            return result

    def _ready_environment(self) -> tuple[Path, dict[str, str], dict[str, Any]]:
        """Python, environment variables and provenance of the environment, built if it is missing."""
        if self._environment is None:
            python = Path(sys.executable)
            variables = clean_environ(self._variables)
            return python, variables, {"name": None, "python": platform.python_version()}
        ready = environments.ensure(self._environment, self._tell, self._cancel)
        versions = ready.versions() or installed(ready.python)
        facts = {"name": ready.name, "requirements": ready.requirements, "versions": versions}
        return ready.python, ready.environ(self._variables), facts

    def _supervise(self, command: list[str], variables: dict[str, str], scratch: Path | None) -> dict[str, Any]:
        """Run the worker, follow its messages, and return the one that holds the result."""
        messages = self.folder / "messages.jsonl"
        messages.touch()
        environ = {**variables, "WORKBENCH_MESSAGES": str(messages)}
        # Libraries leave logs and caches where they run: here they are in nobody's way, and go with the folder.
        process = Supervised(command, env=environ, log=self.log_path, scratch=scratch, cwd=self.folder)
        said: dict[str, Any] = {}
        try:
            with messages.open(encoding="utf-8") as file:
                code: int | None = None
                while code is None:
                    with contextlib.suppress(TimeoutError):
                        code = process.wait(0.1)
                    if news := _read_messages(file):
                        said |= news
                    self._tell(_progress(said.get("progress"), self.progress))
        finally:
            process.terminate(grace=5)
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


def _read_messages(file: Any) -> dict[str, Any]:
    """The newest message of each kind; half a line is left for the next time."""
    news: dict[str, Any] = {}
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return news
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                news |= message


def _progress(facts: Any, before: Progress) -> Progress:
    if not isinstance(facts, dict):
        return before
    fraction, left = facts.get("fraction"), facts.get("seconds_left")
    return Progress(
        min(1.0, max(0.0, float(fraction))) if isinstance(fraction, int | float) else None,
        str(facts.get("stage", "")),
        str(facts.get("detail", "")),
        float(left) if isinstance(left, int | float) else None,
    )


def _forget_old(folder: Path) -> None:
    """Keep the newest job folders; their names begin with their time."""
    running = {job.folder for job in _known if job.status in ("queued", "running")}
    old = sorted(path for path in folder.iterdir() if path.is_dir())[:-_KEPT]
    for path in old:
        if path not in running:
            shutil.rmtree(path, ignore_errors=True)


class _scratch:
    """A folder beside the target that does not outlive the ``with`` block; neither do parents made for it."""

    def __init__(self, out: Path | None) -> None:
        self.out = out
        self.made: list[Path] = []
        self.folder: Path | None = None

    def __enter__(self) -> Path | None:
        if self.out is None:
            return None
        missing, place = [], self.out.parent
        while not place.exists():
            missing.append(place)
            place = place.parent
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            self.made.insert(0, place)
        self.folder = self.out.with_name(f".{self.out.name[:100]}.{uuid.uuid4().hex[:8]}.partial")
        self.folder.mkdir()
        return self.folder

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        for place in self.made:
            with contextlib.suppress(OSError):  # not empty: the result is in it
                place.rmdir()


def _write(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _put(scratch: Path, out: Path, overwrite: bool) -> None:
    """Rename the finished folder to its target; an old one makes way only now."""
    old = scratch.with_suffix(".old")
    if os.path.lexists(out):
        if not overwrite:
            raise InvalidInput(f"{out} appeared while the job ran; it was left alone and the result dropped")
        os.rename(out, old)
    try:
        os.rename(scratch, out)
    except OSError:
        if os.path.lexists(old):
            os.rename(old, out)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    elif os.path.lexists(old):
        old.unlink()
    handle = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def start(
    name: str,
    worker: str | Path,
    request: Mapping[str, Any],
    environment: str | None,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    heavy: bool = True,
    prepare: Prepare | None = None,
    provenance: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    disk_bytes: int = 0,
) -> Job:
    """Start a job and return at once.

    Parameters
    ----------
    name : str
        What people see.
    worker : str or Path
        The worker: a file, or a module of this package by its dotted name, with a function
        ``work(request, worker)`` (see :mod:`workbench.worker`).
    request : mapping
        What the worker is asked; anything JSON can hold.
    environment : str or None
        The environment whose Python runs it, built first if it is missing; None for this Python.
    out : path, optional
        Folder that the result becomes: the worker fills a temporary folder beside it, which is renamed when
        all is done. On failure, cancel or death of this process nothing is left.
    overwrite : bool
        Whether an `out` that exists is replaced, at the very end; otherwise it is refused at once.
    heavy : bool
        Whether its worker waits until no other heavy job's worker of this process runs.
    prepare : callable, optional
        Runs in the job's thread once the environment is ready, as a stage of its own (a download, the
        built-in model); what it returns is added to the request. See :data:`Prepare`.
    provenance : mapping, optional
        Added to ``workbench.json`` in the result (method, parameters, source ...).
    variables : mapping, optional
        Environment variables for the worker.
    disk_bytes : int
        Free space to ask for beside `out` before starting [B].

    Returns
    -------
    Job

    Raises
    ------
    InvalidInput
        `out` exists, lies nowhere one may write, or is being made by another job; the request is not JSON.
    MissingPart
        There is no such worker, or not enough disk.
    UnknownName
        There is no such environment.
    """
    if environment is not None:
        environments.get(environment)
    if isinstance(worker, Path) or worker.endswith(".py"):
        worker = str(Path(worker).absolute())
        if not Path(worker).is_file():
            raise MissingPart(f"there is no worker at {worker}; reinstall llm-workbench")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(request)))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the request of {name} cannot be written as JSON: {error}") from None
    target = None if out is None else _check_target(Path(out).expanduser().absolute(), overwrite, disk_bytes)
    job = Job(
        name,
        worker,
        copy,
        environment,
        target,
        overwrite=overwrite,
        heavy=heavy,
        prepare=prepare,
        provenance=dict(provenance or {}),
        variables=dict(variables or {}),
    )
    _known.append(job)
    job._thread.start()
    return job


def _check_target(out: Path, overwrite: bool, disk_bytes: int) -> Path:
    if os.path.lexists(out) and not overwrite:
        raise InvalidInput(f"{out} exists; choose another folder or allow it to be overwritten")
    if any(job.out == out and job.status in ("queued", "running") for job in _known):
        raise InvalidInput(f"another job is making {out}; wait for it or choose another folder")
    place = out.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InvalidInput(f"{place} is not a folder that can be written to; choose another target than {out}")
    free = shutil.disk_usage(place).free
    if free < disk_bytes:
        raise MissingPart(f"{out} needs {disk_bytes / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free: make room")
    return out


def jobs() -> list[Job]:
    """Every job of this process, oldest first."""
    return list(_known)
