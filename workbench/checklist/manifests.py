"""What Kubernetes objects say: workloads, their containers and probes, what scales them, what lets traffic in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]

#: What runs pods of its own.
WORKLOADS = ("Deployment", "StatefulSet", "LeaderWorkerSet", "ReplicaSet", "DaemonSet")
#: A container that serves a model names one of these.
ENGINES = ("vllm", "sglang", "text-generation", "tritonserver", "tensorrt", "llama")
#: What a horizontal scaler should look at: the engine's own load.
LOAD_METRICS = (
    "num_requests_waiting", "num_requests_running", "cache_usage", "queue", "time_to_first_token",
    "inter_token_latency", "e2e_request_latency", "tgi_batch", "tgi_queue", "num_queue_reqs",
    "requests_processing", "requests_deferred",
)  # fmt: skip


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Objects of these kinds."""
    return [one for one in objects if one.get("kind") in kinds]


def at(thing: Any, *path: str | int, default: Any = None) -> Any:
    """What lies at a path, or the default where anything on the way is missing or of another shape.

    >>> at({"spec": {"containers": [{"name": "vllm"}]}}, "spec", "containers", 0, "name")
    'vllm'
    """
    for step in path:
        if isinstance(step, int):
            thing = thing[step] if isinstance(thing, list) and len(thing) > step else None
        else:
            thing = thing.get(step) if isinstance(thing, Mapping) else None
    return default if thing is None else thing


def items(thing: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list; none of what is no list."""
    return [one for one in thing if isinstance(one, Mapping)] if isinstance(thing, list) else []


def named(one: Object) -> str:
    """``Deployment vllm (file.yaml)``."""
    return f"{one.get('kind', 'object')} {at(one, 'metadata', 'name', default='without a name')} ({one.get('_file')})"


def template(workload: Object) -> Any:
    """The pod's specification."""
    leader = at(workload, "spec", "leaderWorkerTemplate", "workerTemplate", "spec")
    return at(workload, "spec", "template", "spec", default=leader)


def serving(objects: Iterable[Object]) -> list[tuple[Object, Mapping[str, Any]]]:
    """Workloads with the container that serves the model: of those that name an engine, else all."""
    found = [(w, c) for w in of_kind(objects, *WORKLOADS) for c in items(at(template(w), "containers"))]
    engines = [(w, c) for w, c in found if any(word in str({**c, "env": None}).casefold() for word in ENGINES)]
    return engines or found


def number(value: Any, default: float = 0.0) -> float:
    """A number, also where it is written as text with a unit of seconds.

    >>> number("300s"), number(5), number("five", 1.0)
    (300.0, 5.0, 1.0)
    """
    try:
        return float(str(value).removesuffix("s"))
    except ValueError:
        return default


def patience(probe: Mapping[str, Any]) -> float:
    """Time until a probe that never succeeds gives up [s], with Kubernetes' defaults."""
    return number(probe.get("initialDelaySeconds"), 0.0) + number(probe.get("periodSeconds"), 10.0) * number(
        probe.get("failureThreshold"), 3.0
    )
