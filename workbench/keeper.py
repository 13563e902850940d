"""The keeper: a small process between a supervised command and its owner.

Run as a file by :class:`workbench.processes.Supervised`, never imported by it. It holds one end of a pipe
whose other end only the owner has. When the owner goes, however it goes (``kill -9`` included), the pipe
ends, and the keeper ends the command with everything the command started. It uses the standard library
alone, so that it starts in a few milliseconds and lives on when packages are being replaced.

On Linux it is the *subreaper* of everything below it (``prctl(2)``, PR_SET_CHILD_SUBREAPER): a grandchild
that left the process group with ``setsid`` and lost its parent becomes the keeper's own child, so it is
still found and ended. Elsewhere, members are the process group and all descendants seen when the end
begins; one that left the group *and* lost its parent before that is out of reach.

Words to the owner, one a line: ``started PID``, ``failed ERRNO TEXT``, ``exited CODE`` (the command's own),
``stuck PID …`` (not even SIGKILL ended them), ``gone`` (nothing is left). The owner's only word is
``terminate SECONDS``.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

ORPHAN_GRACE = 5.0  # seconds between SIGTERM and SIGKILL when the owner went or the command left something
STUCK_AFTER = 30.0  # seconds after SIGKILL before a member is called stuck

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def _prctl() -> Callable[[int, int], object] | None:
    """Linux's ``prctl(option, value)``, or None elsewhere."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        return lambda option, value: libc.prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return None


def _process_table() -> dict[int, tuple[int, int, str]]:
    """Parent, process group and state letter of every process, by pid."""
    table: dict[int, tuple[int, int, str]] = {}
    if sys.platform == "linux":
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):  # gone meanwhile
                    with open(f"/proc/{entry}/stat", "rb") as file:
                        state, parent, group = file.read().rpartition(b")")[2].split()[:3]
                    table[int(entry)] = int(parent), int(group), state.decode()
        return table
    ps = subprocess.Popen(["ps", "-axo", "pid=,ppid=,pgid=,stat="], stdout=subprocess.PIPE, text=True)
    for line in ps.communicate()[0].splitlines():
        pid, parent, group, state = line.split()[:4]
        if int(pid) != ps.pid:
            table[int(pid)] = int(parent), int(group), state[0]
    return table


def _members(leader: int) -> set[int]:
    """Living processes in the leader's group or anywhere below this keeper."""
    table = _process_table()
    below, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, (parent, _, _) in table.items() if parent in below} - below
        below |= more
        grown = bool(more)
    below |= {pid for pid, (_, group, _) in table.items() if group == leader}
    return {pid for pid in below - {os.getpid()} if table.get(pid, (0, 0, "Z"))[2] not in "ZX"}


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class _Keeper:
    def __init__(self, owner: int, control: int, status: int, scratch: str) -> None:
        self.owner, self.control, self.status, self.scratch = owner, control, status, scratch
        self.leader = 0
        self.code: int | None = None
        self.kill_at: float | None = None  # when SIGKILL follows; None while nothing is ending
        self.seen: set[int] = set()
        self.pending = b""

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the owner may be gone
            os.write(self.status, (text.replace("\n", " ") + "\n").encode())

    def start(self, command: list[str]) -> bool:
        prctl = _prctl()
        if prctl:
            prctl(_PR_SET_CHILD_SUBREAPER, 1)

        def with_keeper() -> None:  # should the keeper itself be killed, the command goes too
            if prctl:
                prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        try:
            # Made here and not by the owner, who may be killed between making it and starting the keeper.
            if self.scratch and not os.path.isdir(self.scratch):
                os.mkdir(self.scratch, 0o700)
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=with_keeper)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.say(f"failed {getattr(error, 'errno', None) or 0} {getattr(error, 'strerror', '') or error}")
            return False
        child.returncode = 0  # reaped below with the orphans, not by subprocess
        self.leader = child.pid
        self.say(f"started {child.pid}")
        return True

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.leader:
                self.code = os.waitstatus_to_exitcode(status)
                self.say(f"exited {self.code}")

    def end(self, grace: float) -> None:
        """SIGTERM to all now, SIGKILL after `grace` seconds; a later, shorter grace wins."""
        deadline = time.monotonic() + grace
        if self.kill_at is None:
            self.kill_at = deadline
            self.seen = _members(self.leader)
            _send(self.seen, signal.SIGTERM)
        self.kill_at = min(self.kill_at, deadline)

    def listen(self) -> None:
        """Read what the owner says; the end of the pipe means the owner is gone."""
        words = os.read(self.control, 4096)
        if not words:
            os.close(self.control)
            self.control = -1
            self.end(ORPHAN_GRACE)
            return
        *lines, self.pending = (self.pending + words).split(b"\n")
        for line in lines:
            verb, _, seconds = line.partition(b" ")
            if verb == b"terminate":
                self.end(float(seconds))

    def run(self, command: list[str]) -> int:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        asked: list[int] = []
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        for number in (signal.SIGINT, signal.SIGHUP):  # functions: SIG_IGN would be inherited by the command
            signal.signal(number, lambda *_: None)
        if not self.start(command):
            return 1
        while True:
            self.reap()
            if self.code is not None or self.kill_at is not None:
                alive = _members(self.leader)
                # Without a subreaper, one seen earlier may have lost its parent: it still counts.
                table = _process_table() if sys.platform != "linux" else {}
                alive |= {pid for pid in self.seen if pid in table and table[pid][2] not in "ZX"}
                if self.code is not None and not alive:
                    break
                if self.kill_at is None:
                    self.end(ORPHAN_GRACE)
                elif time.monotonic() >= self.kill_at:
                    _send(alive, signal.SIGKILL)
                    if time.monotonic() >= self.kill_at + STUCK_AFTER:
                        self.say("stuck " + " ".join(map(str, sorted(alive))))
                        break
            ending = self.code is not None or self.kill_at is not None
            sources = [wake_read] + ([self.control] if self.control >= 0 else [])
            ready, _, _ = select.select(sources, [], [], 0.05 if ending else 1.0)
            if wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            if self.control in ready:
                self.listen()
            # A fork of the owner may still hold the pipe: the owner is gone all the same.
            if asked or os.getppid() != self.owner:
                self.end(ORPHAN_GRACE)
        if self.scratch and (self.control < 0 or os.getppid() != self.owner):
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.say("gone")
        return 0


if __name__ == "__main__":
    _owner, _control, _status = (int(word) for word in sys.argv[1:4])
    raise SystemExit(_Keeper(_owner, _control, _status, sys.argv[4]).run(sys.argv[5:]))
