"""An engine on a node of a Ray cluster, seen from here: its log comes, its address is the node's."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import environments
from workbench.cluster import cluster as clusters
from workbench.cluster.address import parse, reach
from workbench.cluster.cluster import Cluster
from workbench.engines.starters import STARTERS
from workbench.errors import InvalidInput, MissingPart
from workbench.jobs import messages
from workbench.processes import Supervised
from workbench.progress import Progress

if TYPE_CHECKING:
    from workbench.serving.lifecycle import Order

_LOOK = 0.2  # seconds between two looks at what the driver says
_TRACE = 0.001  # of the resource that every node has alone: Ray's way of naming a node, "node:ADDRESS"


class Elsewhere:
    """A :class:`workbench.serving.place.Place` on a cluster.

    Parameters
    ----------
    cluster : Cluster
        Which.
    needs : mapping
        What is known of the engine: ``gpus``, ``memory`` [bytes].
    port : int, optional
        At the node; by default a free one.
    """

    def __init__(self, cluster: Cluster, needs: Mapping[str, Any], port: int | None) -> None:
        if port is not None and not 1 <= port <= 65535:
            raise InvalidInput(f"port is {port}; it must be between 1 and 65535")
        self._cluster, self._needs, self._port = cluster, needs, port
        self._folder: Path | None = None
        self.url = ""
        self.node = ""
        self.pid: int | None = None  # the node's own are nothing to this machine
        self.versions: Mapping[str, str] = {}
        self.where = f"on {cluster.address}"
        self.lost = ""

    def ready(self, order: Order, tell: Callable[[Progress], None], stopping: threading.Event) -> None:
        """Build the driver's environment if it is missing; the engine's is the node's."""
        reach(parse(self._cluster.address))
        environments.ensure(clusters.ENVIRONMENT, tell, stopping)

    def start(self, order: Order, log: Path, tell: Callable[[Progress], None]) -> _Engine:
        """Start a driver and wait until it has started the engine."""
        self.close()
        self._folder = environments.cache_root() / "cluster" / f"serve-{uuid.uuid4().hex}"
        built = environments.ensure(clusters.ENVIRONMENT)
        engine = _Engine(clusters.start(self._request(order, log), self._folder, built, self._folder), self._folder)
        try:
            while "engine" not in engine.said:
                tell(messages.progress(engine.said.get("progress"), Progress(None, "starting a driver")))
                if engine.poll() is not None and "engine" not in engine.said:
                    raise MissingPart(engine.why or "the driver of the cluster ended; see the log")
                time.sleep(_LOOK)
        except BaseException:
            engine.terminate(0.0)
            raise
        told = engine.said["engine"]
        self.url, self.node, self.versions = told["url"], told["node"], told["versions"]
        engine.place = self
        return engine

    def _request(self, order: Order, log: Path) -> dict[str, Any]:
        named = [name for name, starter in STARTERS.items() if starter is order.engine]
        if not named:
            raise InvalidInput(f"{order.engine.title} is not among the engines that start on a cluster")
        words = list(order.command)
        at = words.index("--model") + 1 if "--model" in words[:-1] else 2
        return self._cluster.errand(
            "serve",
            engine=named[0],
            words=words,
            model=at if order.offline and at < len(words) and Path(words[at]).exists() else None,
            environment=order.environment,
            variables=dict(order.variables),
            offline=order.offline,
            port=self._port,
            needs=self._cluster.needs(self._needs),
            log=str(log),
            grace=8.0,
        )

    def answered(self) -> None:
        """Nothing is held for it here."""

    def beside(self) -> Cluster:
        """The engine's own node; nothing is set aside there, since the engine may hold all that it has."""
        return Cluster(
            self._cluster.address, cpus=0, gpus=0, memory=0, resources={f"node:{self.node}": _TRACE}, retries=0
        )

    def close(self) -> None:
        """Remove what the driver was asked and said."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


class _Engine:
    """The driver, which stands for the engine."""

    def __init__(self, process: Supervised, folder: Path) -> None:
        self._process = process
        self._messages = (folder / "messages.jsonl").open(encoding="utf-8")
        self._lock = threading.Lock()
        self.said: dict[str, Any] = {}
        self.place: Elsewhere | None = None

    def poll(self) -> int | None:
        """The engine's exit code, once the driver is gone too; the driver's, if that went alone."""
        code = self._process.poll()
        with self._lock:
            if not self._messages.closed:
                self.said |= messages.news(self._messages)
            if code is None:
                return None
            self._messages.close()
        if "result" in self.said:
            return int(self.said["result"]["code"])
        if self.place is not None:
            self.place.lost = f"{self.why or 'The driver of the cluster ' + self._process.exit_text()}."
        return code

    @property
    def why(self) -> str:
        """Why the driver gave up, in its words."""
        return str(self.said.get("error") or "").rstrip(".")

    @property
    def memory_ran_out(self) -> bool:
        """Whether the node's kernel has killed for want of memory since the engine was started."""
        return bool(self.said.get("result", {}).get("memory_ran_out"))

    def terminate(self, grace: float) -> None:
        """End the driver, which ends the engine first."""
        self._process.terminate(clusters.GRACE)
        self.poll()
