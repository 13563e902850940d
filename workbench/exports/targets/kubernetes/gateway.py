"""An HTTPRoute of the Gateway API, which Kubernetes recommends where an Ingress was used.

Answers stream unless a gateway is told to buffer; its timeouts are fields, not annotations, of "extended" support
(https://gateway-api.sigs.k8s.io/guides/http-timeouts/).
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects
from workbench.exports.writing import as_yaml

#: Name of the Gateway that the cluster's operators gave it.
_GATEWAY = "gateway"


def files(subject: Subject) -> list[File]:
    """One object."""
    return [File("kubernetes/gateway.yaml", "kubernetes", as_yaml(route(subject)), language="yaml")]


def route(subject: Subject) -> dict[str, Any]:
    """The host's ``/v1`` to the Service."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _objects.metadata(subject),
        "spec": {
            "parentRefs": [{"name": _GATEWAY}],
            "hostnames": [subject.wishes.host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
                    "timeouts": {"request": f"{subject.longest_answer}s"},
                    "backendRefs": [{"name": subject.name, "port": subject.wishes.port}],
                }
            ],
        },
    }


def steps(subject: Subject) -> list[str]:
    """A Gateway must be there."""
    return [
        f"Choose this or the Ingress. Replace `{_GATEWAY}` by the name of the cluster's Gateway, which holds the "
        f"certificate of {subject.wishes.host}.",
        "`kubectl apply --filename kubernetes/gateway.yaml`",
    ]


TARGET = Target(
    id="kubernetes-gateway",
    title="Gateway API",
    about="The way in from outside by a Gateway, with a timeout as long as the longest answer may take.",
    files=files,
    steps=steps,
    obstacle=containers.obstacle,
    source="https://gateway-api.sigs.k8s.io/api-types/httproute/",
    without={},
)
