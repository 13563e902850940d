"""Prometheus: what it collects, and when it wakes somebody.

Written for Prometheus 2.42 (Debian 12) and later, 3 included.
"""

from __future__ import annotations

from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.monitoring import _watch
from workbench.exports.writing import as_yaml

#: NVIDIA's exporter of its cards' figures, and its port (github:NVIDIA/dcgm-exporter).
GPUS, GPUS_PORT = "dcgm-exporter", 9400
#: Where the key is read from, beside the configuration, by engines that show metrics only with it.
KEY_FILE = "keys/engine"
COST = "llm:usd_per_million_output_tokens:rate1h"


def obstacle(subject: Subject) -> str | None:
    """Times that are endless, ports that are not there, a name that is another job's."""
    if subject.name == GPUS:
        return f"name is {GPUS}, which is the name of the GPUs' own exporter"
    return _watch.obstacle(subject)


def has_gpus(subject: Subject) -> bool:
    """Whether there are cards that NVIDIA's exporter can tell of."""
    return subject.gpus > 0 and subject.plan.card.vendor == "NVIDIA"


def _configuration(subject: Subject) -> dict[str, Any]:
    engine: dict[str, Any] = {"job_name": subject.name, "metrics_path": subject.server.metrics}
    if subject.server.metrics_key:
        engine["authorization"] = {"type": "Bearer", "credentials_file": KEY_FILE}
    jobs = [{**engine, "static_configs": [{"targets": subject.addresses}]}]
    if has_gpus(subject):
        jobs.append({"job_name": GPUS, "static_configs": [{"targets": [f"127.0.0.1:{GPUS_PORT}"]}]})
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
        "scrape_configs": jobs,
    }


def rules(subject: Subject) -> dict[str, Any]:
    """Groups of rules, as a rule file and a PrometheusRule have them."""
    recorded = [{"record": COST, "expr": usd}] if (usd := _watch.usd(subject)) else []
    watching = {"name": f"{subject.name}-alerts", "rules": [alert.to_dict() for alert in _watch.alerts(subject)]}
    counted = [{"name": f"{subject.name}-cost", "rules": recorded}] if recorded else []
    return {"groups": [watching, *counted]}


def files(subject: Subject) -> list[File]:
    """The configuration, and the rules beside it."""
    head = (
        "# Put each replica's own address into targets if it runs elsewhere, and the Alertmanager's below alerting.\n"
    )
    return [
        File("prometheus/prometheus.yml", "prometheus", head + as_yaml(_configuration(subject)), language="yaml"),
        File("prometheus/rules.yml", "prometheus-rules", as_yaml(rules(subject)), language="yaml"),
    ]


def steps(subject: Subject) -> list[str]:
    """Addresses, key, exporters, start."""
    key = (
        [f"Write the engine's key into `prometheus/{KEY_FILE}`, mode 600: {subject.engine} shows metrics to no other."]
        if subject.server.metrics_key
        else []
    )
    gpus = (
        [
            f"Run NVIDIA's dcgm-exporter on each machine with GPUs, or take the job `{GPUS}` out: without it the GPUs' "
            "figures are missing, the engine's are not."
        ]
        if has_gpus(subject)
        else []
    )
    uncounted = (
        []
        if _watch.share_failing(subject)
        else [f"{subject.engine} does not count failed requests: watch them at the proxy."]
    )
    return [
        "Put the replicas' and the Alertmanager's addresses into `prometheus/prometheus.yml`.",
        *key,
        *gpus,
        "Try it by `promtool check config prometheus/prometheus.yml`, start it by "
        "`prometheus --config.file prometheus/prometheus.yml`.",
        *uncounted,
    ]


TARGET = Target(
    id="prometheus",
    title="Prometheus",
    about="What to collect of the engine, alerts whose figures are the plan's, and what a million tokens cost.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://prometheus.io/docs/prometheus/latest/configuration/configuration/",
    without=_watch.blind(),
)
