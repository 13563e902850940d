"""What came of placing loads on a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.deployment import Deployment
from workbench.quantities import Estimate, weakest


@dataclass(frozen=True, slots=True)
class Placed:
    """A load on the fleet.

    Attributes
    ----------
    deployment : Deployment
        Of one replica.
    replicas, gpus : int
        With the spare ones; GPUs of all of them.
    concurrency : int
        Requests in flight at each replica for which the times hold.
    ttft, tpot : Estimate
        At that concurrency [s].
    output_tokens_per_s : Estimate
        Of all replicas at that concurrency, without the spare ones [tokens/s].
    nodes : tuple of tuple of int
        For each replica the nodes it lies in, counted from 0 over the fleet; several only for a pipeline that no node
        holds.
    """

    name: str
    model: str
    deployment: Deployment
    replicas: int
    spare: int
    gpus: int
    concurrency: int
    ttft: Estimate
    tpot: Estimate
    output_tokens_per_s: Estimate
    usd_per_hour: Estimate | None
    nodes: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain = {name: getattr(self, name) for name in ("name", "model", "replicas", "spare", "gpus", "concurrency")}
        times = {name: getattr(self, name).to_dict() for name in ("ttft", "tpot", "output_tokens_per_s")}
        return {
            **plain,
            "deployment": self.deployment.to_dict(),
            **times,
            "usd_per_hour": self.usd_per_hour.to_dict() if self.usd_per_hour else None,
            "nodes": [list(where) for where in self.nodes],
        }


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A machine of the fleet: its card, how many it has, and how many of them are taken by which load."""

    gpu: str
    gpus: int
    taken: tuple[tuple[str, int], ...] = ()

    @property
    def free(self) -> int:
        """GPUs that nobody uses."""
        return self.gpus - sum(count for _, count in self.taken)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"gpu": self.gpu, "gpus": self.gpus, "free": self.free, "taken": [list(part) for part in self.taken]}


@dataclass(frozen=True, slots=True)
class Placement:
    """What came of placing loads on a fleet; made by :func:`workbench.planner.fleet.place`.

    Attributes
    ----------
    fits : bool
    placed : tuple of Placed
        A load each, in the order given; empty if they do not fit.
    nodes : tuple of FleetNode
    short : int
        GPUs that are missing; 0 if it fits, or if no number of GPUs would do.
    reasons : tuple of str
        Why, in sentences.
    fixes : tuple of dict
        Models to quantise so that it fits: ``load``, ``change`` (fields), ``text``, ``gpus`` used then, ``cost``.
    """

    fits: bool
    placed: tuple[Placed, ...]
    nodes: tuple[FleetNode, ...]
    short: int
    reasons: tuple[str, ...]
    fixes: tuple[dict[str, Any], ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs of the fleet."""
        return sum(node.gpus for node in self.nodes)

    @property
    def used(self) -> int:
        """GPUs that serve, or stand by to."""
        return sum(part.gpus for part in self.placed)

    @property
    def usd_per_hour(self) -> Estimate | None:
        """List price of the GPUs used [USD/h]; None where one has none."""
        prices = [part.usd_per_hour for part in self.placed]
        return _sum([usd for usd in prices if usd]) if prices and all(prices) else None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        usd = self.usd_per_hour
        return {
            "fits": self.fits,
            "gpus": self.gpus,
            "used": self.used,
            "short": self.short,
            "usd_per_hour": usd.to_dict() if usd else None,
            "reasons": list(self.reasons),
            "fixes": list(self.fixes),
            "placed": [part.to_dict() for part in self.placed],
            "nodes": [node.to_dict() for node in self.nodes],
        }


def _sum(prices: Sequence[Estimate]) -> Estimate:
    return Estimate(
        sum(usd.value for usd in prices),
        sum(usd.low for usd in prices),
        sum(usd.high for usd in prices),
        weakest(*(usd.basis for usd in prices)),
    )
