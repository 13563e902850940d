"""What the Kubernetes targets share: names, labels, the container with its probes, its volumes.

``$(NAME)`` in arguments and values of variables is expanded by Kubernetes; doubled dollars are taken as one
(https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.exports.containers import doubled
from workbench.exports.subject import CACHE, CONFIGURATION, MODELS, Subject
from workbench.quantities import GIB

#: Every so many seconds a probe asks; a server that did not answer within as long is not well.
PERIOD = 10
#: Pods that Kubernetes has given no address any more still get requests for a moment.
_LEAVING = 10


def secret(subject: Subject) -> str:
    """Name of the Secret, which no file holds."""
    return f"{subject.name}-secrets"


def claim(subject: Subject) -> str:
    """Name of the volume that all replicas share."""
    return f"{subject.name}-models"


def labels(subject: Subject) -> dict[str, str]:
    """What selects the pods of this deployment."""
    return {"app.kubernetes.io/name": subject.name, "app.kubernetes.io/component": "server"}


def metadata(subject: Subject, name: str | None = None) -> dict[str, Any]:
    """Name, namespace and labels of an object."""
    return {"name": name or subject.name, "namespace": subject.wishes.namespace, "labels": labels(subject)}


def environment(subject: Subject) -> list[dict[str, Any]]:
    """Variables of the engine; secrets by reference, the hub's token only where the Secret has it."""
    plain = [{"name": name, "value": doubled(value)} for name, value in subject.variables.items()]
    keys: list[dict[str, Any]] = [{"name": secret(subject), "key": name} for name in subject.secrets]
    if subject.token:
        keys.append({"name": secret(subject), "key": subject.token, "optional": True})
    return [*plain, *({"name": key["key"], "valueFrom": {"secretKeyRef": key}} for key in keys)]


def arguments(subject: Subject) -> list[str]:
    """The start line; an engine that takes its key from its line gets it by the variable's name."""
    words = [doubled(word) for word in subject.arguments]
    return [*words, *subject.server.key_words, f"$({subject.key})"] if subject.server.key_words else words


def gpu_resource(subject: Subject) -> str:
    """What NVIDIA's device plugin calls the card, or a slice of it (its strategy "mixed")."""
    card = subject.plan.card
    if not card.slice_of:
        return "nvidia.com/gpu"
    return f"nvidia.com/mig-{card.name.removeprefix(card.slice_of).strip().replace('+', '.')}"


def on_that_card(subject: Subject) -> dict[str, Any]:
    """Nodes with the card that was planned for, by the label that NVIDIA's GPU feature discovery gives them.

    The label is the name NVML gives the card, with dashes (https://github.com/NVIDIA/k8s-device-plugin, "Generated
    Labels"); a slice is asked for by its resource alone.
    """
    found = [name.replace(" ", "-") for name in subject.plan.card.aliases if name.startswith(("NVIDIA ", "Tesla "))]
    if not found or not subject.gpus:
        return {}
    term = {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": found}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


@dataclass(frozen=True, slots=True)
class Share:
    """What one pod takes: GPUs, host memory [GiB] with the shared memory in it [GiB], cores."""

    gpus: int
    memory: int
    shared_memory: int
    cores: int

    @classmethod
    def whole(cls, subject: Subject) -> Share:
        """All of one replica."""
        return cls(subject.gpus, max(1, subject.host_memory), subject.shared_memory, subject.cores)


def resources(subject: Subject, share: Share) -> dict[str, Any]:
    """Requests and limits; host memory as much as may be used, for what exceeds it is killed.

    On a GPU cores have no limit: a process that is throttled between two steps leaves the card idle.
    """
    if not share.gpus:
        both = {"cpu": str(share.cores), "memory": f"{share.memory}Gi"}
        return {"requests": both, "limits": both}
    limits = {gpu_resource(subject): str(share.gpus), "memory": f"{share.memory}Gi"}
    return {"requests": {"cpu": str(share.cores), **limits}, "limits": limits}


def mounts(subject: Subject, shared: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes of the pod, and where its container sees them: models, shared memory [GiB], the engine's own files."""
    volumes: list[dict[str, Any]] = [{"name": "models", "persistentVolumeClaim": {"claimName": claim(subject)}}]
    seen: list[dict[str, Any]] = [
        {"name": "models", "mountPath": CACHE}
        if subject.from_hub
        else {"name": "models", "mountPath": MODELS, "readOnly": True}
    ]
    if shared:
        size = {"medium": "Memory", "sizeLimit": f"{shared}Gi"}
        volumes.append({"name": "shared-memory", "emptyDir": size})
        seen.append({"name": "shared-memory", "mountPath": "/dev/shm"})
    if subject.configuration:
        volumes.append({"name": "configuration", "configMap": {"name": f"{subject.name}-configuration"}})
        seen.append({"name": "configuration", "mountPath": CONFIGURATION, "readOnly": True})
    return volumes, seen


def probes(subject: Subject) -> dict[str, Any]:
    """Startup, readiness and liveness, by the engine's health path.

    While the startup probe has not succeeded nobody asks the others; it is given up after the planned start, a first
    download included. A server that does not answer for a minute is started again, which costs a whole start; one
    that is merely slow is only left out for a while.
    """
    asked = {"httpGet": {"path": subject.server.health, "port": "http"}, "timeoutSeconds": PERIOD}
    tries = math.ceil(subject.first_start_seconds / PERIOD)
    return {
        "startupProbe": {**asked, "periodSeconds": PERIOD, "failureThreshold": tries},
        "readinessProbe": {**asked, "periodSeconds": PERIOD, "failureThreshold": 2},
        "livenessProbe": {**asked, "periodSeconds": PERIOD, "failureThreshold": 6},
    }


def container(subject: Subject, share: Share) -> dict[str, Any]:
    """The engine."""
    return {
        "name": "server",
        "image": subject.image,
        "args": arguments(subject),
        "env": environment(subject),
        "ports": [{"name": "http", "containerPort": subject.wishes.port}],
        "resources": resources(subject, share),
        **probes(subject),
        # Requests that still come are answered before the server is told to end.
        "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVING}}},
        "securityContext": within(subject),
        "volumeMounts": mounts(subject, share.shared_memory)[1],
    }


def within(subject: Subject) -> dict[str, Any]:
    """What a container may do; an image that runs as root keeps root's rights over files."""
    least: dict[str, Any] = {"allowPrivilegeEscalation": False}
    if subject.user is None:
        return least
    return {**least, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}


def pod(subject: Subject, containers: list[dict[str, Any]], share: Share) -> dict[str, Any]:
    """A pod's specification.

    No service links: Kubernetes would set variables by the names of services, and ``VLLM_PORT`` of a service called
    vllm is read by vLLM. No service account's token: nothing here talks to Kubernetes.
    """
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if subject.user is not None:
        security |= {"runAsUser": subject.user, "runAsGroup": 0, "fsGroup": 0}
        security["fsGroupChangePolicy"] = "OnRootMismatch"  # not every file of a large volume at every start
    made: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "terminationGracePeriodSeconds": _LEAVING + subject.longest_answer,
    }
    if share.gpus:
        made["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        if affinity := on_that_card(subject):
            made["affinity"] = affinity
    if not subject.from_hub:
        made["initContainers"] = [_wait(subject, containers[0]["image"])]
    return {**made, "containers": containers, "volumes": mounts(subject, share.shared_memory)[0]}


def _wait(subject: Subject, image: str) -> dict[str, Any]:
    """Before the engine: until the model lies in the volume, copied there or left there by a Job."""
    script = doubled('until [ -e "$1" ]; do sleep 10; done')
    return {
        "name": "model",
        "image": image,
        "command": ["sh", "-c", script, "model", doubled(subject.mounted)],
        "securityContext": within(subject),
        "volumeMounts": [{"name": "models", "mountPath": MODELS, "readOnly": True}],
    }


def _room(subject: Subject) -> int:
    """Size of the volume [GiB]; beside a model that a Job is to quantise there is room for the original in 16 bit."""
    original = 0 if subject.from_hub else math.ceil(1.1 * 2 * subject.plan.model.parameters / GIB)
    return max(1, subject.disk) + (original if subject.plan.deployment.quantization else 0)


def volume_claim(subject: Subject) -> dict[str, Any]:
    """A volume that pods of several nodes mount at once: ReadWriteMany, or a second replica would wait forever."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(subject, claim(subject)),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": f"{_room(subject)}Gi"}},
        },
    }


def configuration(subject: Subject) -> list[dict[str, Any]]:
    """The engine's own files as a ConfigMap, where it has any."""
    if not subject.configuration:
        return []
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(subject, f"{subject.name}-configuration"),
            "data": {file.path: file.text for file in subject.configuration},
        }
    ]


def service(subject: Subject, selector: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One address for all replicas."""
    port = {"name": "http", "port": subject.wishes.port, "targetPort": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(subject),
        "spec": {"selector": dict(selector or labels(subject)), "ports": [port]},
    }
