"""A whole run: a fixed number in flight, or arrivals at their times, over one or more replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import InvalidInput
from workbench.simulation.law import StepLaw
from workbench.simulation.lengths import Requests
from workbench.simulation.outcome import Outcome, outcome
from workbench.simulation.scheduler import Drafting, Limits, Replica

#: Chooses a replica for a request: (replicas, request) → number.
Router = Callable[[Sequence[Replica], int], int]


def closed_loop(
    law: StepLaw,
    limits: Limits,
    requests: Requests,
    concurrency: int,
    *,
    skip: float = 0.0,
    drafting: Drafting | None = None,
    seed: int = 0,
) -> Outcome:
    """Keep ``concurrency`` requests in flight on one replica: as one ends, the next is sent.

    Parameters
    ----------
    law, limits, requests
        Arrival times of the requests are not used.
    concurrency : int
    skip : float
        Share of the requests, the first ones and as many of the last, that do not count [0–0.45].
    drafting : Drafting, optional
    seed : int

    Raises
    ------
    InvalidInput
        For a concurrency below 1 or a share that leaves nothing.

    Examples
    --------
    >>> from workbench.deployment import Workload
    >>> from workbench.simulation.law import SharedStep
    >>> from workbench.simulation.lengths import requests
    >>> run = closed_loop(SharedStep(0.01), Limits(), requests(Workload(100, 11), 4), concurrency=2)
    >>> float(run.tpot.mean().round(4)), float(run.last.max().round(4))
    (0.01, 0.22)
    """
    if concurrency < 1:
        raise InvalidInput(f"concurrency is {concurrency!r}; it must be at least 1")
    counted = _counted(len(requests), skip)
    replica = Replica(law, limits, requests, drafting, seed)
    arrival = np.zeros(len(requests))
    sent = min(concurrency, len(requests))
    for request in range(sent):
        replica.push(request)
    while replica.busy:
        for _ in replica.step():
            if sent < len(requests):
                arrival[sent] = replica.now
                replica.push(sent)
                sent += 1
    return outcome([replica], requests, arrival, counted)


def open_loop(
    law: StepLaw,
    limits: Limits,
    requests: Requests,
    *,
    replicas: int = 1,
    route: Router | None = None,
    skip: float = 0.0,
    drafting: Drafting | None = None,
    seed: int = 0,
) -> Outcome:
    """Serve requests as they arrive, on one replica or, through a router, on several.

    Parameters
    ----------
    law, limits, requests
    replicas : int
    route : callable, optional
        Chooses a replica; None takes them in turn.
    skip : float
        Share of the requests, the first ones and as many of the last, that do not count [0–0.45].

    Examples
    --------
    >>> from workbench.deployment import Workload
    >>> from workbench.simulation.law import SharedStep
    >>> from workbench.simulation.lengths import requests
    >>> run = open_loop(SharedStep(0.01), Limits(), requests(Workload(100, 11, request_rate=0.01), 4))
    >>> float(run.ttft.mean().round(4)), float(run.latency.mean().round(4))
    (0.01, 0.11)
    """
    if replicas < 1:
        raise InvalidInput(f"replicas is {replicas!r}; it must be at least 1")
    counted = _counted(len(requests), skip)
    machines = [Replica(law, limits, requests, drafting, seed + number) for number in range(replicas)]
    for request, time in enumerate(requests.arrival.tolist()):
        for machine in machines:
            machine.advance(time)
        chosen = route(machines, request) if route else request % replicas
        machines[chosen].push(request)
    for machine in machines:
        while machine.busy:
            machine.step()
    return outcome(machines, requests, requests.arrival, counted)


def _counted(count: int, skip: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if not 0 <= skip <= 0.45:
        raise InvalidInput(f"skip is {skip!r}; it must be between 0 and 0.45")
    left = round(skip * count)
    return np.arange(left, count - left, dtype=np.int64)
