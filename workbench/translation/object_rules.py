"""What is wrong with Kubernetes objects around an inference server, found and mended in plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from workbench.translation.faults import Fault, Path
from workbench.translation.pod_rules import items_of, mapping_of, quantity

Document = dict[str, Any]

#: Kinds that make pods of a template.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
#: Each engine's series of requests that wait, as the custom metrics API calls them: a name is part of a path there.
WAITING = {
    "vllm": "vllm_num_requests_waiting",
    "llama.cpp": "llamacpp_requests_deferred",
    "tgi": "tgi_queue_size",
    "sglang": "sglang_num_queue_reqs",
}
#: Requests that may wait for each replica before another comes. Our judgement.
_WAITING_REQUESTS = "10"
#: Requests a second that no replica of a language model answers. Our judgement.
_MOST_REQUESTS = 100
_REWRITE = "nginx.ingress.kubernetes.io/rewrite-target"


def faults(document: Document, engine: str, mounted: Sequence[str]) -> list[Fault]:
    """What every rule finds; the document is mended on the way.

    Parameters
    ----------
    document : dict
    engine : str
        The engine that the text serves with: what an autoscaler beside it can scale by.
    mounted : sequence of str
        Folders that a Job's command names.
    """
    found = [fault for rule in _RULES for fault in rule(document)]
    if document.get("kind") == "HorizontalPodAutoscaler":
        found += _scaling(document, engine)
    if document.get("kind") == "Job":
        found += _paths(document, mounted)
    return found


def _selector(document: Document) -> Iterator[Fault]:
    """Labels of a template that its own selector selects."""
    spec = mapping_of(document.get("spec"))
    wanted = mapping_of(mapping_of(spec.get("selector")).get("matchLabels"))
    template = spec.get("template")
    if document.get("kind") not in WORKLOADS or not wanted or not isinstance(template, dict):
        return
    metadata = mapping_of(template.get("metadata"))
    labels = mapping_of(metadata.get("labels"))
    missing = {name: value for name, value in wanted.items() if labels.get(name) != value}
    if missing:
        metadata["labels"] = {**labels, **missing}
        spec["template"] = {"metadata": metadata, **{key: template[key] for key in template if key != "metadata"}}
        becomes = ", ".join(f"{name}: {value}" for name, value in missing.items())
        path = ("spec", "template", "metadata", "labels") if labels else ("spec", "template")
        yield Fault(path, "labels" if labels else "template", "", f"labels {becomes}", "selector_labels")


def _restart(document: Document) -> Iterator[Fault]:
    pod = mapping_of(mapping_of(mapping_of(document.get("spec")).get("template")).get("spec"))
    if document.get("kind") != "Job" or not pod or pod.get("restartPolicy") in ("Never", "OnFailure"):
        return
    given = str(pod.pop("restartPolicy", ""))
    kept = dict(pod)
    pod.clear()
    pod.update({"restartPolicy": "Never", **kept})
    path: Path = ("spec", "template", "spec", "restartPolicy") if given else ("spec", "template", "spec")
    yield Fault(path, "restartPolicy" if given else "spec", given, "restartPolicy: Never", "job_restart")


def _paths(document: Document, mounted: Sequence[str]) -> Iterator[Fault]:
    """Folders that a Job reads and writes, each a claim of its name where none is mounted."""
    pod = mapping_of(mapping_of(mapping_of(document["spec"]).get("template")).get("spec"))
    for number, container in enumerate(items_of(pod.get("containers"))):
        mounts = items_of(container.get("volumeMounts"))
        there = [str(mount.get("mountPath", "")) for mount in mounts]
        for folder in dict.fromkeys("/" + path.split("/")[1] for path in mounted if path.count("/") > 1):
            if any(folder == path or folder.startswith(path.rstrip("/") + "/") for path in there):
                continue
            name = folder.strip("/").replace("_", "-").casefold()
            mounts.append({"name": name, "mountPath": folder})
            claim = {"name": name, "persistentVolumeClaim": {"claimName": name}}
            pod["volumes"] = [*items_of(pod.get("volumes")), claim]
            container["volumeMounts"] = mounts
            path: Path = ("spec", "template", "spec", "containers", number, "args")
            yield Fault(path, "args", folder, f"volume {name}", "job_paths", folder)


def _scaling(document: Document, engine: str) -> Iterator[Fault]:
    """An autoscaler by what says that a replica is needed."""
    spec = mapping_of(document.get("spec"))
    waiting = WAITING.get(engine)
    if waiting is None:
        return
    kept, found = [], []
    for number, metric in enumerate(items_of(spec.get("metrics"))):
        path: Path = ("spec", "metrics", number)
        resource = mapping_of(metric.get("resource"))
        pods = mapping_of(metric.get("pods"))
        target = str(mapping_of(pods.get("target")).get("averageValue", ""))
        name = str(mapping_of(pods.get("metric")).get("name", ""))
        if resource.get("name") == "cpu":
            given = f"{mapping_of(resource.get('target')).get('averageUtilization', '')}"
            found.append(Fault(path, "cpu", given, waiting, "scale_processor"))
        elif "requests_per_second" in name and quantity(target) >= _MOST_REQUESTS:
            found.append(Fault(path, name, target, waiting, "scale_requests", target))
        else:
            kept.append(metric)
    if found:
        aimed = {"type": "AverageValue", "averageValue": _WAITING_REQUESTS}
        made = {"type": "Pods", "pods": {"metric": {"name": waiting}, "target": aimed}}
        spec["metrics"] = [*kept, *([] if {"name": waiting} in _named(kept) else [made])]
    yield from found


def _named(metrics: Sequence[dict[str, Any]]) -> list[Any]:
    return [mapping_of(metric.get("pods")).get("metric") for metric in metrics]


def _rewrite(document: Document) -> Iterator[Fault]:
    """Where an Ingress of ingress-nginx sends requests to."""
    annotations = mapping_of(mapping_of(document.get("metadata")).get("annotations"))
    target = annotations.get(_REWRITE)
    if document.get("kind") != "Ingress" or not isinstance(target, str) or "$" in target:
        return
    rules = items_of(mapping_of(document.get("spec")).get("rules"))
    paths = {str(one.get("path", "/")) for rule in rules for one in items_of(mapping_of(rule.get("http")).get("paths"))}
    del annotations[_REWRITE]
    rule = "rewrite_same" if paths <= {target} else "rewrite_all"
    yield Fault(("metadata", "annotations", _REWRITE), _REWRITE, target, "", rule, target)


_RULES: tuple[Callable[[Document], Iterator[Fault]], ...] = (_selector, _restart, _rewrite)
