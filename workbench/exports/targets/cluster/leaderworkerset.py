"""vLLM over several machines of a Kubernetes cluster, by LeaderWorkerSet: a StatefulSet of groups of pods.

A group starts and ends together; its first pod serves, the others run workers. vLLM's own processes find each other by
``--nnodes``, ``--node-rank`` and ``--master-addr`` (0.12.0 and later; read in ``vllm/engine/arg_utils.py`` of that
release and of 0.11.0), without Ray, which its image no longer holds. Fields and variables:
github:kubernetes-sigs/lws api/leaderworkerset/v1/leaderworkerset_types.go@060ab4d.
"""

from __future__ import annotations

from typing import Any

from workbench.exports.containers import vllm
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.cluster import _machines
from workbench.exports.targets.kubernetes import _objects, _steps
from workbench.exports.targets.kubernetes.deployment import clients
from workbench.exports.writing import as_yaml

_FOLDER = "cluster/leaderworkerset"
#: The first release whose processes find each other without Ray.
_SINCE = (0, 12)


def files(subject: Subject) -> list[File]:
    """All objects in one file, and the scripts beside it."""
    documents = [
        _objects.volume_claim(subject), groups(subject), _objects.service(subject), network_policy(subject)
    ]  # fmt: skip
    return [
        File(f"{_FOLDER}/server.yaml", "kubernetes", as_yaml(*documents), "yaml", version=vllm(subject)),
        *_steps.secret(subject, _FOLDER),
        *_steps.filling(subject, _FOLDER),
    ]


def _workers(subject: Subject) -> dict[str, str]:
    return {**_objects.labels(subject), "app.kubernetes.io/component": "worker"}


def groups(subject: Subject) -> dict[str, Any]:
    """As many groups as replicas, each of as many pods as a replica takes machines."""
    share = _machines.share(subject)
    leader = _objects.container(subject, share)
    found = ["--nnodes", str(subject.machines), "--node-rank", "$(LWS_WORKER_INDEX)"]
    found += ["--master-addr", "$(LWS_LEADER_ADDRESS)"]
    leader["args"] = [*leader["args"], *found]
    silent = ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle")
    worker = {name: value for name, value in leader.items() if name not in silent}
    worker |= {"name": "worker", "args": [*leader["args"], "--headless"]}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _objects.metadata(subject),
        "spec": {
            "replicas": subject.wishes.replicas,
            "leaderWorkerTemplate": {
                "size": subject.machines,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {
                    "metadata": {"labels": _objects.labels(subject)},
                    "spec": _objects.pod(subject, [leader], share),
                },
                "workerTemplate": {
                    "metadata": {"labels": _workers(subject)},
                    "spec": _objects.pod(subject, [worker], share),
                },
            },
        },
    }


def network_policy(subject: Subject) -> dict[str, Any]:
    """Pods of the deployment talk to each other on every port, unencrypted: nobody else may, but to ask the leader."""
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": subject.name}}}
    asking = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {clients(subject): "allowed"}}}]
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    hub = [{"protocol": "TCP", "port": 443}] if subject.from_hub else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _objects.metadata(subject),
        "spec": {
            "podSelector": own["podSelector"],
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [own]},
                {"from": asking, "ports": [{"protocol": "TCP", "port": subject.wishes.port}]},
            ],
            "egress": [{"to": [own]}, {"ports": [*names, *hub]}],
        },
    }


def obstacle(subject: Subject) -> str | None:
    """One machine, or a release that needs Ray for several."""
    version = subject.plan.engine_version
    if tuple(int(part) for part in version.split(".")[:2]) < _SINCE:
        return f"engine_version is {version}; vLLM runs over several machines without Ray from 0.12.0 on"
    return _machines.in_containers(subject)


def steps(subject: Subject) -> list[str]:
    """The controller first."""
    return [
        "LeaderWorkerSet's controller must be in the cluster (https://lws.sigs.k8s.io/docs/installation/), and a "
        "storage class whose volumes several nodes can mount.",
        *_steps.before(subject, _FOLDER),
        f"`kubectl apply --filename {_FOLDER}/server.yaml` starts {subject.wishes.replicas} × {subject.machines} pods "
        f"with {_machines.gpus(subject)} GPUs each.",
        *_steps.filled(subject, _FOLDER),
        "Between machines NCCL is fast over InfiniBand or RoCE alone: give the pods your network operator's resource "
        "and the capability IPC_LOCK, and look for `NET/IB` in the log with `NCCL_DEBUG=INFO`.",
        "Let the namespaces of a gateway and of Prometheus in: "
        f"`kubectl label namespace NAME {clients(subject)}=allowed`.",
    ]


TARGET = Target(
    id="leaderworkerset",
    title="LeaderWorkerSet",
    about="vLLM over several machines of a Kubernetes cluster, each replica a group of pods that ends together.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.vllm.ai/en/stable/deployment/frameworks/lws/",
    without=only("vllm", because=_machines.OTHERS),
)
