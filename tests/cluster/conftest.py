"""A Ray cluster of two nodes on this machine, each with an address, resources and temporary files of its own."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import until

from workbench import environments
from workbench.cluster import Cluster
from workbench.processes import Supervised

STORE = 100_000_000  # bytes of each node's object store
#: Below it the nodes see nothing of this machine's files, as nodes of a real cluster do without a shared disk.
HIDDEN = "hidden"


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def _mount(folder: Path) -> list[str]:
    """Words before a command that let it see an empty folder there; none where the system does not allow that."""
    for own in ([], ["--user", "--map-root-user"]):
        words = ["unshare", *own, "--mount", "--propagation", "private", "sh", "-c"]
        try:
            subprocess.run([*words, f"mount -t tmpfs none {shlex.quote(str(folder))}"], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError):
            continue
        return [*words, f'mount -t tmpfs none {shlex.quote(str(folder))} && exec "$0" "$@"']
    return []


class Nodes:
    """The nodes, and what is left of them.

    Attributes
    ----------
    folder : Path
        Everything of theirs lies below it; its path is short, as Ray's sockets must be.
    hidden : Path
        A folder that they do not see, whatever this machine puts there.
    mark : str
        In the environment of every process of theirs.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wbray", dir="/tmp"))
        self.hidden = self.folder / HIDDEN
        self.hidden.mkdir()
        self.cache = self.folder / "cache"
        self.cache.mkdir()
        # The environments of this machine are the nodes'; whatever else they cache is their own.
        (self.cache / "environments").symlink_to(environments.cache_root() / "environments")
        # A Python that is a vLLM of sorts (see stub_engine), for the environment that no node needs here.
        self.stub = self.folder / "python"
        stub = Path(__file__).parents[1] / "stub_engine.py"
        self.stub.write_text(
            '#!/bin/sh\nif [ "$2" = vllm.entrypoints.cli.main ]; then shift 3; set -- '
            f'{shlex.quote(str(stub))} "$@"; fi\nexec {shlex.quote(sys.executable)} "$@"\n'
        )
        self.stub.chmod(0o755)
        self.mark = uuid.uuid4().hex
        self.head, self.port, self.client = "127.0.0.2", free_port("127.0.0.2"), free_port("127.0.0.2")
        self.ray = environments.ensure("ray")
        self.hides = _mount(self.hidden)
        self.members: dict[str, Supervised] = {}

    @property
    def address(self) -> str:
        """For Ray Client."""
        return f"ray://{self.head}:{self.client}"

    @property
    def direct(self) -> str:
        """For a node of the cluster, which this machine is."""
        return f"{self.head}:{self.port}"

    def start(self, name: str, host: str, *more: str, **resources: float) -> None:
        place = self.folder / name
        place.mkdir()
        ray = [str(self.ray.python.with_name("ray")), "start", "--block", "--disable-usage-stats", "--num-cpus=1"]
        ray += [f"--node-ip-address={host}", f"--object-store-memory={STORE}", f"--temp-dir={place}", *more]
        ray += [f"--resources={json.dumps({name: 1, **resources})}"]
        own = {"WORKBENCH_CACHE": str(self.cache), "MARK": self.mark, "WORKBENCH_GPTQMODEL_PYTHON": str(self.stub)}
        log = self.folder / f"{name}.log"
        self.members[name] = Supervised([*self.hides, *ray], env=self.ray.environ(own), log=log)

    def await_node(self, *names: str) -> None:
        until(lambda: set(names) <= {name for node in self.look()["nodes"] for name in node["resources"]}, 90)

    def look(self) -> dict:
        return Cluster(self.direct).look()

    def kill(self, name: str) -> None:
        """End a node as a crash does: nobody is asked, and what it ran has no parent any more."""
        leader = psutil.Process(self.members[name].pid)
        for process in [leader, *leader.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet":
                    process.kill()

    def processes(self, *words: str) -> list[psutil.Process]:
        """Living processes of the nodes; only those with one of these words in their command, if any are given."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    line = " ".join(process.cmdline())
                    if not words or any(word in line for word in words):
                        found.append(process)
        return found

    def left(self) -> list[str]:
        """What nodes keep of work that is over: folders, and processes that workers or engines are."""
        place = self.cache / "cluster"
        return [str(path) for path in place.iterdir()] + self.running() if place.exists() else self.running()

    def running(self) -> list[str]:
        """Processes that workers or engines are, or keep."""
        found = []
        for process in self.processes("working_dir_files", "stub_engine", "vllm"):
            with contextlib.suppress(psutil.Error):  # gone meanwhile
                found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        return found

    def clean(self, seconds: float = 30.0) -> None:
        """Wait until nothing of any work is left."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self.left(), seconds)
        assert self.left() == []

    def stop(self) -> None:
        ending = [threading.Thread(target=member.terminate, args=(0.0,)) for member in self.members.values()]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()
        until(lambda: not self.processes(), 30)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """Two nodes with one CPU each: "left", which is the head, and "right"."""
    made = _two_nodes(again=True)
    try:
        yield made
    finally:
        made.stop()


def _two_nodes(again: bool) -> Nodes:
    """Started and joined; a second time if somebody else took a port in between."""
    made = Nodes()
    try:
        ports = [f"--port={made.port}", f"--ray-client-server-port={made.client}"]
        none = ["--include-dashboard=false", f"--dashboard-port={free_port('127.0.0.1')}"]
        made.start("left", made.head, "--head", *ports, *none)
        until(lambda: _listens(made.head, made.port), 60)
        made.start("right", "127.0.0.3", f"--address={made.direct}")
        until(lambda: _listens(made.head, made.client), 60)
        made.await_node("right")
        return made
    except BaseException as error:
        for log in made.folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}")
        made.stop()
        if not again or not isinstance(error, AssertionError):
            raise
    return _two_nodes(again=False)


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 1).close()
        return True
    return False


@pytest.fixture
def unseen(nodes: Nodes) -> Iterator[Path]:
    """A folder of this machine that the nodes do not see."""
    if not nodes.hides:
        pytest.skip("this system gives no namespace in which a folder could be hidden")
    place = nodes.hidden / uuid.uuid4().hex
    place.mkdir()
    yield place
    shutil.rmtree(place)
