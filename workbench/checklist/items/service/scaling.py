"""Load balancing and scaling: several replicas, a scaler that looks at the engine's load, an Ingress that waits."""

from __future__ import annotations

from typing import Any

from workbench.checklist.figures import Thresholds
from workbench.checklist.finding import Evidence, Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.manifests import LOAD_METRICS, Object, at, items, named, number, of_kind, serving
from workbench.checklist.registry import Check

CHECK = Check(
    id="scaling",
    title="Load is balanced and replicas follow it",
    item="Several replicas behind one address, a scaler by the engine's own load, timeouts that bear long answers.",
    prove="Give the Kubernetes manifests (--manifests): Deployment, Service, HPA or KEDA ScaledObject, Ingress.",
)
#: Time-outs and buffering of nginx' Ingress controller, https://kubernetes.github.io/ingress-nginx/.
NGINX = "nginx.ingress.kubernetes.io/"


async def look(inspection: Inspection) -> Finding:
    """Read the manifests."""
    objects = inspection.manifests
    workloads = [workload for workload, _ in serving(objects)]
    if not workloads:
        said = "they hold no workload" if objects else "no manifests were given"
        return conclude([unknown("read the manifests", said)], CHECK.prove)
    scalers = of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    pieces: list[Evidence] = []
    for workload in workloads:
        pieces += _replicas(workload, _scaler_of(workload, scalers), inspection.thresholds)
    for scaler in scalers:
        pieces.append(_metrics(scaler))
    if not of_kind(objects, "Service"):
        pieces.append(doubt("look for a Service", "there is none", "Put a Service before the replicas."))
    pieces += [piece for one in of_kind(objects, "Ingress") for piece in _ingress(one, inspection.thresholds)]
    return conclude(pieces, CHECK.prove, "replicas, what scales them, and what lets traffic in")


def _scaler_of(workload: Object, scalers: list[Object]) -> Object | None:
    name = at(workload, "metadata", "name")
    return next((one for one in scalers if at(one, "spec", "scaleTargetRef", "name") == name), None)


def _replicas(workload: Object, scaler: Object | None, thresholds: Thresholds) -> list[Evidence]:
    spec: Any = at(scaler, "spec", default={})
    least = spec.get("minReplicas", spec.get("minReplicaCount"))
    fixed = number(at(workload, "spec", "replicas"), 1.0)
    # KEDA's least is 0 unless it is said; a plain scaler's is 1.
    count = number(least, 0.0 if scaler and scaler.get("kind") == "ScaledObject" else 1.0) if scaler else fixed
    mend = "Run two replicas at least, so that one may fail or be replaced."
    found = [thresholds["replicas"].judge(f"replicas of {named(workload)}", count, mend)]
    if scaler is None:
        mend = "Add an HPA or a KEDA ScaledObject on vllm:num_requests_waiting, or say why the load never changes."
        found.append(doubt(f"look for what scales {named(workload)}", "nothing does", mend))
        return found
    most = number(spec.get("maxReplicas", spec.get("maxReplicaCount")), 100.0)
    if most <= count:
        found.append(bad(f"range of {named(scaler)}", f"from {count:g} to {most:g}", "Let it grow: raise the most."))
    return found


def _metrics(scaler: Object) -> Evidence:
    spec: Any = at(scaler, "spec", default={})
    looks = items(spec.get("metrics")) + items(spec.get("triggers"))
    text = str(looks)
    asked = f"what {named(scaler)} looks at"
    mend = (
        "Scale by vllm:num_requests_waiting or the KV cache in use (KEDA's prometheus trigger, or prometheus-adapter)."
    )
    used = [word for word in LOAD_METRICS if word in text]
    if used:
        return good(asked, ", ".join(used))
    if not looks:
        return bad(asked, "nothing: a plain scaler then takes the CPU", mend)
    names = [str(at(m, "resource", "name") or at(m, "pods", "metric", "name") or m.get("type")) for m in looks]
    if all(name in ("cpu", "memory") for name in names):
        return bad(asked, f"{', '.join(names)}: an engine on a GPU keeps them flat, so it never scales", mend)
    return doubt(asked, f"{', '.join(names)}: not the engine's own load", mend)


def _ingress(one: Object, thresholds: Thresholds) -> list[Evidence]:
    notes: Any = at(one, "metadata", "annotations", default={})
    kind = str(at(one, "spec", "ingressClassName", default=notes.get("kubernetes.io/ingress.class", "")))
    if kind != "nginx" and not any(str(note).startswith(NGINX) for note in notes):
        return [unknown(f"timeouts of {named(one)}", f"class {kind or 'not said'}: its settings are not known here",
                        "Ask its documentation for the read timeout and for buffering.")]  # fmt: skip
    silence = number(notes.get(f"{NGINX}proxy-read-timeout"), 60.0)
    mend = "Raise nginx.ingress.kubernetes.io/proxy-read-timeout; a long prompt is silent until its first token."
    found = [thresholds["ingress_read_timeout"].judge(f"read timeout of {named(one)}", silence, mend)]
    if str(notes.get(f"{NGINX}proxy-buffering", "off")) != "off":
        found.append(bad(f"buffering of {named(one)}", "on", "Set proxy-buffering to off, or no stream is one."))
    if not at(one, "spec", "tls"):
        found.append(
            doubt(f"TLS of {named(one)}", "none: keys travel in the clear", "Add spec.tls with a certificate.")
        )
    return found
