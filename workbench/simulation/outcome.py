"""What became of the requests: times and counts as arrays, and the statistics that benchmarks print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.simulation.lengths import Floats, Requests, Whole
from workbench.simulation.scheduler import Replica


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run; arrays of shape (requests,) in order of arrival, of those that count.

    Attributes
    ----------
    arrival, first, last : ndarray
        Times of arrival, first and last token [s].
    isl, osl, emitted : ndarray of int
        Tokens asked for, and output tokens that came.
    computed, hits, preemptions : ndarray of int
        Prompt tokens computed (again after a preemption), found in the prefix cache at first, times sent back.
    replica : ndarray of int
        Who served it.
    itl : ndarray
        Every gap between two steps that brought one request tokens [s], as a stream of them shows it.
    seconds, requests_per_s : float
        The span counted and the requests that ended in it, each second.
    steps : int
        Steps of all replicas.
    peak_blocks : int
        Most KV blocks that requests held on one replica.
    """

    arrival: Floats
    first: Floats
    last: Floats
    isl: Whole
    osl: Whole
    emitted: Whole
    computed: Whole
    hits: Whole
    preemptions: Whole
    replica: Whole
    itl: Floats
    seconds: float
    requests_per_s: float
    steps: int
    peak_blocks: int

    @property
    def ttft(self) -> Floats:
        """Time to first token of each request [s], queueing included."""
        return self.first - self.arrival

    @property
    def tpot(self) -> Floats:
        """Time per output token after the first, of each request of two tokens or more [s]."""
        several = self.osl > 1
        return (self.last - self.first)[several] / (self.osl[several] - 1)

    @property
    def latency(self) -> Floats:
        """From arrival to the last token [s]."""
        return self.last - self.arrival

    @property
    def output_tokens_per_s(self) -> float:
        """Output tokens a second [tokens/s]."""
        return self.requests_per_s * float(self.osl.mean())

    @property
    def hit_rate(self) -> float:
        """Share of input tokens found in the prefix cache."""
        return float(self.hits.sum() / self.isl.sum())

    def summary(self) -> dict[str, float]:
        """Means and percentiles of TTFT, TPOT and ITL [s]; rates; hits and preemptions of a request."""
        found: dict[str, float] = {}
        for name, values in (("ttft", self.ttft), ("tpot", self.tpot), ("itl", self.itl)):
            if len(values):
                found[f"{name}_mean"] = float(values.mean())
                found |= {f"{name}_p{q}": float(np.percentile(values, q)) for q in (50, 95, 99)}
        found["requests_per_s"] = self.requests_per_s
        found["output_tokens_per_s"] = self.output_tokens_per_s
        found["hit_rate"] = self.hit_rate
        found["preemptions"] = float(self.preemptions.mean())
        return found


def token_steps(spells: Sequence[tuple[int, int, Whole | None]]) -> Whole:
    """The step in which each output token of a request came.

    >>> token_steps([(3, 4, None)])
    array([3, 4, 5, 6])
    >>> token_steps([(3, 3, np.array([2, 1]))])
    array([3, 4, 4, 5])
    """
    parts: list[npt.NDArray[np.int64]] = []
    for first, steps, emitted in spells:
        at = np.arange(first, first + steps)
        parts.append(at if emitted is None else np.repeat(at, np.concatenate([[1], emitted])))
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def outcome(replicas: Sequence[Replica], asked: Requests, arrival: Floats, counted: Whole) -> Outcome:
    """Gather a run.

    Parameters
    ----------
    replicas : sequence of Replica
    asked : Requests
    arrival : ndarray
        When each arrived [s].
    counted : ndarray of int
        Requests whose times count; all have ended.
    """
    first, last = np.zeros(len(asked)), np.zeros(len(asked))
    emitted, computed, hits, preemptions, served = (np.zeros(len(asked), np.int64) for _ in range(5))
    gaps: list[Floats] = []
    for number, replica in enumerate(replicas):
        ends = np.array(replica.ends)
        for request, spells in replica.spells.items():
            times = ends[token_steps(spells)]
            first[request], last[request], emitted[request] = times[0], times[-1], len(times)
            computed[request], hits[request] = replica.computed[request], replica.hits[request]
            preemptions[request], served[request] = replica.preemptions.get(request, 0), number
    chosen = set(counted.tolist())
    for replica in replicas:
        ends = np.array(replica.ends)
        gaps += [
            np.diff(ends[np.unique(token_steps(spells))])
            for request, spells in replica.spells.items()
            if request in chosen
        ]
    span = float(last[counted].max() - arrival[counted].min()) if len(counted) else 0.0
    within = (last > arrival[counted].min()) & (last <= last[counted].max()) if len(counted) else np.zeros(0)
    return Outcome(
        arrival=arrival[counted], first=first[counted], last=last[counted], isl=asked.isl[counted],
        osl=asked.osl[counted], emitted=emitted[counted], computed=computed[counted], hits=hits[counted],
        preemptions=preemptions[counted], replica=served[counted],
        itl=np.concatenate(gaps) if gaps else np.zeros(0), seconds=span,
        requests_per_s=float(within.sum() / span) if span else 0.0,
        steps=sum(len(replica.ends) for replica in replicas),
        peak_blocks=max((replica.peak_blocks for replica in replicas), default=0),
    )  # fmt: skip
