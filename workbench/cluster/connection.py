"""A driver's connection to a cluster: the workbench's own code goes along, and what Ray says goes wrong becomes words.

This and :mod:`workbench.cluster.driver` run in the environment ``ray``; nothing else of the workbench imports Ray.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workbench.cluster.address import Address, parse, reach
from workbench.cluster.needs import Needs
from workbench.cluster.needs import in_words as in_words_of
from workbench.datafiles import data_path
from workbench.errors import MissingPart, WorkbenchError

_PACKAGE = Path(__file__).parents[1]
_LEFT_OUT = ("ui", "cli", "notebooks", "__pycache__")  # of the package: nothing on a node shows anything
# A worker of Ray that exits kills its children at once, keepers among them; what those keep would be left alone.
_LEAVE_TO_KEEPERS = {"RAY_kill_child_processes_on_worker_exit": "0"}
#: In what a busy head says: the server that it starts for each client took too long, or went at once.
_NOT_STARTED = re.compile(r"Starting Ray client server failed|psutil\.(?:ZombieProcess|NoSuchProcess)")
_TRIES = 4  # at joining through such a head
_LOOK = 0.5  # seconds between two looks at what is awaited
_PATIENCE = 15.0  # seconds for a task that takes nothing


class Lost(WorkbenchError):
    """A node, or the process on it that answered for it, went away."""


class Ended(BaseException):
    """This driver was asked to end."""


def end_when_asked() -> None:
    """Let SIGTERM raise :class:`Ended`, once, so that what runs on a node ends before this process does."""

    def asked(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Ended

    signal.signal(signal.SIGTERM, asked)


@contextlib.contextmanager
def connected(text: str, modules: Sequence[str] | None, turn: str) -> Iterator[Address]:
    """Join a cluster as a driver of its own.

    Parameters
    ----------
    text : str
        Its address.
    modules : sequence of str, optional
        Files and folders of further Python modules that a node needs; None where nothing will run there.
    turn : str
        A file that whoever is joining holds: for each client Ray starts a server of its own on the head, which gives up
        those that come up too slowly, as many at once do on a small one.

    Raises
    ------
    InvalidInput
        The address is none.
    MissingPart
        Nothing answers, or it runs another Ray or Python.
    """
    address = parse(text)
    reach(address)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # of megabytes sent, which is what is wanted
    os.environ.pop("RAY_ADDRESS", None)  # the cluster is the one that was named
    try:
        with tempfile.TemporaryDirectory(prefix="code-", dir=".") as folder:
            if modules is not None:
                _gather(Path(folder), modules)
            code = {} if modules is None else {"runtime_env": {"working_dir": folder, "env_vars": _LEAVE_TO_KEEPERS}}
            with _alone(turn):
                _join(address.text, code)
        end_when_asked()  # Ray has a handler of its own
        yield address
    except Exception as error:
        raise in_words(error, address) from error
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


@contextlib.contextmanager
def _alone(turn: str) -> Iterator[None]:
    """Until no other driver of this machine joins that cluster."""
    import fcntl  # not on Windows

    with open(turn, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _join(address: str, code: Mapping[str, Any]) -> None:
    """Connect; where Ray Client's own server takes too long to come up on a busy head, ask again."""
    import ray

    for number in range(1, _TRIES + 1):
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **code)
            return
        except ConnectionAbortedError as error:
            if number == _TRIES or not _NOT_STARTED.search(str(error)):
                raise
            with contextlib.suppress(Exception):
                ray.shutdown()


def _gather(folder: Path, modules: Sequence[str]) -> None:
    """The package with its tables, and what it needs besides: Ray packs the folder and keeps it by its hash."""
    package = folder / "workbench"
    shutil.copytree(_PACKAGE, package, ignore=lambda place, names: [n for n in names if n in _LEFT_OUT])
    if not (package / "data").is_dir():
        shutil.copytree(data_path(), package / "data")
    for module in map(Path, modules):
        if module.is_dir():
            shutil.copytree(module, folder / module.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(module, folder / module.name)


def in_words(error: Exception, address: Address) -> Exception:
    """An error of Ray's as one of ours; others as they are."""
    if isinstance(error, WorkbenchError):
        return error
    text = str(error)
    versions = re.findall(r"was started with:\s*Ray: (\S+)\s*Python: (\S+)", text)
    if "ersion mismatch" in text and len(versions) == 2:
        return _mismatch(address, *versions[0], *versions[1])
    chain = [kind.__module__ for kind in type(error).__mro__]
    if isinstance(error, ConnectionError) or any(name.startswith(("ray.", "grpc")) for name in chain):
        # Ray's first line says what failed; where a traceback follows, its last says why.
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
        why = lines[-1] if "Traceback" in text else lines[0]
        if isinstance(error, ConnectionAbortedError) and not _NOT_STARTED.search(text):
            # Where releases differ, a head does not understand the client's first words, and does not say why.
            return MissingPart(
                f"the cluster at {address.text} did not take this driver ({why[:200].rstrip('.')}): most likely it "
                f"runs another Ray or Python than environment ray, whose Ray is {_own_ray()}; look with "
                "`ray --version` there, and set WORKBENCH_RAY='ray[default]==THAT'"
            )
        return MissingPart(f"the connection to {address.text} failed: {why[:300].rstrip('.')}")
    return error


def _own_ray() -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version("ray")
    return "unknown"


def _mismatch(address: Address, ray_there: str, python_there: str, ray_here: str, python_here: str) -> MissingPart:
    what = f"the cluster at {address.text} runs Ray {ray_there} with Python {python_there}"
    minor = ".".join(python_there.split(".")[:2])
    if python_here.split(".")[:2] != python_there.split(".")[:2]:
        return MissingPart(
            f"{what}, and environment ray holds Python {python_here}: name a Python {minor} that holds "
            f"ray[client]=={ray_there} in WORKBENCH_RAY_PYTHON"
        )
    return MissingPart(
        f"{what}, and environment ray holds Ray {ray_here}: "
        f"set WORKBENCH_RAY='ray[default]=={ray_there}' and it is built"
    )


def nodes() -> list[dict[str, Any]]:
    """Every living node: ``address``, ``host``, ``id``, and ``resources`` by their names, whether taken or not."""
    import ray

    return [
        {
            "address": node["NodeManagerAddress"],
            "host": node.get("NodeManagerHostname", ""),
            "id": node["NodeID"],
            "resources": dict(node["Resources"]),
        }
        for node in ray.nodes()
        if node["Alive"]
    ]


def free_on_each() -> dict[str, dict[str, float]]:
    """What nobody has taken, by the node's id; empty where this Ray does not tell, or not in time.

    Ray has no public word for it but in its dashboard, so a task that takes nothing asks Ray's own: a driver that came
    through Ray Client has none of its state.
    """
    import ray

    def ask() -> dict[str, dict[str, float]]:
        from ray._private.state import available_resources_per_node

        return {str(node): dict(free) for node, free in available_resources_per_node().items()}

    try:
        found: dict[str, dict[str, float]] = ray.get(ray.remote(num_cpus=0)(ask).remote(), timeout=_PATIENCE)
    except Exception as error:
        print(f"[workbench] what is free on each node is not known: {error!r}", flush=True)
        return {}
    return found


def free() -> dict[str, float]:
    """What nobody has taken, of all nodes together."""
    import ray

    return {str(name): float(amount) for name, amount in ray.available_resources().items()}


def get(reference: Any, look: Callable[[], None] | None = None) -> Any:
    """The value of a reference; `look` is called meanwhile, twice a second.

    Raises
    ------
    Lost
        Its node or its actor went away.
    WorkbenchError
        What was raised there, in its own words.
    """
    import ray

    try:
        while not ray.wait([reference], timeout=_LOOK)[0]:
            if look is not None:
                look()
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        # By name, for the class there is of a package there.
        if any(kind.__name__ == "WorkbenchError" for kind in type(cause).__mro__):
            raise WorkbenchError(str(cause)) from None
        if isinstance(cause, OSError):
            raise WorkbenchError(f"on the node: {cause}") from None
        raise
    except ray.exceptions.RayError as error:
        text = str(error)
        if isinstance(error, ray.exceptions.RuntimeEnvSetupError) or "creation task" in text:
            raise WorkbenchError(f"Ray could not start the workbench on the node: {_last(text)}") from None
        print(f"[workbench] Ray says: {' '.join(text.split())[:1000]}", flush=True)
        raise Lost(_why_lost(text)) from None


def _last(text: str) -> str:
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["it did not say why"])[-1][:300].rstrip(
        "."
    )


def _why_lost(text: str) -> str:
    if re.search(r"memory pressure|out of memory|OutOfMemory", text, re.I):
        return "its memory ran out, and Ray ended what ran there"
    if re.search(r"node .*(?:died|dead|removed|terminated)|NodeDied|node has been", text, re.I):
        return "the node died"
    return "what ran there was killed, or the node died"


def place_actor(
    needs: Needs,
    patience: float,
    tell: Callable[[str], None],
) -> tuple[Any, dict[str, Any]]:
    """An actor on a node that has what is needed, waited for, and the facts of that node.

    Parameters
    ----------
    needs : Needs
        What it takes.
    patience : float
        How long a node may be missing that could ever have it: autoscalers bring some [s].
    tell : callable
        Hears what is waited for.

    Raises
    ------
    MissingPart
        There is no such node.
    """
    import ray

    from workbench.cluster.node import Node

    actor = ray.remote(Node).options(**needs.options(), max_concurrency=8, scheduling_strategy="SPREAD").remote()
    try:
        began = time.monotonic()

        def look() -> None:
            why = needs.missing([node["resources"] for node in nodes()])
            waited = time.monotonic() - began
            if why and waited >= patience:
                raise MissingPart(f"this needs {needs} of one node, and {why}")
            if waited > 2:  # a worker of Ray takes a second or two to start where nothing is waited for
                tell(_awaited(needs, why))

        look()
        return actor, get(actor.facts.remote(), look)
    except BaseException:
        with contextlib.suppress(Exception):
            ray.kill(actor)
        raise


def _awaited(needs: Needs, why: str) -> str:
    if why:
        return f"for a node with {needs}; {why}"
    left = free()
    have = in_words_of({name: left.get(name, 0.0) for name in needs.asked()}) or "nothing"
    return f"for {needs} of one node; free on all nodes together: {have}"


def release(actor: Any, grace: float) -> None:
    """End what an actor runs, and the actor; a node that is gone has nothing left to end."""
    import ray

    with contextlib.suppress(Exception):
        ray.get(actor.end.remote(grace), timeout=grace + 5)
    with contextlib.suppress(Exception):
        ray.kill(actor)


def own_version() -> Mapping[str, str]:
    """Of this driver's side, for the doctor."""
    import ray

    return {"ray": ray.__version__, "python": sys.version.split()[0]}
