"""Health and probes: the endpoint says it is well, and Kubernetes asks it early, often and patiently enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.checklist.figures import Threshold
from workbench.checklist.finding import Evidence, Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import REACH, Inspection
from workbench.checklist.manifests import Object, at, named, patience, serving
from workbench.checklist.registry import Check

CHECK = Check(
    id="probes",
    title="Health and probes",
    item="The endpoint answers /health; startup, readiness and liveness are probed.",
    prove="Give the Kubernetes manifests (--manifests); outside Kubernetes, those of what restarts it.",
)


async def look(inspection: Inspection) -> Finding:
    """Ask for its health, and read the probes of the manifests."""
    reply = await inspection.ask("GET", "/health")
    mend = REACH if reply.status is None else "Let the gateway pass GET /health on to the engine."
    pieces = [reply.as_evidence("pass" if reply.ok else "fail", mend)]
    containers = serving(inspection.manifests)
    if not containers:
        said = "they hold no workload" if inspection.manifests else "no manifests were given"
        return conclude([*pieces, unknown("read the probes", said)], CHECK.prove)
    for workload, container in containers:
        pieces += _probes(workload, container, inspection.thresholds["startup_seconds"])
    return conclude(pieces, well="/health answers, and the manifests probe it early, often and patiently enough")


def _probes(workload: Object, container: Mapping[str, Any], start: Threshold) -> list[Evidence]:
    place = named(workload)
    startup, alive, ready = (at(container, f"{kind}Probe") for kind in ("startup", "liveness", "readiness"))
    found = []
    if ready is None:
        mend = "Add a readinessProbe on /health, or users reach a pod that is still loading."
        found.append(bad(f"readinessProbe of {place}", "there is none", mend))
    else:
        found.append(good(f"readinessProbe of {place}", _shown(ready)))
    mend = "Add a startupProbe whose periodSeconds × failureThreshold covers loading and compiling."
    if startup is not None:
        found.append(start.judge(f"startupProbe of {place}", patience(startup), mend, said=_shown(startup)))
    elif alive is not None:
        asked = f"livenessProbe of {place}, without a startupProbe"
        words = f"{_shown(alive)}: a pod that is still loading is killed then, over and over"
        found.append(start.judge(asked, patience(alive), mend, said=words))
    if alive is None:
        mend = "Add a livenessProbe on /health, so that an engine that hangs is restarted."
        found.append(doubt(f"livenessProbe of {place}", "there is none", mend))
    elif startup is not None:
        found.append(good(f"livenessProbe of {place}", _shown(alive)))
    return found


def _shown(probe: Any) -> str:
    path = at(probe, "httpGet", "path") or ("a command" if at(probe, "exec") else "a connection")
    return f"{path}, gives up after {patience(probe):g} s" if isinstance(probe, Mapping) else str(probe)[:80]
