"""A KEDA ScaledObject: the same scaling as the HorizontalPodAutoscaler's, without Prometheus' adapter.

Fields: github:kedacore/keda apis/keda/v1alpha1/scaledobject_types.go and pkg/scalers/prometheus_scaler.go@8b4f083.
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects, _scaling
from workbench.exports.writing import as_yaml

#: Where the Prometheus operator's own service is, in the namespace its charts are usually put into.
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"


def files(subject: Subject) -> list[File]:
    """One object."""
    return [File("kubernetes/keda.yaml", "kubernetes", as_yaml(scaled_object(subject)), language="yaml")]


def scaled_object(subject: Subject) -> dict[str, Any]:
    """Sums over the pods, which KEDA divides by their number; names in the queries are DNS labels, nothing to quote."""
    series = subject.server.series
    pods = f'{{namespace="{subject.wishes.namespace}",pod=~"{subject.name}-.+"}}'
    targets = {series.waiting: str(_scaling.waiting(subject))}
    if series.kv_cache_usage:
        targets[series.kv_cache_usage] = f"{_scaling.CACHE:g}"
    triggers = [
        {
            "type": "prometheus",
            "metricType": "AverageValue",
            "metadata": {
                "serverAddress": PROMETHEUS,
                "query": f"sum(avg_over_time({name}{pods}[1m]))",
                "threshold": value,
            },
        }
        for name, value in targets.items()
    ]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _objects.metadata(subject),
        "spec": {
            "scaleTargetRef": {"name": subject.name},
            "minReplicaCount": subject.wishes.replicas,
            "maxReplicaCount": _scaling.most(subject),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _scaling.behavior(subject)}},
            "triggers": triggers,
        },
    }


def steps(subject: Subject) -> list[str]:
    """KEDA must be there."""
    return [
        "Choose this or the HorizontalPodAutoscaler, never both. KEDA must be in the cluster "
        "(https://keda.sh/docs/latest/deploy/).",
        f"Replace `{PROMETHEUS}` in `kubernetes/keda.yaml` by your Prometheus, which must scrape the pods and keep "
        "their labels `namespace` and `pod`.",
        _scaling.hand_over(subject),
        "`kubectl apply --filename kubernetes/keda.yaml`",
    ]


TARGET = Target(
    id="kubernetes-keda",
    title="KEDA",
    about="More replicas when requests wait or the KV cache fills up, by KEDA from Prometheus.",
    files=files,
    steps=steps,
    obstacle=containers.obstacle,
    source="https://keda.sh/docs/latest/scalers/prometheus/",
    without=_scaling.WITHOUT,
)
