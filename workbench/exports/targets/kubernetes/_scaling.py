"""What the two autoscalers share: by which series of the engine they scale, to which values, how fast.

A GPU's utilisation and a processor's say nothing of a server that batches: both are full with one request and with a
hundred. What says that another replica is needed is that requests wait, and that the KV cache fills up, after which
requests are preempted.
"""

from __future__ import annotations

import math
from typing import Any

from workbench.deployment import ENGINES
from workbench.exports.servers import server
from workbench.exports.subject import Subject

#: Share of the requests planned in flight that may wait in each replica before another comes. Our judgement.
_WAITING = 0.1
#: Share of the KV cache in use at which another replica comes, before requests are preempted. Our judgement.
CACHE = 0.8
#: The API's limits of a policy's period and of a window [s] (https://kubernetes.io/docs/reference/kubernetes-api,
#: HorizontalPodAutoscaler v2).
_LONGEST_PERIOD, _LONGEST_WINDOW = 1800, 3600

WITHOUT = {
    name: "it has no series of requests that wait, by which one could scale"
    for name in ENGINES
    if not server(name).series.waiting
}


def waiting(subject: Subject) -> int:
    """Requests that may wait for each replica."""
    return max(1, math.ceil(_WAITING * subject.at_once))


def most(subject: Subject) -> int:
    """Replicas at most: twice as many unless it is said."""
    return subject.wishes.most_replicas or 2 * subject.wishes.replicas


def behavior(subject: Subject) -> dict[str, Any]:
    """One more at a time, the next when the last can have started; fewer when that long nobody needed it."""
    start = subject.start_seconds
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": min(start, _LONGEST_PERIOD)}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": min(start, _LONGEST_WINDOW),
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": min(start, _LONGEST_PERIOD)}],
        },
    }


def hand_over(subject: Subject) -> str:
    """Who then says how many replicas there are."""
    return (
        "Take `replicas` out of `kubernetes/server.yaml` before it is applied again: the autoscaler says how many "
        f"there are, from {subject.wishes.replicas} to {most(subject)}."
    )
