"""Where a panel's work is done: on this machine, or on a Ray cluster that is named, and what its nodes have."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, ClassVar

import traitlets

from workbench.cluster import Cluster, cluster_of
from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.ui.panel import Panel, Refused, log, sentence

HERE = {"address": "", "status": "", "said": "", "nodes": []}


class PlacedPanel(Panel):
    """A panel whose work may be done on a cluster.

    Attributes
    ----------
    on : Cluster or None
        Where; None for this machine.
    where : dict
        ``address`` (empty for this machine), ``status`` ("asking", "known" or "failed"), ``said`` (why it failed, or
        what is awaited), ``nodes`` (what each has, and what of that is free; None where Ray does not tell).
    """

    #: Buttons of the page, for a panel's own ``actions``.
    placing: ClassVar[dict[str, str]] = {"place": "place", "look": "look"}

    where = traitlets.Dict(HERE, read_only=True).tag(sync=True)

    on: Cluster | None = None

    def place(self, address: str) -> None:
        """Choose a cluster by its address, and ask it what it has; an empty one is this machine.

        Raises
        ------
        TraitError
            It is no address of one; at the field "on".
        """
        if not isinstance(address, str):
            raise Refused("The address of a cluster is a text.", "on")
        try:
            self.put(address.strip() or None)
        except WorkbenchError as error:
            raise Refused(sentence(error), "on") from error

    def put(self, on: str | Cluster | None) -> None:
        """Choose where, from Python: also a :class:`workbench.cluster.Cluster` with what is asked of a node.

        Raises
        ------
        InvalidInput
            It is no address of a cluster.
        """
        before, chosen = self.on, None if on is None else cluster_of(on)
        # A page knows the address only: chosen again, it keeps what is asked of a node.
        if chosen is None or before is None or isinstance(on, Cluster) or chosen.address != before.address:
            self.on = chosen
        if self.on is None:
            self.set_trait("where", dict(HERE))
        else:
            self.look()
        if self.on is not before:
            self._placed()

    def look(self) -> None:
        """Ask the cluster what it has; returns at once, and ``where`` tells."""
        if self.on is None:
            return
        asking = {**HERE, "address": self.on.address, "status": "asking"}
        self.set_trait("where", asking)
        threading.Thread(target=self._look, args=(self.on,), daemon=True, name="look at a cluster").start()

    def _placed(self) -> None:
        """Another place was chosen: a panel shows what depends on it."""

    def _look(self, cluster: Cluster) -> None:
        def tell(progress: Progress) -> None:
            self._looked(cluster, "asking", said=" ".join(filter(None, [progress.stage, progress.detail])))

        try:
            nodes = cluster.look(tell=tell)["nodes"]
        except Exception as error:  # a sentence in the page
            if not isinstance(error, WorkbenchError):
                log.exception("a cluster could not be asked", exc_info=error)
            self._looked(cluster, "failed", said=sentence(error))
        else:
            self._looked(cluster, "known", nodes=[_row(node) for node in nodes])

    def _looked(self, cluster: Cluster, status: str, said: str = "", nodes: list[dict[str, Any]] | None = None) -> None:
        if cluster is self.on:  # else another was chosen meanwhile
            found = {"address": cluster.address, "status": status, "said": said, "nodes": nodes or []}
            self.set_trait("where", found)


def _row(node: dict[str, Any]) -> dict[str, Any]:
    has, free = node["resources"], node["free"]

    def left(name: str) -> float | None:
        return None if free is None else free.get(name, 0.0)

    kinds = [name.partition(":")[2] for name in has if name.startswith("accelerator_type:")]
    return {
        "address": node["address"],
        "host": "" if node["host"] == node["address"] else node["host"],
        "card": ", ".join(kinds),
        **{name: [left(word), has.get(word, 0.0)] for name, word in (("gpus", "GPU"), ("cpus", "CPU"))},
        "memory": [left("memory"), has.get("memory", 0.0)],
    }


def spoken(on: Cluster) -> str:
    """A cluster as an argument in Python.

    >>> spoken(Cluster("ray://head")), spoken(Cluster("auto", cpus=8))
    ("'ray://head:10001'", "wb.Cluster('auto', cpus=8)")
    """
    plain = Cluster(on.address)
    changed = {
        each.name: getattr(on, each.name)
        for each in dataclasses.fields(Cluster)
        if getattr(on, each.name) != getattr(plain, each.name)
    }
    if not changed:
        return repr(on.address)
    return f"wb.Cluster({', '.join([repr(on.address), *(f'{name}={value!r}' for name, value in changed.items())])})"
