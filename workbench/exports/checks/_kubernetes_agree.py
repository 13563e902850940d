"""Whether Kubernetes objects agree with each other, which no schema says: selectors, ports, volumes, resources, names.

Only what is among the objects given can be looked at: a claim that another file makes is taken as given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from workbench.exports.checks import _custom

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS = {
    None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
#: Kinds that make pods of a template.
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def quantity(text: str) -> Decimal:
    """A quantity as Kubernetes writes it; ValueError for another.

    >>> quantity("800m"), quantity("2Gi")
    (Decimal('0.800'), Decimal('2147483648'))
    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(text)
    return Decimal(found[1]) * _FACTORS[found[2]]


def references(text: str) -> list[str]:
    """Variables that Kubernetes would put into an argument: ``$(NAME)``, the dollar not doubled.

    >>> references("$(A) $$(B) ${C} $$$(D)")
    ['A', 'D']
    """
    found, at = [], 0
    while (at := text.find("$", at)) >= 0:
        if text.startswith("$$", at):
            at += 2
        elif text.startswith("$(", at) and (end := text.find(")", at)) > 0:
            found.append(text[at + 2 : end])
            at = end + 1
        else:
            at += 1
    return found


def handed(text: str) -> str:
    """An argument as the container gets it, with 0 for what a variable holds.

    >>> handed("a$$(B) $(C)")
    'a$(B) 0'
    """
    return re.sub(r"\$\$|\$\([^)]*\)", lambda found: "$" if found[0] == "$$" else "0", text)


def disagreements(documents: list[dict[str, Any]]) -> list[str]:
    """What is wrong, a sentence each."""
    wrong: list[str] = []
    for document in documents:
        named = f"{document['kind']} {document['metadata'].get('name', '')}"
        wrong += [f"{named}: {why}" for why in _alone(document)]
    if len(spaces := {d["metadata"].get("namespace") for d in documents}) > 1:
        wrong.append(f"objects are in several namespaces: {sorted(map(str, spaces))}")
    return [*wrong, *_together(documents)]


def _alone(document: dict[str, Any]) -> Iterator[str]:
    name = document["metadata"].get("name", "")
    if not isinstance(name, str) or len(name) > 63 or not _NAME.fullmatch(name):
        yield f"its name {name!r} is no DNS name of at most 63 letters"
    if document["kind"] == "Secret" and (document.get("data") or document.get("stringData")):
        yield "a secret is written into the file"
    selector = document["spec"].get("selector") if document["kind"] in _WORKLOADS else None
    if selector and not _matches(selector["matchLabels"], document["spec"]["template"]):
        yield "its selector does not match the labels of its own pods"
    for pod in pods(document):
        yield from _pod(pod["spec"])


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Pods that an object is, or makes."""
    if document["kind"] == "Pod":
        return [document]
    if document["kind"] in _WORKLOADS:
        return [document["spec"]["template"]]
    return _custom.pods(document)


def _pod(pod: dict[str, Any]) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        ports = {port.get("name") for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield f"{probe} asks port {port}, which its container does not have"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"volume {mount['name']} is mounted and not there"
        known = {variable["name"] for variable in container.get("env", [])} | _custom.INJECTED
        values = [variable.get("value", "") for variable in container.get("env", [])]
        for word in (*container.get("command", []), *container.get("args", []), *values):
            for name in references(word):
                if name not in known:
                    yield f"$({name}) in {word!r} is no variable of its container; double its dollar"
        for variable in container.get("env", []):
            if _SECRET.search(variable["name"]) and variable.get("value"):
                yield f"the variable {variable['name']} looks like a secret and is written down"
        yield from _resources(container.get("resources", {}), volumes.values())


def _resources(resources: dict[str, Any], volumes: Any) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    try:
        for name, asked in requests.items():
            if name in limits and quantity(asked) > quantity(limits[name]):
                yield f"more {name} is requested than the limit allows"
        for name in {*requests, *limits}:
            if name.startswith("nvidia.com/"):
                if name not in limits:
                    yield f"{name} is no limit; a device is given by its limit"
                elif quantity(requests.get(name, limits[name])) != quantity(limits[name]):
                    yield f"{name} must be requested as it is limited"
        held = sum(
            quantity(volume["emptyDir"].get("sizeLimit", "0"))
            for volume in volumes
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        )
        if "memory" in limits and held >= quantity(limits["memory"]):
            yield "volumes in memory leave none of the container's limit"
    except ValueError as error:
        yield f"{error} is no quantity"


def _matches(selector: dict[str, str], template: dict[str, Any]) -> bool:
    labels = template.get("metadata", {}).get("labels", {})
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _together(documents: list[dict[str, Any]]) -> Iterator[str]:
    def names(kind: str) -> set[str]:
        return {d["metadata"]["name"] for d in documents if d["kind"] == kind}

    templates = [pod for d in documents if d["kind"] != "Pod" for pod in pods(d)]
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        named = f"{kind} {document['metadata'].get('name', '')}"
        if kind == "Service" and spec.get("selector") and templates:
            found = [t for t in templates if _matches(spec["selector"], t)]
            if not found:
                yield f"{named}: no pod has the labels that it selects"
            ports = {p.get("name") for t in found for c in t["spec"]["containers"] for p in c.get("ports", [])}
            for port in spec["ports"]:
                if found and isinstance(port.get("targetPort"), str) and port["targetPort"] not in ports:
                    yield f"{named}: no container has a port called {port['targetPort']}"
        if kind in ("PodDisruptionBudget", "NetworkPolicy") and templates:
            selector = (spec.get("selector") or spec.get("podSelector") or {}).get("matchLabels", {})
            if not any(_matches(selector, t) for t in templates):
                yield f"{named}: no pod has the labels that it selects"
        target = spec.get("scaleTargetRef", {}).get("name")
        if target and names("Deployment") and target not in names("Deployment"):
            yield f"{named}: there is no Deployment {target} to scale"
        if kind == "Ingress" and names("Service"):
            for path in (p for rule in spec["rules"] for p in rule["http"]["paths"]):
                if path["backend"]["service"]["name"] not in names("Service"):
                    yield f"{named}: there is no Service {path['backend']['service']['name']}"
        for pod in pods(document):
            for volume in pod["spec"].get("volumes", []):
                claim = volume.get("persistentVolumeClaim", {}).get("claimName")
                if claim and names("PersistentVolumeClaim") and claim not in names("PersistentVolumeClaim"):
                    yield f"{named}: there is no claim {claim}"
                held = volume.get("configMap", {}).get("name")
                if held and names("PersistentVolumeClaim") and held not in names("ConfigMap"):
                    yield f"{named}: there is no ConfigMap {held}"
