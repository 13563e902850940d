"""vLLM over several machines of a Kubernetes cluster by Ray Serve: a RayService, which KubeRay's operator runs.

Ray's images hold the one release of vLLM that this Ray was made for (``data/engines/ray_llm.csv``); a plan for another
is refused rather than run by one it was not made for. Fields: github:ray-project/kuberay
ray-operator/apis/ray/v1@feeaf72 and ray-operator/config/samples/ray-service.deepseek.yaml; arguments:
https://docs.ray.io/en/latest/serve/llm/.
"""

from __future__ import annotations

from typing import Any

from workbench.datafiles import read_rows
from workbench.exports.containers import is_image, vllm
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.cluster import _machines
from workbench.exports.targets.engine.vllm import arguments, options
from workbench.exports.targets.kubernetes import _objects, _steps
from workbench.exports.writing import as_yaml

_FOLDER = "cluster/kuberay"
#: Of Ray Serve; the user that Ray's images run as, and its group.
_PORT, _USER, _GROUP = 8000, 1000, 100


def _ray(subject: Subject) -> dict[str, str] | None:
    """The newest release of Ray made for the planned vLLM."""
    rows = read_rows("engines/ray_llm.csv")
    return next((row for row in rows if row["vllm"] == subject.plan.engine_version), None)


def files(subject: Subject) -> list[File]:
    """The objects, and the scripts beside them."""
    documents = [_objects.volume_claim(subject), service(subject)]
    return [
        File(f"{_FOLDER}/rayservice.yaml", "kubernetes", as_yaml(*documents), "yaml", version=vllm(subject)),
        *(_steps.secret(subject, _FOLDER) if subject.token else []),
        *_steps.filling(subject, _FOLDER),
    ]


def application(subject: Subject) -> dict[str, Any]:
    """What Ray Serve runs: the plan's settings as keywords of vLLM's engine."""
    keywords = {name: value for name, value in arguments(subject.words).items() if name != "model"}
    called = options(subject.words).get("served-model-name", subject.plan.model.id)
    model = {"model_id": called, "model_source": subject.mounted}
    return {
        "name": subject.name,
        "import_path": "ray.serve.llm:build_openai_app",
        "route_prefix": "/",
        "args": {
            "llm_configs": [
                {
                    "model_loading_config": model,
                    "engine_kwargs": {**keywords, "distributed_executor_backend": "ray"},
                    "deployment_config": {"num_replicas": subject.wishes.replicas},
                    "runtime_env": {"env_vars": dict(subject.variables)},
                }
            ]
        },
    }


def service(subject: Subject) -> dict[str, Any]:
    """A cluster of a head, which computes nothing, and a worker for each machine of each replica."""
    share = _machines.share(subject)
    number = subject.machines * subject.wishes.replicas
    head = {"name": "ray-head", **_container(subject, _objects.Share(0, share.memory, share.shared_memory, 2))}
    head["ports"] = [
        {"name": "gcs-server", "containerPort": 6379},
        {"name": "dashboard", "containerPort": 8265},
        {"name": "serve", "containerPort": _PORT},
    ]
    worker = {"name": "ray-worker", **_container(subject, share)}
    ray = _ray(subject)
    cluster: dict[str, Any] = {"rayVersion": ray["ray"]} if ray and not subject.wishes.image else {}
    cluster |= {
        "headGroupSpec": {
            "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0", "num-gpus": "0"},
            "template": {"spec": _pod(subject, head, _objects.Share(0, 0, share.shared_memory, 0))},
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpus",
                "replicas": number,
                "minReplicas": number,
                "maxReplicas": number,
                "rayStartParams": {},
                "template": {"spec": _pod(subject, worker, share)},
            }
        ],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": _objects.metadata(subject),
        "spec": {"serveConfigV2": as_yaml({"applications": [application(subject)]}), "rayClusterConfig": cluster},
    }


def _image(subject: Subject) -> str:
    ray = _ray(subject)
    return subject.wishes.image or (ray["image"] if ray else "")


def _container(subject: Subject, share: _objects.Share) -> dict[str, Any]:
    """One of Ray's; KubeRay gives it its command and its probes."""
    environment = [one for one in _objects.environment(subject) if one["name"] not in subject.secrets]
    return {
        "image": _image(subject),
        "env": environment,
        "resources": _objects.resources(subject, share),
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": _objects.mounts(subject, share.shared_memory)[1],
    }


def _pod(subject: Subject, container: dict[str, Any], share: _objects.Share) -> dict[str, Any]:
    """A pod; the operator's own container needs its account's token, and Ray's user the volume."""
    made = _objects.pod(subject, [container], share)
    kept = ("tolerations", "affinity", "initContainers", "containers", "volumes")
    security = {"fsGroup": _GROUP, "fsGroupChangePolicy": "OnRootMismatch"}
    return {"enableServiceLinks": False, "securityContext": security, **{k: made[k] for k in kept if k in made}}


def obstacle(subject: Subject) -> str | None:
    """One machine, or a vLLM that no Ray was made for."""
    if why := _machines.obstacle(subject):
        return why
    if not _image(subject):
        known = ", ".join(row["vllm"] for row in read_rows("engines/ray_llm.csv"))
        return (
            f"engine_version is {subject.plan.engine_version}; Ray's images hold vLLM {known}: plan one of these, or "
            "give an image that holds Ray and the planned one (image)"
        )
    return None if is_image(_image(subject)) else f"image is {_image(subject)!r}, which is no image's reference"


def steps(subject: Subject) -> list[str]:
    """The operator first."""
    name, space = subject.name, subject.wishes.namespace
    return [
        "KubeRay's operator must be in the cluster "
        "(https://docs.ray.io/en/latest/cluster/kubernetes/getting-started/kuberay-operator-installation.html), and a "
        "storage class whose volumes several nodes can mount.",
        *([f"For a gated model put {subject.token} and a key into the environment and run `{_FOLDER}/secret.sh`."]
          if subject.token else []),
        f"`kubectl apply --filename {_FOLDER}/rayservice.yaml` starts a head and "
        f"{subject.machines * subject.wishes.replicas} workers with {_machines.gpus(subject)} GPUs each.",
        *_steps.filled(subject, _FOLDER),
        f"`kubectl get rayservice {name} --namespace {space}` tells when it runs; then `{name}-serve-svc` answers on "
        f"port {_PORT}.",
        "Ray Serve asks clients for no key and its dashboard runs anything for whoever reaches it: let in only a "
        "gateway that asks for one.",
    ]  # fmt: skip


TARGET = Target(
    id="kuberay",
    title="RayService (KubeRay)",
    about="vLLM over several machines of a Kubernetes cluster by Ray Serve, run by KubeRay's operator.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.ray.io/en/latest/cluster/kubernetes/examples/rayserve-llm-example.html",
    without=only("vllm", because=_machines.OTHERS),
)
