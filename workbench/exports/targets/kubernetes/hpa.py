"""A HorizontalPodAutoscaler on the engine's own series, and the rules by which Prometheus' adapter serves them.

Kubernetes asks its custom metrics API, which knows nothing of Prometheus; the adapter does (its rules:
https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md).
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects, _scaling
from workbench.exports.writing import as_yaml


def files(subject: Subject) -> list[File]:
    """The autoscaler, and values of the adapter's Helm chart."""
    return [
        File("kubernetes/hpa.yaml", "kubernetes", as_yaml(autoscaler(subject)), language="yaml"),
        File("kubernetes/prometheus-adapter.yaml", "yaml", as_yaml(adapter(subject))),
    ]


def _named(series: str) -> str:
    """A series as the custom metrics API is to call it: its names are parts of a path."""
    return series.replace(":", "_")


def _targets(subject: Subject) -> dict[str, str]:
    """Series -> the mean over all replicas that is aimed at, as Kubernetes writes quantities."""
    series = subject.server.series
    found = {series.waiting: str(_scaling.waiting(subject))}
    if series.kv_cache_usage:
        found[series.kv_cache_usage] = f"{round(1000 * _scaling.CACHE)}m"
    return found


def autoscaler(subject: Subject) -> dict[str, Any]:
    """The larger of what each series asks for."""
    metrics = [
        {
            "type": "Pods",
            "pods": {"metric": {"name": _named(name)}, "target": {"type": "AverageValue", "averageValue": value}},
        }
        for name, value in _targets(subject).items()
    ]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _objects.metadata(subject),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": subject.name},
            "minReplicas": subject.wishes.replicas,
            "maxReplicas": _scaling.most(subject),
            "metrics": metrics,
            "behavior": _scaling.behavior(subject),
        },
    }


def adapter(subject: Subject) -> dict[str, Any]:
    """Each series by namespace and pod, a mean over a minute, lest one long queue start three servers."""
    rules = [
        {
            "seriesQuery": f'{name}{{namespace!="",pod!=""}}',
            "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
            "name": {"matches": f"^{name}$", "as": _named(name)},
            "metricsQuery": "sum(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)",
        }
        for name in _targets(subject)
    ]
    return {"rules": {"default": False, "custom": rules}}


def steps(subject: Subject) -> list[str]:
    """The adapter first; without it the autoscaler knows nothing and changes nothing."""
    first = _named(subject.server.series.waiting)
    space = subject.wishes.namespace
    return [
        "Choose this or KEDA, never both. Prometheus must scrape the pods and keep their labels `namespace` and `pod`.",
        "Install Prometheus' adapter with its rules: `helm upgrade --install prometheus-adapter "
        "prometheus-community/prometheus-adapter --values kubernetes/prometheus-adapter.yaml`, its `prometheus.url` "
        "set to yours.",
        f"`kubectl get --raw /apis/custom.metrics.k8s.io/v1beta1/namespaces/{space}/pods/*/{first}` must answer.",
        _scaling.hand_over(subject),
        "`kubectl apply --filename kubernetes/hpa.yaml`",
    ]


TARGET = Target(
    id="kubernetes-hpa",
    title="HorizontalPodAutoscaler",
    about="More replicas when requests wait or the KV cache fills up, by Kubernetes' own autoscaler and Prometheus' "
    "adapter.",
    files=files,
    steps=steps,
    obstacle=containers.obstacle,
    source="https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
    without=_scaling.WITHOUT,
)
