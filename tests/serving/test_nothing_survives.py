"""Nothing survives its owner: servers started and ended in every way, and looked for afterwards.

What is started is a stand-in (a real process group, a port, files) or a real vLLM; what ends it is a stop, a kill of
the server, of its worker, of the process that owns it, or of a notebook's kernel, at a moment drawn by chance.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import stub_engine

from workbench import builtin
from workbench.serving import Server

PATIENCE = 30.0  # seconds that an end may take: a deaf worker is killed after its grace
# A process that starts a server, says where, and keeps it until it is ended itself.
OWNER = """
import sys, time
sys.path[:0] = {paths!r}
{start}
while server.pid is None:
    time.sleep(0.005)
print("pid", server.pid, server.url, flush=True)
"""
STUB = "import stub_engine; from workbench.serving import Server; server = Server(stub_engine.order({mark!r}{more}))"
VLLM = "import workbench as wb; server = wb.serve({model!r}, enforce_eager=True, kv_cache_memory_bytes=2**27)"


@dataclass
class Place:
    """Where one run's files lie, and what marks its processes."""

    folder: Path
    mark: str = field(default_factory=lambda: f"mark-{uuid.uuid4().hex}")
    ports: set[int] = field(default_factory=set)
    pids: set[int] = field(default_factory=set)

    def processes(self) -> list[psutil.Process]:
        """What still runs: by the mark, by the temporary folder in its environment, or by a known id."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words, variables = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            ours = variables.get("TMPDIR", "").startswith(str(self.folder))
            if ours or any(self.mark in word for word in words):
                found.append(process)
        return found

    def left(self) -> list[str]:
        """All that is left of servers here: processes, ports, files."""
        found = [f"process {p.pid}: {' '.join(p.cmdline())[:120]}" for p in self.processes() if p.is_running()]
        for port in self.ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    found.append(f"port {port}")
        return found + [f"file {path}" for path in self.folder.glob("workbench-*")]

    def expect_nothing(self, how: str) -> None:
        """Wait until nothing is left; fail with what is."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                left = self.left()
            except psutil.Error:  # went while it was looked at
                left = ["a process"]
            if not left:
                self.ports.clear()
                return
            assert time.monotonic() < deadline, f"after {how}: {left}"
            time.sleep(0.1)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Place]:
    """A temporary folder that only this test's servers use, and this Python for the engine's environment."""
    folder = Path(tempfile.mkdtemp(prefix="wbs-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    made = Place(folder)
    yield made
    for process in made.processes():  # of a test that failed
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in runs with this Python."""
    monkeypatch.setenv("WORKBENCH_VLLM_CPU_PYTHON", sys.executable)


def below(pid: int) -> list[psutil.Process]:
    """The processes under one, deepest last; none where it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def in_this_process(place: Place, start: Callable[[], Server], how: str, wait: float) -> None:
    """Start a server here and end it: by stop, by forgetting it, or by killing it or its worker."""
    server = start()
    place.ports.add(int(server.url.rsplit(":", 1)[1]))
    time.sleep(wait)
    if how in ("kill the server", "kill its worker"):
        while server.pid is None and server.status == "starting":
            time.sleep(0.005)
        assert server.pid is not None
        victims = below(server.pid) if how == "kill its worker" else []
        kill(random.choice(victims).pid if victims else server.pid)
    if how == "forget":
        del server
        gc.collect()
    elif how == "kill its worker":
        # A helper's death is the engine's own business; the server is stopped at last.
        time.sleep(random.uniform(0, 0.3))
        server.stop()
    elif how == "stop":
        server.stop()
        assert server.status == "stopped"
    else:
        deadline = time.monotonic() + PATIENCE
        while server.status not in ("failed", "stopped"):
            assert time.monotonic() < deadline, f"{how}: still {server.status}"
            time.sleep(0.02)


def in_an_owner(place: Place, code: str, how: str, wait: float) -> None:
    """Let another Python start a server, and kill that Python: once it has one, or at any moment before."""
    words = [sys.executable, "-c", code + f"\ntime.sleep({60 if how == 'kill the owner' else wait})"]
    owner = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    if how == "kill the owner early":
        time.sleep(wait)
        owner.kill()
        owner.communicate()
        return
    _, pid, url = owner.stdout.readline().split()
    place.ports.add(int(url.rsplit(":", 1)[1]))
    assert psutil.pid_exists(int(pid)) or how != "kill the owner"
    if how == "kill the owner":
        time.sleep(wait)
        owner.kill()
    owner.wait(PATIENCE)


def in_a_kernel(place: Place, code: str, wait: float) -> None:
    """Let a notebook's kernel start a server, and kill the kernel as Jupyter does when it is restarted."""
    from jupyter_client.manager import KernelManager

    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(cwd=str(place.folder))
    client = kernel.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)
        said: list[str] = []
        client.execute_interactive(
            code,
            timeout=PATIENCE,
            output_hook=lambda message: said.append(message["content"].get("text", str(message["content"]))),
        )
        _, pid, url = next(text for text in said if text.startswith("pid")).split()
        place.ports.add(int(url.rsplit(":", 1)[1]))
        assert psutil.pid_exists(int(pid))
        time.sleep(wait)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


HERE = ("stop", "forget", "kill the server", "kill its worker")
OWNED = ("kill the owner", "kill the owner early", "the owner ends", "kill the kernel")


def cycle(place: Place, start: Callable[[], Server], code: str, how: str, wait: float) -> None:
    """One start and one end, and a look at what is left."""
    if how in HERE:
        in_this_process(place, start, how, wait)
    elif how == "kill the kernel":
        in_a_kernel(place, code, wait)
    else:
        in_an_owner(place, code, how, wait)
    place.expect_nothing(f"{how} after {wait:.2f} s")


def stub_cycle(place: Place, how: str, wait: float, deaf: bool) -> None:
    more = {"deaf": True} if deaf else {}
    start = STUB.format(mark=place.mark, more=", deaf=True" if deaf else "")
    code = OWNER.format(paths=[str(Path(stub_engine.__file__).parent)], start=start)
    cycle(place, lambda: Server(stub_engine.order(place.mark, **more)), code, how, wait)


@pytest.mark.parametrize("how", [*HERE, *OWNED])
def test_every_end_leaves_nothing(place: Place, stub: None, how: str) -> None:
    """The short form: each end once, while it comes up or soon after."""
    stub_cycle(place, how, wait=random.Random(how).uniform(0, 1.0), deaf=how == "stop")


@pytest.mark.soak
def test_two_hundred_starts_and_ends_leave_nothing(place: Place, stub: None) -> None:
    seed = int(os.environ.get("WORKBENCH_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)
    random.seed(seed)
    cycles = int(os.environ.get("WORKBENCH_CYCLES", 200))
    files, threads = 0, 0
    for number in range(cycles):
        how = chance.choice([*HERE, *OWNED])
        # Before, while and after it comes up, which takes a second or two.
        wait, deaf = chance.choice([0.0, chance.uniform(0, 0.6), chance.uniform(0, 3.0)]), chance.random() < 0.2
        print(f"{number}: {how} after {wait:.2f} s{', deaf' if deaf else ''} (seed {seed})", flush=True)
        stub_cycle(place, how, wait, deaf)
        if number == cycles // 3:  # by then every way was gone once and what is opened once for all is open
            files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files + 3, "files stay open"
    assert threading.active_count() <= threads + 1, [thread.name for thread in threading.enumerate()]


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.parametrize("how", ["stop", "kill the server", "kill its worker", "kill the owner", "kill the kernel"])
def test_a_real_vllm_leaves_nothing(place: Place, how: str) -> None:
    import workbench as wb

    model = str(builtin.ensure())
    wait = random.Random(os.environ.get("WORKBENCH_SEED", time.time_ns())).uniform(0, 30)
    code = OWNER.format(paths=[], start=VLLM.format(model=model))

    def start() -> Server:
        return wb.serve(model, enforce_eager=True, kv_cache_memory_bytes=2**27)

    cycle(place, start, code, how, wait)
