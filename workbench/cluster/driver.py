"""A worker that runs what it is asked on a node of a cluster, and passes on what that says.

It is started by a job or a server of this machine, as their process, in the environment ``ray``; see
:mod:`workbench.cluster` for why. When it ends, what it started on a node ends: because it says so, and because Ray ends
the actors of a driver that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cluster import connection, transfer
from workbench.cluster.connection import Lost, connected, get
from workbench.cluster.needs import Needs
from workbench.errors import MissingPart, WorkbenchError

if TYPE_CHECKING:
    from workbench.worker import Worker

#: In the driver's own environment: the worker's variables as JSON. A key may be among them, and its request is a file.
VARIABLES = "WORKBENCH_VARIABLES"
_CANNOT_TELL = 74  # see workbench.worker
_GRACE = 3.0  # seconds between asking a worker on a node to end and killing it
_NEWS = 0.3  # seconds between two questions for news


def work(request: dict[str, Any], worker: Worker) -> Any:
    """Do one errand on a cluster.

    Parameters
    ----------
    request : dict
        ``errand`` (one of :data:`ERRANDS`), ``address``, ``modules`` and ``turn`` (see
        :func:`workbench.cluster.connection.connected`), and what :func:`_work`, :func:`_serve` read.
    worker : Worker
        Hears progress, and holds the folder that a result comes to.
    """
    connection.end_when_asked()
    worker.progress(None, "connecting", request["address"])
    with connected(request["address"], request["modules"], request["turn"]):
        return ERRANDS[request["errand"]](request, worker)


def _nodes(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """The nodes, as soon as it answers."""
    return {"nodes": connection.nodes()}


def _look(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """What the cluster has, and of each node what is free, as far as that is known."""
    free = connection.free_on_each()
    nodes = [{**node, "free": free.get(node["id"])} for node in connection.nodes()]
    return {"nodes": nodes, "free": connection.free(), **connection.own_version()}


def _needs(request: Mapping[str, Any]) -> Needs:
    """What is asked, with what only the cluster can settle."""
    needs = dict(request["needs"])
    have = [node["resources"] for node in connection.nodes()]
    if needs.get("gpus") is None:
        # As on one machine: what can use a card does where there is one.
        needs["gpus"] = int(bool(request.get("likes_gpu")) and any(node.get("GPU", 0) >= 1 for node in have))
    return Needs(**needs)


@contextlib.contextmanager
def _on_a_node(request: Mapping[str, Any], worker: Worker) -> Iterator[tuple[Any, dict[str, Any], dict[str, Any]]]:
    """An actor on a node that has the environment; its facts and the environment's. It goes at the end."""
    needs = _needs(request)
    try:
        actor, facts = connection.place_actor(
            needs, float(request.get("patience", 0)), lambda words: worker.progress(None, "waiting", words)
        )
    except MissingPart as missing:
        together = sum(node["resources"].get("GPU", 0) for node in connection.nodes())
        if request["errand"] == "serve" and 1 < needs.gpus <= together:
            raise MissingPart(
                f"{missing}; one server over several nodes is started with what `workbench export` writes"
            ) from None
        raise
    try:
        where = facts["address"]
        print(f"[workbench] on node {where} ({facts['host']}), with {needs}", flush=True)
        worker.progress(None, "starting", f"on {where}")

        def building() -> None:
            if (at := get(actor.progress.remote())) is not None:
                worker.progress(at[0], at[1], f"on {where}: {at[2]}", at[3])

        yield actor, facts, get(actor.ready.remote(request["environment"]), building)
    except Lost as lost:
        raise Lost(f"node {facts['address']} was lost: {lost}") from None
    finally:
        connection.release(actor, float(request.get("grace", _GRACE)))


def _arrive(actor: Any, facts: Mapping[str, Any], path: Path, number: int, worker: Worker) -> str:
    """The path of an input on the node: the same where it sees it, else of a copy sent there."""
    path = path.resolve()
    if get(actor.sees.remote(str(path), transfer.marks(path))):
        return str(path)
    to = f"in/{number}"
    folder = f"{to}/{path.name}" if path.is_dir() else to
    stage = f"sending {path.name}"
    transfer.send(actor, path, folder, get, lambda share, words: worker.progress(None, stage, words))
    print(f"[workbench] {path} was sent: the node does not see it", flush=True)
    return f"{facts['folder']}/{to}/{path.name}"


# --- a worker ---------------------------------------------------------------------------------------------------------


def _work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Run a worker on a node, again on another if the node is lost, and fetch its folder.

    ``request`` holds ``worker``, ``request``, ``inputs``, ``environment``, ``needs`` and ``retries``.
    """
    variables: dict[str, str] = json.loads(os.environ.pop(VARIABLES, "{}"))
    tries = int(request["retries"]) + 1
    for number in range(1, tries + 1):
        try:
            return _once(request, variables, worker)
        except Lost as lost:
            for left in worker.out.iterdir() if worker.out else ():
                transfer.remove(left)
            print(f"[workbench] {lost}", flush=True)
            if number == tries:
                tried = f"it was tried {tries} times and " if tries > 1 else ""
                raise WorkbenchError(f"{lost}; {tried}nothing was kept") from None
            worker.progress(None, "starting again", str(lost))
    raise AssertionError("unreachable")


def _once(request: dict[str, Any], variables: Mapping[str, str], worker: Worker) -> dict[str, Any]:
    with _on_a_node(request, worker) as (actor, facts, environment):
        asked = dict(request["request"])
        for number, name in enumerate(request["inputs"]):
            if isinstance(asked.get(name), str) and Path(asked[name]).exists():
                asked[name] = _arrive(actor, facts, Path(asked[name]), number, worker)
        file = Path(request["worker"])
        text = file.read_text(encoding="utf-8") if file.suffix == ".py" else None
        out, shared = _target(actor, worker.out)
        out = get(actor.work.remote(request["worker"], text, asked, variables, out))
        said = _follow(actor, facts, worker)
        if worker.out is not None and out is not None:
            if shared:
                for made in list(Path(out).iterdir()):
                    made.rename(worker.out / made.name)
                Path(out).rmdir()
            else:
                stage = f"fetching from {facts['address']}"
                fetching = lambda share, words: worker.progress(None, stage, words)  # noqa: E731
                transfer.fetch(actor, "out", worker.out, get, fetching)
        there = {"address": facts["address"], "host": facts["host"], "cluster": request["address"]}
        return {**said, "environment": environment, "node": there, "platform": facts["platform"]}


def _target(actor: Any, out: Path | None) -> tuple[str | None, bool]:
    """Where the worker writes: beside the target if the node sees that, so that nothing has to travel, else there."""
    if out is None:
        return None, False
    token, file = uuid.uuid4().hex, out / f".seen-{uuid.uuid4().hex[:8]}"
    file.write_text(token, encoding="utf-8")
    try:
        seen = get(actor.reads.remote(str(file))) == token
    finally:
        file.unlink()
    # A folder for each try: one that was given up may still write to its own for a moment.
    return (str(out / f".try-{uuid.uuid4().hex[:8]}"), True) if seen else ("", False)


def _follow(actor: Any, facts: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
    """Pass on log and progress to the end; the worker's last message.

    Raises
    ------
    WorkbenchError
        It failed: its own words, or how its process ended.
    """
    said: dict[str, Any] = {}
    told: Any = None
    for news, lines in _news(actor):
        sys.stdout.buffer.write(news["log"])
        sys.stdout.flush()
        for line in lines:
            with contextlib.suppress(ValueError):
                said |= json.loads(line)
        if isinstance(at := said.get("progress"), dict) and at != told:
            told = at
            worker.progress(
                at.get("fraction"), str(at.get("stage", "")), str(at.get("detail", "")), at.get("seconds_left")
            )
        if (code := news["code"]) is not None and not news["log"] and not news["messages"]:
            break
    if code == 0 and "result" in said:
        return {"result": said["result"], "seconds": said["seconds"]}
    where = facts["address"]
    if error := said.get("error"):
        raise WorkbenchError(f"the disk of {where} is full" if error == "the disk is full" else str(error))
    if code == _CANNOT_TELL:
        raise WorkbenchError(f"the disk of {where} is full")
    raise WorkbenchError(f"its process on {where} {news['words']}" + ("" if code < 0 else " and no result"))


def _news(actor: Any) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """What is new, again and again: as it came, and the whole lines of messages in it."""
    log = messages = 0
    half = b""
    while True:
        news = get(actor.news.remote(log, messages))
        log += len(news["log"])
        messages += len(news["messages"])
        *whole, half = (half + news["messages"]).split(b"\n")
        yield news, [line.decode("utf-8", "replace") for line in whole]
        if news["code"] is None:
            time.sleep(_NEWS)


# --- an engine --------------------------------------------------------------------------------------------------------


def _serve(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Start an engine on a node and stay until it ends; how it did.

    ``request`` holds ``engine`` (as in :data:`workbench.engines.starters.STARTERS`), ``words``, ``model`` (which of
    the words is a path on this machine; None: none is), ``environment``, ``variables``, ``offline``, ``port``,
    ``needs`` and ``log`` (a file of this machine). Where it answers is told in a message ``engine``.
    """
    with _on_a_node(request, worker) as (actor, facts, environment):
        words = list(request["words"])
        if (at := request["model"]) is not None:
            named, words[at] = words[at], _arrive(actor, facts, Path(words[at]), 0, worker)
            # Clients ask for it by the name it would have here; the others answer to any name or are told one.
            if words[at] != named and request["engine"] == "vllm" and "--served-model-name" not in words:
                words += ["--served-model-name", named]
        asked = (request["engine"], words, request["variables"], request["offline"], request["port"])
        started = get(actor.serve.remote(*asked))
        versions = environment.get("versions", {})
        worker._say({"engine": {**started, "node": facts["address"], "host": facts["host"], "versions": versions}})
        with open(request["log"], "ab") as log:
            for news, _ in _news(actor):
                log.write(news["log"])
                log.flush()
                if news["code"] is not None and not news["log"]:
                    return {"code": news["code"], "memory_ran_out": news["memory_ran_out"]}
    raise AssertionError("unreachable")


ERRANDS: Mapping[str, Callable[[dict[str, Any], Worker], Any]] = {
    "work": _work,
    "serve": _serve,
    "nodes": _nodes,
    "look": _look,
}
