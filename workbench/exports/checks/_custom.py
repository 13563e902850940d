"""Kinds that other projects add to Kubernetes: which fields they have, as far as the targets write them.

No schema, only what was read in the projects' sources: github:kedacore/keda apis/keda/v1alpha1@8b4f083,
github:ray-project/kuberay ray-operator/apis/ray/v1@feeaf72, github:kubernetes-sigs/lws api/leaderworkerset/v1@060ab4d,
https://gateway-api.sigs.k8s.io/reference/spec/, github:prometheus-operator/prometheus-operator
pkg/apis/monitoring/v1.
"""

from __future__ import annotations

from typing import Any

#: Kind -> group and version, fields that its ``spec`` must have, and others it may have.
_KINDS: dict[str, tuple[str, set[str], set[str]]] = {
    "ScaledObject": (
        "keda.sh/v1alpha1",
        {"scaleTargetRef", "triggers"},
        {"pollingInterval", "initialCooldownPeriod", "cooldownPeriod", "idleReplicaCount", "minReplicaCount",
         "maxReplicaCount", "advanced", "fallback"},
    ),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", {"parentRefs", "rules"}, {"hostnames"}),
    "RayService": (
        "ray.io/v1",
        {"rayClusterConfig", "serveConfigV2"},
        {"serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold", "serveService", "upgradeStrategy",
         "excludeHeadPodFromServeSvc", "rayClusterDeletionDelaySeconds", "suspend", "managedBy"},
    ),
    "LeaderWorkerSet": (
        "leaderworkerset.x-k8s.io/v1",
        {"leaderWorkerTemplate"},
        {"replicas", "rolloutStrategy", "startupPolicy", "networkConfig"},
    ),
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}, {
        "jobLabel", "targetLabels", "podTargetLabels", "namespaceSelector", "sampleLimit", "attachMetadata"}),
    "PodMonitor": ("monitoring.coreos.com/v1", {"selector", "podMetricsEndpoints"}, {
        "jobLabel", "podTargetLabels", "namespaceSelector", "sampleLimit", "attachMetadata"}),
    "PrometheusRule": ("monitoring.coreos.com/v1", {"groups"}, set()),
}  # fmt: skip
#: Variables that LeaderWorkerSet gives every container before its own.
INJECTED = {"LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"}


def is_custom(document: dict[str, Any]) -> bool:
    """Whether another project than Kubernetes adds this kind.

    >>> is_custom({"apiVersion": "apps/v1"}), is_custom({"apiVersion": "keda.sh/v1alpha1"})
    (False, True)
    """
    group = str(document["apiVersion"]).rpartition("/")[0]
    return bool(group) and "." in group and (not group.endswith(".k8s.io") or group.startswith("gateway."))


def wrong(document: dict[str, Any]) -> str:
    """What is not as the project has it; "" if nothing is seen."""
    kind, spec = document["kind"], document.get("spec")
    if kind not in _KINDS:
        return f"{kind} is no kind that is known here"
    api, must, may = _KINDS[kind]
    if document["apiVersion"] != api:
        return f"{kind} is of {api}, not of {document['apiVersion']}"
    if not isinstance(spec, dict):
        return f"{kind} has no spec"
    if missing := must - set(spec):
        return f"spec has no {', '.join(sorted(missing))}"
    if unknown := set(spec) - must - may:
        return f"spec has no field called {', '.join(sorted(unknown))}"
    return _INSIDE[kind](spec) if kind in _INSIDE else ""


def _scaled(spec: dict[str, Any]) -> str:
    for trigger in spec["triggers"]:
        held = trigger.get("metadata", {})
        if trigger.get("type") != "prometheus" or not {"serverAddress", "query", "threshold"} <= set(held):
            return "a trigger is not Prometheus' with serverAddress, query and threshold"
        if not all(isinstance(value, str) for value in held.values()):
            return "values of a trigger's metadata must be text"
    if spec.get("minReplicaCount", 0) > spec.get("maxReplicaCount", 100):
        return "minReplicaCount is above maxReplicaCount"
    return ""


def _ray(spec: dict[str, Any]) -> str:
    import yaml

    try:
        applications = yaml.safe_load(spec["serveConfigV2"])["applications"]
    except (yaml.YAMLError, KeyError, TypeError):
        return "serveConfigV2 is no YAML with applications"
    if not all({"name", "import_path"} <= set(one) for one in applications):
        return "an application of serveConfigV2 has no name or import_path"
    if "headGroupSpec" not in spec["rayClusterConfig"]:
        return "rayClusterConfig has no headGroupSpec"
    return ""


def keywords(document: dict[str, Any]) -> list[list[str]]:
    """Names of the engine's keywords in each model of a sound RayService."""
    import yaml

    if document["kind"] != "RayService" or wrong(document):
        return []
    applications = yaml.safe_load(document["spec"]["serveConfigV2"])["applications"]
    models = [model for one in applications for model in one.get("args", {}).get("llm_configs", [])]
    return [list(model.get("engine_kwargs", {})) for model in models]


def _workers(spec: dict[str, Any]) -> str:
    template = spec["leaderWorkerTemplate"]
    if not isinstance(template.get("size"), int) or "workerTemplate" not in template:
        return "leaderWorkerTemplate has no size or no workerTemplate"
    return ""


_INSIDE = {"ScaledObject": _scaled, "RayService": _ray, "LeaderWorkerSet": _workers}


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Pods that a custom object makes, as core objects."""
    spec = document.get("spec") or {}
    templates = []
    if document["kind"] == "RayService":
        cluster = spec.get("rayClusterConfig", {})
        groups = [cluster.get("headGroupSpec", {}), *cluster.get("workerGroupSpecs", [])]
        templates = [group.get("template", {}) for group in groups]
    if document["kind"] == "LeaderWorkerSet":
        held = spec.get("leaderWorkerTemplate", {})
        templates = [held[name] for name in ("leaderTemplate", "workerTemplate") if name in held]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "made-by-it", **template.get("metadata", {})},
            "spec": template.get("spec", {}),
        }
        for template in templates
    ]
