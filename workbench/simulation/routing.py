"""Routers in front of replicas: who serves a request, and what that choice is worth.

A router sees the replicas as they stand when the request arrives, and the request's own prompt; it does not know
how long the answer will be, except where a policy says so.

References
----------
The policies of production routers: vLLM Production Stack (round-robin, session, prefix-aware),
https://docs.vllm.ai/projects/production-stack; Ray Serve LLM (KV-aware: the least of prefill left and tokens
outstanding), https://docs.ray.io/en/master/serve/llm/user-guides/kv-aware-routing.html; vLLM Router (consistent
hashing, power of two choices, cache-aware with a bound on the load),
https://blog.vllm.ai/2025/12/13/vllm-router-release.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import UnknownName
from workbench.simulation.law import StepLaw
from workbench.simulation.lengths import Requests
from workbench.simulation.run import Router, open_loop
from workbench.simulation.scheduler import Limits, Replica

if TYPE_CHECKING:
    import pandas as pd


class RoundRobin:
    """Each replica in turn, whatever it has to do."""

    def __init__(self, requests: Requests, replicas: int) -> None:
        self._next = -1

    def __call__(self, replicas: Sequence[Replica], request: int) -> int:
        """The next in turn."""
        self._next = (self._next + 1) % len(replicas)
        return self._next


class LoadAware:
    """The replica with the fewest tokens still to compute, prompts and answers."""

    def __init__(self, requests: Requests, replicas: int) -> None:
        pass

    def __call__(self, replicas: Sequence[Replica], request: int) -> int:
        """The least loaded; the first of equals."""
        return min(range(len(replicas)), key=lambda number: replicas[number].outstanding_tokens)


class LengthAware:
    """Short prompts to some replicas, long ones to the others, so that the short ones do not wait behind the long.

    The cut is the length below which half of all tokens lie, and each part gets replicas for its share; in a part
    the least loaded is taken. Where nearly all have one length there is nothing to tell apart.
    """

    def __init__(self, requests: Requests, replicas: int) -> None:
        work = (requests.isl - requests.cached + requests.osl).astype(float)
        order = np.argsort(requests.isl, kind="stable")
        share = work[order].cumsum() / work.sum()
        self._cut = int(requests.isl[order[min(int(np.searchsorted(share, 0.5)), len(order) - 1)]])
        below, same = work[requests.isl < self._cut].sum() / work.sum(), requests.isl == self._cut
        self._few = min(max(1, round(replicas * below)), max(replicas - 1, 1))
        self._anywhere = bool(work[same].sum() > 0.9 * work.sum())
        self._isl = requests.isl.tolist()

    def __call__(self, replicas: Sequence[Replica], request: int) -> int:
        """The least loaded of those for its length."""
        part = range(self._few) if self._isl[request] < self._cut else range(self._few, len(replicas))
        if self._anywhere or len(replicas) == 1:
            part = range(len(replicas))
        return min(part, key=lambda number: replicas[number].outstanding_tokens)


class PrefixAware:
    """The replica that holds most of the prompt's prefix, unless it is much busier than the least busy one.

    A prefix that nobody holds, or only replicas with more than ``bound`` times the mean load and a request's worth
    more than the least loaded, goes to the least loaded.
    """

    def __init__(self, requests: Requests, replicas: int, bound: float = 1.25) -> None:
        self._prefix, self._bound = requests.prefix.tolist(), bound
        self._size = float((requests.isl + requests.osl).mean())

    def __call__(self, replicas: Sequence[Replica], request: int) -> int:
        """The one with most of the prefix that is not too busy."""
        loads = [replica.outstanding_tokens for replica in replicas]
        least = min(range(len(replicas)), key=loads.__getitem__)
        prefix = self._prefix[request]
        if prefix < 0:
            return least
        most = self._bound * sum(loads) / len(loads) + self._size
        fit = [number for number in range(len(replicas)) if loads[number] <= most] or [least]
        best = max(fit, key=lambda number: (replicas[number].prefixes.cached(prefix), -loads[number]))
        return best if replicas[best].prefixes.cached(prefix) else least


#: Routers by name; "priority" is load-aware routing to replicas whose scheduler heeds priorities.
ROUTERS: dict[str, type[RoundRobin] | type[LoadAware] | type[LengthAware] | type[PrefixAware]] = {
    "round-robin": RoundRobin,
    "load-aware": LoadAware,
    "length-aware": LengthAware,
    "prefix-aware": PrefixAware,
    "priority": LoadAware,
}


def router(name: str, requests: Requests, replicas: int) -> Router:
    """A router by name.

    Raises
    ------
    UnknownName
        For a name that is not in :data:`ROUTERS`.
    """
    if name not in ROUTERS:
        raise UnknownName("router", name, ROUTERS, f"one of {', '.join(ROUTERS)}")
    return ROUTERS[name](requests, replicas)


@dataclass(frozen=True, slots=True)
class Routed:
    """One row of :func:`compare`.

    Attributes
    ----------
    router : str
    ttft_p50, ttft_p95, ttft_p99 : float
        Of all requests [s].
    short_ttft_p95, urgent_ttft_p95 : float
        Of the half with the shorter prompts, and of those with the smallest priority [s].
    tpot_p50, tpot_p95 : float
        Over requests [s].
    output_tokens_per_s : float
        Of all replicas [tokens/s].
    hit_rate : float
        Share of input tokens found in a prefix cache.
    preemptions : float
        Of a request, on average.
    busiest : float
        Tokens computed by the replica that computed most, over the mean.
    """

    router: str
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    short_ttft_p95: float
    urgent_ttft_p95: float
    tpot_p50: float
    tpot_p95: float
    output_tokens_per_s: float
    hit_rate: float
    preemptions: float
    busiest: float


def route(name: str, law: StepLaw, limits: Limits, requests: Requests, replicas: int, skip: float = 0.1) -> Routed:
    """Serve requests through one router.

    Parameters
    ----------
    name : str
        Of :data:`ROUTERS`.
    law, limits, requests
    replicas : int
    skip : float
        Share of the first and of the last requests that do not count.

    Raises
    ------
    UnknownName
        For an unknown router.
    """
    policy = "priority" if name == "priority" else "fcfs"
    heeding = replace(limits, scheduling_policy=policy)
    run = open_loop(law, heeding, requests, replicas=replicas, route=router(name, requests, replicas), skip=skip)
    first = round(skip * len(requests))
    priority = requests.priority[first : len(requests) - first]
    p50, p95, p99 = np.percentile(run.ttft, [50, 95, 99]).tolist()
    tpot = np.percentile(run.tpot, [50, 95]).tolist()
    served = np.bincount(run.replica, weights=(run.computed + run.osl).astype(float), minlength=replicas)
    return Routed(
        router=name,
        ttft_p50=p50,
        ttft_p95=p95,
        ttft_p99=p99,
        short_ttft_p95=float(np.percentile(run.ttft[run.isl <= np.median(run.isl)], 95)),
        urgent_ttft_p95=float(np.percentile(run.ttft[priority == priority.min()], 95)),
        tpot_p50=tpot[0],
        tpot_p95=tpot[1],
        output_tokens_per_s=run.output_tokens_per_s,
        hit_rate=run.hit_rate,
        preemptions=float(run.preemptions.mean()),
        busiest=float(served.max() / served.mean()),
    )


def compare(
    law: StepLaw, limits: Limits, requests: Requests, replicas: int, routers: Sequence[str] = tuple(ROUTERS)
) -> pd.DataFrame:
    """The same requests through several routers, a row each; columns as in :class:`Routed`."""
    import pandas as pd

    return pd.DataFrame([asdict(route(name, law, limits, requests, replicas)) for name in routers])
