"""Processes that die with their owner: an engine or a job, with everything it starts.

A notebook kernel that is killed cannot clean up after itself, and an engine left behind holds a GPU until
somebody notices. So between owner and command stands a keeper (``keeper.py``) that ends the command's whole
process group, and what left the group, as soon as the owner is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from workbench.errors import MissingPart, WorkbenchError

_KEEPER = Path(__file__).with_name("keeper.py")


class Supervised:
    """A command in a process group of its own that dies with its owner.

    The command ends, with every process below it, when :meth:`terminate` is called, when this object is
    dropped, and when the owning process goes, be it by ``kill -9``. Leftovers of a command that has ended
    by itself are ended too: SIGTERM, and five seconds later SIGKILL.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell.
    env : mapping of str to str, optional
        The whole environment of the command, as in :mod:`subprocess`; by default the owner's.
    cwd : Path, optional
        Where the command runs.
    log : Path
        File that standard output and standard error are appended to; its folder is made.
    scratch : Path, optional
        Folder that is removed when the owner dies before the command has ended; otherwise it is the owner's. Made if it
        is not there.

    Attributes
    ----------
    pid : int
        Process id of the command, which leads its group.
    keeper_pid : int
        Process id of the keeper.
    log : Path
        The log file.

    Raises
    ------
    MissingPart
        The command cannot be started: no such program, not executable.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path,
        scratch: Path | None = None,
    ) -> None:
        if os.name != "posix":
            raise MissingPart("engines and jobs need Linux or macOS; on Windows use WSL")
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._unread = b""
        self._code: int | None = None
        self._gone = False
        self._stuck = ""
        self._out_of_memory_before = _out_of_memory_kills()
        self._control = self._status = -1
        control_read, self._control = os.pipe()
        self._status, status_write = os.pipe()
        os.set_blocking(self._status, False)
        keeper = [sys.executable, "-I", "-S", str(_KEEPER), str(os.getpid()), str(control_read)]
        try:
            with self.log.open("ab") as file:
                self._keeper = subprocess.Popen(
                    [*keeper, str(status_write), str(scratch or ""), *map(str, command)],
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    pass_fds=(control_read, status_write),
                    start_new_session=True,
                )
        finally:
            os.close(control_read)
            os.close(status_write)
        self.keeper_pid = self._keeper.pid
        self.pid = self._await_start(str(command[0]))

    def _await_start(self, program: str) -> int:
        words: list[str] = []
        while b"\n" not in self._unread:
            if not self._readable(None):
                continue
            chunk = os.read(self._status, 4096)
            if not chunk:
                break
            self._unread += chunk
        first, _, self._unread = self._unread.partition(b"\n")
        words = first.decode(errors="replace").split(" ", 2)
        if words[0] == "started":
            return int(words[1])
        self._keeper.wait()
        self._gone = True
        if words[0] == "failed" and words[1] == str(errno.ENOENT):
            raise MissingPart(f"cannot start {program}: there is no such program")
        reason = words[2] if words[0] == "failed" else f"its keeper failed; see {self.log}"
        raise MissingPart(f"cannot start {program}: {reason}")

    def _readable(self, timeout: float | None) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            return bool(selector.select(timeout))

    def poll(self) -> int | None:
        """Exit code of the command once it and all it started are gone; None until then.

        A negative code is the signal that ended it, as in :mod:`subprocess`.
        """
        with self._lock:
            while not self._gone:
                try:
                    chunk = os.read(self._status, 4096)
                except BlockingIOError:
                    break
                if not chunk:
                    self._keeper_went()
                    break
                *lines, self._unread = (self._unread + chunk).split(b"\n")
                for line in lines:
                    self._hear(line.decode())
            return self._code if self._gone else None

    def _hear(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "exited":
            self._code = int(rest)
        elif verb == "stuck":
            self._stuck = rest
        elif verb == "gone":
            self._gone = True
            self._keeper.wait()

    def _keeper_went(self) -> None:
        """Somebody killed the keeper: end the group from here."""
        self._keeper.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._code is None:
            self._code = -int(signal.SIGKILL)
        self._gone = True

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the command and all it started are gone.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s].

        Returns
        -------
        int
            The exit code, as :meth:`poll`.

        Raises
        ------
        TimeoutError
            It still runs after `timeout`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"process {self.pid} still runs after {timeout:g} s")
            # Another thread may read the last word between poll and here; the pipe then stays at its end,
            # which is readable, so nobody sleeps on.
            self._readable(left)
        return code

    def terminate(self, grace: float = 10.0) -> None:
        """End the command and all it started; return when every member is gone.

        Parameters
        ----------
        grace : float
            Seconds between SIGTERM and SIGKILL [s].

        Raises
        ------
        WorkbenchError
            A member survived SIGKILL (a driver that hangs, another user's process).
        """
        if self.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._control, f"terminate {grace:f}\n".encode())
            self.wait()
        if self._stuck:
            raise WorkbenchError(f"processes {self._stuck} did not end even when killed; look at them by hand")

    @property
    def killed_for_memory(self) -> bool:
        """Whether SIGKILL ended it while the kernel was killing for want of memory (Linux; else False)."""
        return self._code == -int(signal.SIGKILL) and _out_of_memory_kills() > self._out_of_memory_before

    @property
    def memory_ran_out(self) -> bool:
        """Whether the kernel has killed for want of memory, this or another process, since it was started (Linux)."""
        return _out_of_memory_kills() > self._out_of_memory_before

    def exit_text(self) -> str:
        """How the command ended, in words: "ended with code 1", "was killed for want of memory" …"""
        if self._code is None:
            return "is still running"
        return "was killed by the kernel: memory ran out" if self.killed_for_memory else exit_text(self._code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def __del__(self) -> None:
        # Closing the pipe is what ends the group when nobody holds this object any more.
        for end in (getattr(self, "_control", -1), getattr(self, "_status", -1)):
            if end >= 0:
                with contextlib.suppress(OSError):
                    os.close(end)


def short_scratch() -> Path:
    """Where one process's temporary files may lie; the path is short, as a socket's must be (107 bytes).

    It is not made: give it to :class:`Supervised` as its `scratch`, so that there is none without somebody who
    removes it.
    """
    usual = tempfile.gettempdir()
    short = "/tmp" if len(usual) > 40 and Path("/tmp").is_dir() else usual
    return Path(short) / f"workbench-{uuid.uuid4().hex[:12]}"


def exit_text(code: int) -> str:
    """An exit code in words.

    Examples
    --------
    >>> exit_text(1)
    'ended with code 1'
    >>> exit_text(-9)
    'was killed (SIGKILL); often that is the kernel, for want of memory'
    >>> exit_text(-11)
    'was ended by signal SIGSEGV'
    """
    if code >= 0:
        return f"ended with code {code}"
    if -code == signal.SIGKILL:
        return "was killed (SIGKILL); often that is the kernel, for want of memory"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError), open("/proc/vmstat") as file:
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
