"""What stands on a node: an actor of Ray that runs one worker or one engine there, and answers for it.

It runs in Ray's own Python on the node, which holds no library of the workbench's: what comes with it is the package
itself and two modules of pure Python (see :mod:`workbench.cluster.connection`). What it starts runs in the node's
environment of the name asked for, built there first if it is missing, under a keeper that ends it when this actor goes:
when its driver ends it, when the driver goes, when the node's raylet does.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import environments
from workbench.cluster.transfer import marks as marks_of
from workbench.environments import Environment
from workbench.environments.build import clean_environ, installed
from workbench.errors import InvalidInput
from workbench.processes import Supervised, short_scratch
from workbench.progress import Progress

_WORKER = Path(__file__).parents[1] / "worker.py"
_AT_ONCE = 2**20  # bytes of a log passed on in one answer
_SLEEP = "import time\nwhile True: time.sleep(3600)"


class Node:
    """The actor.

    Attributes
    ----------
    folder : Path
        A folder of its own on the node; it goes when this process does, however it goes.
    """

    def __init__(self) -> None:
        import ray

        self._address: str = ray.util.get_node_ip_address()
        root = environments.cache_root() / "cluster"
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        self.folder = root / f"{_mark()}{os.getpid()}-{uuid.uuid4().hex[:12]}"
        # Somebody must be there to remove the folder should this process be killed while a model arrives.
        asleep = [sys.executable, "-I", "-S", "-c", _SLEEP]
        self._keeping = Supervised(asleep, log=Path(os.devnull), scratch=self.folder)
        while not self.folder.is_dir():
            self._keeping.wait(0.01)
        self._log, self._messages = self.folder / "log.txt", self.folder / "messages.jsonl"
        self._progress: Progress | None = None
        self._cancel = threading.Event()
        self._environment: Environment | None = None
        self._process: Supervised | None = None
        self._scratch: Path | None = None

    # --- what there is ------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Of the node, for provenance and for messages."""
        told = {"address": self._address, "host": socket.gethostname(), "platform": platform.platform()}
        return {**told, "folder": str(self.folder)}

    def sees(self, path: str, marks: Sequence[Sequence[Any]]) -> bool:
        """Whether this path holds the same files here: names, sizes, times."""
        place = Path(path)
        return place.exists() and [list(mark) for mark in marks_of(place)] == [list(mark) for mark in marks]

    def reads(self, path: str) -> str:
        """The text of a small file here; "" where there is none."""
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(1000)
        except OSError:
            return ""

    # --- the environment ----------------------------------------------------------------------------------------

    def ready(self, name: str | None) -> dict[str, Any]:
        """Build an environment unless it is built; what it holds."""
        if name is None:
            return {"name": None, "python": platform.python_version()}
        built = self._environment = environments.ensure(name, self._tell, self._cancel)
        self._progress = None
        return {
            "name": name,
            "requirements": built.requirements,
            "versions": built.versions() or installed(built.python),
        }

    def _tell(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self) -> list[Any] | None:
        """Of a build: fraction, stage, detail, seconds left."""
        at = self._progress
        return None if at is None else [at.fraction, at.stage, at.detail, at.seconds_left]

    def _python(self) -> tuple[Path, dict[str, str]]:
        if self._environment is None:
            python, environ = Path(sys.executable), clean_environ()
        else:
            python, environ = self._environment.python, self._environment.environ()
        # What Ray set for its own worker would make a Ray of the environment think that it is one.
        own = ("RAY_", "PYTHONBREAKPOINT")
        return python, {name: value for name, value in environ.items() if not name.startswith(own)}

    # --- files --------------------------------------------------------------------------------------------------

    def write(self, path: str, offset: int, data: bytes) -> None:
        """A piece of a file; only below this actor's own folder."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(handle, data, offset)
        finally:
            os.close(handle)

    def files(self, path: str) -> list[tuple[str, int]]:
        """Every file below a folder of this actor's own, by its path there, with its size [bytes]."""
        root = self.folder / path
        return [(str(f.relative_to(root)), f.stat().st_size) for f in sorted(root.rglob("*")) if f.is_file()]

    def read(self, path: str, offset: int, size: int) -> bytes:
        """A piece of a file."""
        with open(self.folder / path, "rb") as file:
            return os.pread(file.fileno(), size, offset)

    # --- what runs ----------------------------------------------------------------------------------------------

    def work(
        self, worker: str, text: str | None, request: Mapping[str, Any], variables: Mapping[str, str], out: str | None
    ) -> str | None:
        """Start a worker.

        Parameters
        ----------
        worker : str
            A module's dotted name, or a file's name.
        text : str or None
            What that file holds.
        request : mapping
            What the worker is asked.
        variables : mapping
            Set in its environment.
        out : str or None
            The folder it fills; "" for one of this actor's own; None for none.

        Returns
        -------
        str or None
            That folder.
        """
        python, environ = self._python()
        if text is not None:
            worker = str(self.folder / "worker" / Path(worker).name)
            Path(worker).parent.mkdir()
            Path(worker).write_text(text, encoding="utf-8")
        place = self.folder / "out" if out == "" else Path(out) if out else None
        if place is not None:
            place.mkdir()
        asked = self.folder / "request.json"
        asked.write_text(json.dumps(dict(request), indent=2), encoding="utf-8")
        self._messages.touch()
        inside = self.folder / "run"  # libraries leave logs and caches where they run
        inside.mkdir()
        self._process = Supervised(
            [str(python), str(_WORKER), worker, str(asked), str(place or "")],
            env={**environ, **variables, "WORKBENCH_MESSAGES": str(self._messages)},
            log=self._log,
            scratch=self.folder,
            cwd=inside,
        )
        return None if place is None else str(place)

    def serve(
        self, engine: str, words: Sequence[str], variables: Mapping[str, str], offline: bool, port: int | None
    ) -> dict[str, Any]:
        """Start an engine at this node's address; where, and its process."""
        from workbench.engines.starters import STARTERS

        starter = STARTERS[engine]
        python, environ = self._python()
        chosen = _free_port(self._address, port)
        scratch = self._scratch = short_scratch()
        places = {"TMPDIR": str(scratch), "VLLM_RPC_BASE_PATH": str(scratch)}
        self._process = Supervised(
            starter.command(words, python, self._address, chosen),
            env=starter.environment(environ, offline=offline, more={**places, **variables}),
            log=self._log,
            scratch=scratch,
        )
        host = f"[{self._address}]" if ":" in self._address else self._address
        return {"url": f"http://{host}:{chosen}", "pid": self._process.pid}

    def news(self, log: int, messages: int) -> dict[str, Any]:
        """What was written since these places in log and messages [bytes], and how the process ended, if it did."""
        process = self._process
        code = process.poll() if process else None
        return {
            "log": _from(self._log, log),
            "messages": _from(self._messages, messages),
            "code": code,
            "words": process.exit_text() if process and code is not None else "",
            "memory_ran_out": bool(process and process.memory_ran_out),
        }

    def end(self, grace: float) -> None:
        """End what runs, and remove the folder."""
        self._cancel.set()
        try:
            if self._process is not None:
                self._process.terminate(grace)
        finally:
            self._keeping.terminate(0)
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)


def _mark() -> str:
    """How the names of this machine's folders begin; several may share a cache."""
    return f"node-{socket.gethostname()}-"


def _sweep(root: Path) -> None:
    """Remove what a machine that lost its power, or all its processes at once, could not."""
    import psutil  # Ray brings it

    for folder in root.glob(f"{_mark()}*"):
        pid = folder.name.removeprefix(_mark()).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _from(file: Path, offset: int) -> bytes:
    try:
        with file.open("rb") as handle:
            handle.seek(offset)
            return handle.read(_AT_ONCE)
    except FileNotFoundError:
        return b""


def _free_port(address: str, named: int | None) -> int:
    """A port of this node that nothing listens at.

    Raises
    ------
    InvalidInput
        The one that was named is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, named or 0))
        except OSError as error:
            raise InvalidInput(
                f"port {named} of {address} cannot be had ({error.strerror}); choose another, or leave it out to get a "
                "free one"
            ) from None
        return int(probe.getsockname()[1])
