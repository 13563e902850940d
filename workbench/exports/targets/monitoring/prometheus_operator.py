"""The same for Prometheus' operator on Kubernetes: what to collect, and the same rules, as objects of the cluster."""

from __future__ import annotations

from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects
from workbench.exports.targets.monitoring import _watch, prometheus
from workbench.exports.writing import as_yaml

_API = "monitoring.coreos.com/v1"


def _monitor(subject: Subject) -> dict[str, Any]:
    """Collects every pod behind the Service; the job is called like the Service, as the rules have it."""
    endpoint: dict[str, Any] = {"port": "http", "path": subject.server.metrics, "interval": "15s"}
    if subject.server.metrics_key:
        held = {"name": _objects.secret(subject), "key": subject.key}
        endpoint["authorization"] = {"type": "Bearer", "credentials": held}
    return {
        "apiVersion": _API,
        "kind": "ServiceMonitor",
        "metadata": _objects.metadata(subject),
        "spec": {"selector": {"matchLabels": _objects.labels(subject)}, "endpoints": [endpoint]},
    }


def _rules(subject: Subject) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "PrometheusRule",
        "metadata": _objects.metadata(subject),
        "spec": prometheus.rules(subject),
    }


def files(subject: Subject) -> list[File]:
    """Both objects in one file."""
    text = as_yaml(_monitor(subject), _rules(subject))
    return [File("prometheus/operator.yaml", "kubernetes", text, language="yaml")]


def steps(subject: Subject) -> list[str]:
    """Apply them, and the label that many installations ask for."""
    return [
        "Install Prometheus' operator (its Helm chart is kube-prometheus-stack), then "
        "`kubectl apply --filename prometheus/operator.yaml`.",
        "kube-prometheus-stack takes only objects labelled with its own release, unless told otherwise: "
        f"`kubectl label --namespace {subject.wishes.namespace} servicemonitor/{subject.name} "
        f"prometheusrule/{subject.name} release=NAME`.",
    ]


TARGET = Target(
    id="prometheus-operator",
    title="Prometheus' operator",
    about="A ServiceMonitor and a PrometheusRule with the same alerts, for Kubernetes.",
    files=files,
    steps=steps,
    obstacle=_watch.obstacle,
    source="https://prometheus-operator.dev/docs/api-reference/api/",
    without=_watch.blind(),
)
