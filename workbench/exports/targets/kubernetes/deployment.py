"""A Kubernetes Deployment with all it needs: Service, shared volume, NetworkPolicy, PodDisruptionBudget.

A Deployment rather than a StatefulSet: replicas are alike, keep nothing of their own, and share one volume that none of
them changes once the model lies in it. A StatefulSet would give each its own volume, hence its own download, and
would start them one after another.
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects, _steps
from workbench.exports.writing import as_yaml

_FOLDER = "kubernetes"


def files(subject: Subject) -> list[File]:
    """All objects in one file, which is applied as a whole; scripts for what no file may hold beside it."""
    documents = [
        _objects.volume_claim(subject),
        *_objects.configuration(subject),
        deployment(subject),
        _objects.service(subject),
        network_policy(subject),
        disruption_budget(subject),
    ]
    return [
        File(f"{_FOLDER}/server.yaml", "kubernetes", as_yaml(*documents), "yaml", version=containers.vllm(subject)),
        *_steps.secret(subject, _FOLDER),
        *_steps.filling(subject, _FOLDER),
    ]


def deployment(subject: Subject) -> dict[str, Any]:
    """The servers.

    Where they take GPUs one goes before another comes, for seldom is a card left over to come first; on processors
    the other way round. A change is given up after two starts: one, and as long again to fetch the image.
    """
    first_out, then_in = {"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}
    share = _objects.Share.whole(subject)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _objects.metadata(subject),
        "spec": {
            "replicas": subject.wishes.replicas,
            "progressDeadlineSeconds": 2 * subject.first_start_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": first_out if subject.gpus else then_in},
            "selector": {"matchLabels": _objects.labels(subject)},
            "template": {
                "metadata": {"labels": _objects.labels(subject)},
                "spec": _objects.pod(subject, [_objects.container(subject, share)], share),
            },
        },
    }


def clients(subject: Subject) -> str:
    """Label of the namespaces whose pods may ask."""
    return f"{subject.name}-clients"


def network_policy(subject: Subject) -> dict[str, Any]:
    """Who may ask: pods of its namespace and of namespaces that are labelled; what it may ask: names and the hub."""
    asking = [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {clients(subject): "allowed"}}},
    ]
    out: list[dict[str, Any]] = []
    if subject.from_hub:
        names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
        out = [{"ports": [*names, {"protocol": "TCP", "port": 443}]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _objects.metadata(subject),
        "spec": {
            "podSelector": {"matchLabels": _objects.labels(subject)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": asking, "ports": [{"protocol": "TCP", "port": subject.wishes.port}]}],
            "egress": out,
        },
    }


def disruption_budget(subject: Subject) -> dict[str, Any]:
    """One at a time when nodes are emptied; never none, or a single replica would keep its node for ever."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _objects.metadata(subject),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _objects.labels(subject)}},
    }


def steps(subject: Subject) -> list[str]:
    """In the order in which nothing waits for what is not there yet."""
    space = subject.wishes.namespace
    storage = "The cluster needs a storage class whose volumes several nodes can mount (ReadWriteMany: NFS, CephFS …)"
    driver = "and NVIDIA's GPU Operator, which labels the nodes with their cards" if subject.gpus else ""
    return [
        f"{storage} {driver}".strip() + ".",
        *_steps.before(subject, _FOLDER),
        f"`kubectl apply --filename {_FOLDER}/server.yaml`",
        *_steps.filled(subject, _FOLDER),
        f"`kubectl rollout status deployment/{subject.name} --namespace {space}` ends when it answers; a start is "
        f"given up after {subject.first_start_seconds} s.",
        "Let the namespaces of a gateway and of Prometheus in: "
        f"`kubectl label namespace NAME {clients(subject)}=allowed`.",
    ]


TARGET = Target(
    id="kubernetes-deployment",
    title="Kubernetes Deployment",
    about="A Deployment with probes from the planned start, its Service, a volume its replicas share, who may ask it, "
    "and how many of them may be away at once.",
    files=files,
    steps=steps,
    obstacle=containers.obstacle,
    source="https://kubernetes.io/docs/concepts/workloads/controllers/deployment/",
    without={},
)
