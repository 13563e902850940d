"""What a worker takes of a node, and whether a cluster has such a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.quantities import show_bytes


@dataclass(frozen=True)
class Needs:
    """What is set aside on one node; Ray counts with it and holds nobody to it.

    Parameters
    ----------
    cpus, gpus : float
        Processors and cards.
    memory : int
        Host memory [bytes]; 0 asks for none.
    resources : mapping
        A cluster's own, by their names.
    """

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)

    def asked(self) -> dict[str, float]:
        """By Ray's names of resources.

        Examples
        --------
        >>> Needs(cpus=2, memory=10).asked()
        {'CPU': 2, 'memory': 10}
        """
        every = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory, **self.resources}
        return {name: amount for name, amount in every.items() if amount}

    def options(self) -> dict[str, Any]:
        """As an actor's options in Ray."""
        asked: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.resources)}
        return {**asked, **({"memory": self.memory} if self.memory else {})}

    def missing(self, nodes: Sequence[Mapping[str, float]]) -> str:
        """Why no node could ever run it, in words; "" if one can.

        Parameters
        ----------
        nodes : sequence of mapping
            Each node's resources, whether taken or not.

        Examples
        --------
        >>> Needs(gpus=2).missing([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0}])
        'no node has 1 CPU and 2 GPUs; they have 8 CPUs, 1 GPU; 64 CPUs'
        >>> Needs(gpus=1).missing([{"CPU": 8.0, "GPU": 1.0}])
        ''
        """
        asked = self.asked()
        if any(all(node.get(name, 0) >= amount for name, amount in asked.items()) for node in nodes):
            return ""
        have = [in_words({name: node.get(name, 0) for name in ("CPU", "GPU", *asked)}) or "nothing" for node in nodes]
        told = "; ".join(sorted(set(have))[:4]) + (" …" if len(set(have)) > 4 else "")
        return f"no node has {_and(asked)}; they have {told}" if nodes else "it has no node that lives"

    def __str__(self) -> str:
        return _and(self.asked()) or "nothing"


def in_words(resources: Mapping[str, float]) -> str:
    """Resources by Ray's names as people say them.

    Examples
    --------
    >>> in_words({"CPU": 2.0, "GPU": 1, "memory": 3 * 2**30, "left": 0.5, "none": 0})
    '2 CPUs, 1 GPU, 3.00 GiB of memory, 0.5 of left'
    """
    return ", ".join(_words(resources))


def _words(resources: Mapping[str, float]) -> list[str]:
    said = []
    for name, amount in resources.items():
        if not amount:
            continue
        if name == "memory":
            said.append(f"{show_bytes(amount)} of memory")
        elif name in ("CPU", "GPU"):
            said.append(f"{amount:g} {name}{'' if amount == 1 else 's'}")
        else:
            said.append(f"{amount:g} of {name}")
    return said


def _and(resources: Mapping[str, float]) -> str:
    *others, last = _words(resources) or [""]
    return f"{', '.join(others)} and {last}" if others else last
