"""A cluster as a place where workers and engines run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench import cpu, environments, hardware
from workbench.cluster.address import parse, reach
from workbench.cluster.driver import VARIABLES
from workbench.environments import recipe
from workbench.errors import InvalidInput, MissingPart, UnknownName
from workbench.jobs import HERE, Place, Task, messages
from workbench.processes import Supervised
from workbench.progress import Progress

ENVIRONMENT = "ray"
DRIVER = "workbench.cluster.driver"
WORKER = Path(__file__).parents[1] / "worker.py"
#: Of pure Python, and imported by what runs on a node.
_ALONG = ("platformdirs", "pynvml")
#: How long a driver may take to end: it ends what runs on the node first [s].
GRACE = 15.0


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what a job or server shall have of a node.

    Parameters
    ----------
    address : str
        ``ray://HOST:10001``; on one of its nodes also ``HOST:6379`` or ``auto``.
    cpus : float
        Processors; also how many threads the work gets (``OMP_NUM_THREADS``, which Ray sets).
    gpus : float, optional
        Cards; by default what a plan says, and for a quantisation one where the cluster has any.
    memory : int, optional
        Host memory [bytes]; by default what the preflight estimates.
    resources : mapping
        Resources of the cluster's own, by their names.
    retries : int
        How often a worker is started again, on another node or the same, when its node is lost. A server is not.
    patience : float
        How long a node may be missing that could ever have all this, where an autoscaler may bring one [s]. With none
        it is refused at once. What other work holds is waited for without end, and said.
    """

    one_at_a_time = False  # no field: Ray counts what is free

    address: str
    cpus: float = 1
    gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 1
    patience: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", parse(self.address).text)
        for name in ("cpus", "gpus", "memory", "retries", "patience"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                raise InvalidInput(f"{name} is {value!r}; a number of at least 0 is needed")
        if not float(self.retries).is_integer():
            raise InvalidInput(f"retries is {self.retries!r}; a whole number is needed")
        if not all(isinstance(v, int | float) and v > 0 for v in self.resources.values()):
            raise InvalidInput("resources are numbers above 0, by their names")

    def needs(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked of a node: what was said here, else what is known of the work."""
        asked = {"cpus": self.cpus, "resources": dict(self.resources)}
        asked["gpus"] = self.gpus if self.gpus is not None else known.get("gpus")
        asked["memory"] = int(self.memory if self.memory is not None else known.get("memory") or 0)
        return asked

    def errand(self, kind: str, **what: Any) -> dict[str, Any]:
        """A request to the driver."""
        modules = [str(Path(str(spec.origin))) for name in _ALONG if (spec := find_spec(name)) is not None]
        # A package's folder stands for it.
        modules = [str(Path(m).parent) if Path(m).name == "__init__.py" else m for m in modules]
        joining = environments.cache_root() / "cluster" / f"joining-{re.sub(r'[^0-9A-Za-z]+', '-', self.address)}"
        joining.parent.mkdir(parents=True, exist_ok=True)
        told = {"address": self.address, "modules": modules, "turn": str(joining), "patience": self.patience}
        return {"errand": kind, **told, **what}

    # --- a place for workers: see workbench.jobs.place ----------------------------------------------------------

    def prepared(self, task: Task) -> bool:
        """Whether the driver's environment is built."""
        return environments.get(ENVIRONMENT).built

    def ready(self, task: Task, tell: Callable[[Progress], None], cancel: threading.Event) -> _Ready:
        """Build the driver's environment if it is missing; that of the worker is the node's."""
        reach(parse(self.address))
        built = environments.ensure(ENVIRONMENT, tell, cancel)
        return _Ready(self, task, built.python, built.environ({VARIABLES: json.dumps(dict(task.variables))}))

    # --- what it has --------------------------------------------------------------------------------------------

    def look(
        self,
        timeout: float = 60.0,
        tell: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Ask it what it has; takes a few seconds, and half a minute where its head speaks another Ray.

        Parameters
        ----------
        timeout : float
            Longest wait for its answer [s].
        tell, cancel
            Of the building of the driver's environment, if that is missing.

        Returns
        -------
        dict
            ``nodes`` (of each ``address``, ``host``, ``resources``, and what of them is ``free``; None where Ray does
            not tell), ``free`` (of all together), ``ray`` and ``python`` (versions of the driver, and so of the
            cluster).

        Raises
        ------
        MissingPart
            It does not answer in time, or runs another Ray or Python.
        """
        return self._answer("look", timeout, tell, cancel)

    def _answer(
        self,
        errand: str,
        timeout: float = 60.0,
        tell: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """What it says to a question."""
        reach(parse(self.address))
        built = environments.ensure(ENVIRONMENT, tell, cancel)
        folder = environments.cache_root() / "cluster" / f"look-{uuid.uuid4().hex}"
        process = start({**self.errand(errand), "modules": None}, folder, built, scratch=folder)
        try:
            code = process.wait(timeout)
        except TimeoutError:
            raise MissingPart(f"the Ray cluster at {self.address} did not answer within {timeout:g} s") from None
        finally:
            process.terminate(2.0)
            said = heard(folder)
            shutil.rmtree(folder, ignore_errors=True)
        if code != 0 or "result" not in said:
            raise MissingPart(str(said.get("error") or f"the Ray cluster at {self.address} could not be asked"))
        found: dict[str, Any] = said["result"]
        return found

    def card(self) -> str:
        """The card of its nodes as a Deployment names it; the processor where it has none. Asks it."""
        having = [node["resources"] for node in self._answer("nodes")["nodes"] if node["resources"].get("GPU", 0) >= 1]
        if not having:
            return cpu.NAME
        # Ray names what it recognised: "accelerator_type:H100".
        kinds = [name.partition(":")[2] for node in having for name in node if name.startswith("accelerator_type:")]
        for kind in kinds:
            with contextlib.suppress(UnknownName):
                return hardware.gpu(kind).name
        return "L40S"  # of a card that no table holds; the name has no part in the flags


def start(
    request: Mapping[str, Any], folder: Path, built: environments.Environment, scratch: Path | None = None
) -> Supervised:
    """Start a driver whose request, messages and log lie in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    asked, channel = folder / "request.json", folder / "messages.jsonl"
    asked.write_text(json.dumps(dict(request), indent=2), encoding="utf-8")
    channel.touch()
    return Supervised(
        [str(built.python), str(WORKER), DRIVER, str(asked), ""],
        env={**built.environ(), "WORKBENCH_MESSAGES": str(channel)},
        log=folder / "driver.txt",
        scratch=scratch,
        cwd=folder,
    )


def heard(folder: Path) -> dict[str, Any]:
    """The newest message of each kind that a driver left."""
    try:
        with (folder / "messages.jsonl").open(encoding="utf-8") as file:
            return messages.news(file)
    except FileNotFoundError:
        return {}


@dataclass(frozen=True)
class _Ready:
    cluster: Cluster
    task: Task
    python: Path
    environ: Mapping[str, str]
    worker: str = DRIVER
    grace: float = GRACE

    def request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request itself is one part of what the driver is asked."""
        task, name = self.task, self.task.environment
        return self.cluster.errand(
            "work",
            worker=task.worker,
            request=dict(request),
            inputs=list(task.inputs),
            environment=name,
            needs=self.cluster.needs(request.get("needs", {})),
            likes_gpu=name is not None and recipe.read(name).torch in ("any", "cuda"),
            retries=self.cluster.retries,
        )

    def outcome(self, said: Mapping[str, Any]) -> tuple[Any, float, dict[str, Any]]:
        """The driver's result holds the worker's."""
        told = said["result"]
        return told["result"], told["seconds"], {name: told[name] for name in ("environment", "platform", "node")}


def place_of(on: str | Cluster | None) -> Place:
    """Where something runs that was asked to run ``on`` this."""
    return HERE if on is None else cluster_of(on)


def cluster_of(on: str | Cluster) -> Cluster:
    """A cluster by its address, or as it is.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    if isinstance(on, Cluster):
        return on
    if isinstance(on, str):
        return Cluster(on)
    raise InvalidInput(f"on is {on!r}; give the address of a Ray cluster, as in 'ray://HOST:10001'")


def with_needs(on: str | Cluster, needs: Mapping[str, Any]) -> Cluster:
    """A cluster with other needs, by the names of its fields.

    Raises
    ------
    InvalidInput
        There is no such field.
    """
    fields = {f.name for f in dataclasses.fields(Cluster)} - {"address", "resources"}
    own = {name: value for name, value in needs.items() if name not in fields}
    known = {name: value for name, value in needs.items() if name in fields}
    cluster = cluster_of(on)
    return dataclasses.replace(cluster, **known, resources={**cluster.resources, **own})
