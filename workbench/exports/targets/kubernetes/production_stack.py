"""Values of the Helm chart of vLLM's production stack: servers, a router before them, their metrics.

Chart 0.1.12, github:vllm-project/production-stack helm/values.yaml, helm/values.schema.json and
helm/templates/deployment-vllm-multi.yaml@a6c01db. What the templates do with the values was read there: with a
``vllmConfig`` prefix caching is off unless it is switched on; ``/dev/shm`` is mounted where ``tensorParallelSize`` is
given; the volume is seen as ``/data``; words are quoted, and dollars left to Kubernetes.
"""

from __future__ import annotations

import math
from typing import Any

from workbench.exports import containers
from workbench.exports.containers import doubled
from workbench.exports.file import File
from workbench.exports.subject import CACHE, MODELS, Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.kubernetes import _objects, _steps
from workbench.exports.writing import as_yaml

CHART = "0.1.12"
#: Where the chart mounts its volume; after how long it calls a rollout failed [s], which no value changes.
_DATA, _DEADLINE = "/data", 1200
_FOLDER = "kubernetes/production-stack"


def files(subject: Subject) -> list[File]:
    """Values, and the script that makes the Secret they name."""
    return [
        File(
            f"{_FOLDER}/values.yaml", "helm-values", as_yaml(values(subject)), "yaml", version=containers.vllm(subject)
        ),
        *_steps.secret(subject, _FOLDER),
    ]


def values(subject: Subject) -> dict[str, Any]:
    """Values of the chart."""
    port = subject.wishes.port
    probe = {"periodSeconds": _objects.PERIOD, "httpGet": {"path": subject.server.health, "port": port}}
    tries = math.ceil(subject.first_start_seconds / _objects.PERIOD)
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if subject.user is not None:
        security |= {"runAsUser": subject.user, "runAsGroup": 0, "fsGroup": 0}
    return {
        "servingEngineSpec": {
            "runtimeClassName": "",
            "containerPort": port,
            "vllmApiKey": {"secretName": _objects.secret(subject), "secretKey": subject.key},
            "startupProbe": {**probe, "failureThreshold": tries},
            "readinessProbe": {**probe, "failureThreshold": 2},
            "livenessProbe": {**probe, "failureThreshold": 6},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "securityContext": security,
            "containerSecurityContext": _objects.within(subject),
            "modelSpec": [model(subject)],
        }
    }


def model(subject: Subject) -> dict[str, Any]:
    """The one model and its servers."""
    repository, _, tag = subject.image.rpartition(":")
    memory = f"{max(1, subject.host_memory)}Gi"
    made: dict[str, Any] = {
        "name": subject.name,
        "repository": repository,
        "tag": tag,
        "modelURL": doubled(subject.mounted if subject.from_hub else _DATA + subject.mounted.removeprefix(MODELS)),
        "replicaCount": subject.wishes.replicas,
        "requestCPU": subject.cores,
        "requestMemory": memory,
        "requestGPU": subject.gpus,
        "limitMemory": memory,
        "pvcStorage": f"{max(1, subject.disk)}Gi",
        "pvcAccessMode": ["ReadWriteMany"],
        "shmSize": f"{subject.shared_memory}Gi",
        "vllmConfig": _settings(subject),
        "env": _environment(subject),
    }
    if subject.plan.card.slice_of:
        made["requestGPUType"] = _objects.gpu_resource(subject)
    if affinity := _objects.on_that_card(subject):
        terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        made["nodeSelectorTerms"] = terms
    if subject.gpus:
        made["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return made


def _settings(subject: Subject) -> dict[str, Any]:
    """Flags: the two that the chart must know of by their names, the others as they are."""
    words = subject.arguments[1 : -len(subject.server.address("", 0))]
    others: list[str] = []
    tensor, caching, skip = 1, True, False
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if skip:
            skip = False
        elif word == "--tensor-parallel-size":
            tensor, skip = int(after), True
        elif word in ("--enable-prefix-caching", "--no-enable-prefix-caching"):
            caching = word == "--enable-prefix-caching"
        else:
            others.append(doubled(word))
    return {"tensorParallelSize": tensor, "enablePrefixCaching": caching, "extraArgs": others}


def _environment(subject: Subject) -> list[dict[str, Any]]:
    """The engine's variables but for the key, which the chart sets; what is fetched goes where the volume is."""
    found = [one for one in _objects.environment(subject) if one["name"] not in subject.secrets]
    return [{**one, "value": _DATA} if one.get("value") == CACHE else one for one in found]


def obstacle(subject: Subject) -> str | None:
    """What the chart has no value for."""
    if "@" in subject.image:
        return "image has a digest, which the chart cannot take: it puts repository and tag together"
    if subject.image and ":" not in subject.image.rpartition("/")[2]:
        return "image has no tag, which the chart needs"
    return containers.obstacle(subject)


def steps(subject: Subject) -> list[str]:
    """The chart by its version, the Secret before it."""
    space = subject.wishes.namespace
    helm = f"helm upgrade --install {subject.name} vllm/vllm-stack --version {CHART} --namespace {space}"
    steps = [
        "Instead of the Deployment: this chart brings its own, with a router before it.",
        *_steps.before(subject, _FOLDER),
        "`helm repo add vllm https://vllm-project.github.io/production-stack`",
        f"`{helm} --values {_FOLDER}/values.yaml`",
        "Set `runtimeClassName: nvidia` where the cluster's nodes do not run containers by NVIDIA's runtime already.",
    ]
    if not subject.from_hub:
        steps.append(f"Copy the checkpoint into the chart's volume, which the servers see as `{_DATA}`.")
    if subject.first_start_seconds > _DEADLINE:
        steps.append(f"The chart calls a rollout failed after {_DEADLINE} s; this start may take longer, and goes on.")
    return steps


TARGET = Target(
    id="production-stack",
    title="vLLM's production stack (Helm)",
    about="Values of the Helm chart of vLLM's production stack: the servers and a router in front of them.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.vllm.ai/projects/production-stack/en/latest/deployment/helm.html",
    without=only("vllm", because="the chart starts vLLM alone"),
)
