"""Quantisation as Kubernetes Jobs, one for each method that makes the planned scheme, upon the servers' volume.

What runs is the workbench itself, in an image of one's own: the Dockerfile takes a wheel of it and builds the
environments that the methods need, so that a Job fetches nothing but the model. They quantise on a processor, as every
method was tried; none was run on a GPU by us, and neither the image nor a Job was run on a cluster.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from workbench import __version__, builtin, hub
from workbench.architecture import Model
from workbench.errors import WorkbenchError
from workbench.exports.containers import doubled
from workbench.exports.file import File
from workbench.exports.subject import MODELS, TOKEN, Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.kubernetes import _objects
from workbench.exports.writing import as_yaml, command, script
from workbench.formats import checkpoint_scheme
from workbench.formats.gguf_types import TYPES
from workbench.headers import Tensor
from workbench.quantities import GIB
from workbench.quantizers.preflight import memory_needed, suits_gpu
from workbench.quantizers.registry import Method, methods
from workbench.quantizers.source import Source

_FOLDER = "kubernetes/quantize"
_IMAGE, _WHEEL = f"workbench-quantize:{__version__}", f"llm_workbench-{__version__}-py3-none-any.whl"
#: Python that the environments' pins were tried with.
_BASE = "python:3.11-slim-bookworm"
#: Who runs it, and where it keeps its environments in the image.
_USER, _CACHE = 1000, "/opt/workbench"


@lru_cache(maxsize=32)
def _source(model: Model) -> Source:
    """The model as a checkpoint in 16 bit, tensor by tensor, from its configuration alone."""
    tensors = []
    for number, kind in enumerate(model.pattern):
        for weight in model.kinds[kind].weights(model.hidden):
            shape = (weight.outputs, weight.inputs) if weight.inputs else (weight.outputs,)
            size = 2 * math.prod(shape)
            for copy in range(weight.copies):
                name = f"model.layers.{number}.{weight.name}.{copy}.weight"
                tensors.append(Tensor(name, "BF16", shape, size))
    for weight in model.outside:
        shape = (weight.outputs, weight.inputs) if weight.inputs else (weight.outputs,)
        tensors.append(Tensor(f"{weight.name}.weight", "BF16", shape, 2 * math.prod(shape)))
    return Source(Path(model.id), model.config, tuple(tensors))


@lru_cache(maxsize=512)
def _memory(model: Model, id: str) -> int:
    """Host memory of one method [GiB], by the estimate that the workbench makes before it starts.

    A method that looks into the checkpoint's other files for its estimate gets the one for all methods.
    """
    method, source = methods()[id], _source(model)
    parameters = method.check({})
    try:
        needed = memory_needed(source, method, parameters)
    except OSError:
        needed = memory_needed(source, replace(method, memory=None), parameters)
    return math.ceil(needed / GIB)


def chosen(subject: Subject) -> list[Method]:
    """Methods that make the planned scheme, and whose result this engine loads on this card."""
    plan, engine = subject.plan, subject.engine
    asked = plan.deployment.quantization
    runs = "vllm-cpu" if engine == "vllm" and subject.on_cpu else engine
    found = []
    for method in methods().values():
        if runs not in method.engines or (method.model_types and plan.model.model_type not in method.model_types):
            continue
        if asked != method.scheme and not (method.id == "gguf" and str(asked).upper() in TYPES):
            continue
        try:
            suits_gpu(method, None if subject.on_cpu else plan.deployment.gpu)
        except WorkbenchError:
            continue
        found.append(method)
    return found


def _result(subject: Subject, method: Method) -> str:
    """Where the result lies in the volume: the servers' own model where the plan is for such a one."""
    planned = PurePosixPath(subject.mounted).name
    return f"{MODELS}/{f'{subject.name}-{method.id}' if subject.from_hub else planned}"


def _words(subject: Subject, method: Method) -> list[str]:
    """The line of the workbench; a GGUF file is laid where the server looks for it."""
    made = _result(subject, method)
    words = ["workbench", "quantize", subject.plan.model.id, "--download", "--method", method.id]
    if method.id != "gguf":
        return [*words, "--out", made]
    kind = (subject.plan.deployment.quantization or method.scheme).upper()
    folder = f"{made.removesuffix('.gguf')}-made"
    line = shlex.join([*words, "--set", f"type={kind}", "--out", folder])
    target = made if made.endswith(".gguf") else f"{made}.gguf"
    return ["sh", "-c", f"{line} && mv {shlex.quote(folder)}/*.gguf {shlex.quote(target)}"]


def job(subject: Subject, method: Method) -> dict[str, Any]:
    """One Job. It is not tried again: what it was refused for stays, and a result is whole or not there."""
    name = f"{subject.name}-{method.id.replace('_', '-')}"
    environment = [
        {"name": "HF_HOME", "value": f"{MODELS}"},
        {
            "name": TOKEN,
            "valueFrom": {"secretKeyRef": {"name": _objects.secret(subject), "key": TOKEN, "optional": True}},
        },
    ]
    needed = _memory(subject.plan.model, method.id)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": subject.wishes.namespace},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "quantize"}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsUser": _USER,
                        "runAsGroup": 0,
                        "fsGroup": 0,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "quantize",
                            "image": _IMAGE,
                            "args": [doubled(word) for word in _words(subject, method)],
                            "env": environment,
                            "resources": {
                                "requests": {"cpu": "1", "memory": f"{needed}Gi"},
                                "limits": {"memory": f"{needed}Gi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "runAsNonRoot": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": "models", "mountPath": MODELS}],
                        }
                    ],
                    "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": _objects.claim(subject)}}],
                },
            },
        },
    }


def dockerfile(subject: Subject) -> str:
    """The workbench from a wheel, with the environments of the methods that are written."""
    names = {method.environment for method in chosen(subject)}
    if subject.plan.model.id == builtin.NAME:  # it is trained where it is asked for
        names.add("quantize")
    return "\n".join(
        [
            f"FROM {_BASE}",
            "",
            "# The compiler is for llama.cpp and AutoAWQ, which are built from their sources. Debian keeps no older",
            "# version of a package, so none is pinned.",
            "# hadolint ignore=DL3008",
            "RUN apt-get update && apt-get install --yes --no-install-recommends g++ make \\",
            "    && rm -rf /var/lib/apt/lists/* \\",
            f"    && useradd --uid {_USER} --gid 0 --create-home workbench \\",
            f"    && mkdir {_CACHE} && chown {_USER}:0 {_CACHE}",
            "",
            "# Made beforehand from a checkout of the workbench; build.sh says how.",
            f'COPY ["{_WHEEL}", "/tmp/"]',
            f"RUN pip install --no-cache-dir /tmp/{_WHEEL}",
            "",
            f'ENV WORKBENCH_CACHE="{_CACHE}"',
            f"USER {_USER}:0",
            f"RUN workbench doctor --build {' '.join(sorted(names))}",
            "",
        ]
    )  # fmt: skip


def files(subject: Subject) -> list[File]:
    """The image, and a Job for each method."""
    build = "\n".join(
        [
            "# In a checkout of the workbench, before: python -m build --wheel --outdir THIS_FOLDER",
            f'{command(["docker", "build", "--tag", _IMAGE])} "$(dirname "$0")"',
        ]
    )
    made = [
        File(f"{_FOLDER}/{method.id}.yaml", "kubernetes", as_yaml(job(subject, method)), language="yaml")
        for method in chosen(subject)
    ]
    return [
        File(f"{_FOLDER}/Dockerfile", "dockerfile", dockerfile(subject), language="docker"),
        File(f"{_FOLDER}/build.sh", "shell", script(build), executable=True),
        *made,
    ]


def obstacle(subject: Subject) -> str | None:
    """What a Job could not quantise."""
    model = subject.plan.model
    if checkpoint_scheme(model) is not None:
        return f"{model.id} is quantised already"
    if model.id != builtin.NAME and not hub.is_id(model.id):
        return "the model is no id of the hub, from which alone a Job can fetch it"
    asked = subject.plan.deployment.quantization
    if asked is None:
        return "quantization is not set: the model is served as it is; plan the scheme that a Job is to make"
    if not chosen(subject):
        return f"no method of the workbench makes quantization {asked} that {subject.engine} loads on this card"
    return None


def steps(subject: Subject) -> list[str]:
    """Which Job to choose, and how."""
    ids = [method.id for method in chosen(subject)]
    space = subject.wishes.namespace
    name = f"{subject.name}-{ids[0].replace('_', '-')}"
    gated = f"A gated model needs {TOKEN} as a key of the Secret `{_objects.secret(subject)}`."
    steps = [
        f"`{_FOLDER}/build.sh` makes the image `{_IMAGE}` (neither it nor a Job was run on a cluster by us); push it "
        "where the cluster fetches images from, and name it so in the Jobs.",
        "The volume of `kubernetes/server.yaml` must be there: the Jobs fetch the model into it and leave their "
        "result in it.",
        *([] if subject.plan.model.id == builtin.NAME else [gated]),
        f"One of {', '.join(f'`{id}`' for id in ids)}: `kubectl apply --filename {_FOLDER}/{ids[0]}.yaml`, then "
        f"`kubectl logs --follow job/{name} --namespace {space}`.",
    ]
    if subject.from_hub:
        steps.append(
            f"{subject.engine} can quantise this model while it loads it, and does as planned. To serve a Job's result "
            "instead, export again with `model_path` set to its folder's name."
        )
    else:
        steps.append("The result lies where the servers look for it; they start as soon as it does.")
    return steps


TARGET = Target(
    id="kubernetes-quantize",
    title="Quantisation as Kubernetes Jobs",
    about="A Job for each method that makes the planned scheme, on a processor, into the servers' volume.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://kubernetes.io/docs/concepts/workloads/controllers/job/",
    without=only(
        "vllm", "llama.cpp", "sglang", "tgi", "transformers", because="no method of the workbench writes what it loads"
    ),
)
