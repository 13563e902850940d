"""An Ingress that lets answers stream: nothing is buffered, and silence before the first token ends nothing.

Timeouts are annotations, each controller's own. These are of NGINX Ingress Controller by F5 (``nginx.org/…``) and of
the community's ingress-nginx (``nginx.ingress.kubernetes.io/…``), which ended in March 2026
(https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/) and is still met; each passes over the other's.
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.kubernetes import _objects
from workbench.exports.writing import as_yaml


def files(subject: Subject) -> list[File]:
    """One object."""
    return [File("kubernetes/ingress.yaml", "kubernetes", as_yaml(ingress(subject)), language="yaml")]


def ingress(subject: Subject) -> dict[str, Any]:
    """Host and TLS; the certificate is a Secret."""
    longest, largest = subject.longest_answer, subject.largest_request
    theirs = {
        "proxy-buffering": "off",
        "proxy-request-buffering": "off",
        "proxy-read-timeout": str(longest),
        "proxy-send-timeout": str(longest),
        "proxy-body-size": f"{largest}m",
    }
    annotations = {
        "nginx.org/proxy-buffering": "False",
        "nginx.org/proxy-read-timeout": f"{longest}s",
        "nginx.org/proxy-send-timeout": f"{longest}s",
        "nginx.org/client-max-body-size": f"{largest}m",
        **{f"nginx.ingress.kubernetes.io/{name}": value for name, value in theirs.items()},
    }
    backend = {"service": {"name": subject.name, "port": {"name": "http"}}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**_objects.metadata(subject), "annotations": annotations},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [subject.wishes.host], "secretName": f"{subject.name}-tls"}],
            "rules": [{"host": subject.wishes.host, "http": {"paths": [path]}}],
        },
    }


def steps(subject: Subject) -> list[str]:
    """Its certificate, and who may reach the pods."""
    space = subject.wishes.namespace
    return [
        "Needs an Ingress controller built on nginx; another has annotations of its own for timeouts and buffering.",
        f"`kubectl create secret tls {subject.name}-tls --namespace {space} --cert=FILE --key=FILE`, or leave it to "
        "cert-manager.",
        "Only `/v1` is let through; health and metrics stay inside.",
        "`kubectl apply --filename kubernetes/ingress.yaml`",
    ]


TARGET = Target(
    id="kubernetes-ingress",
    title="Kubernetes Ingress",
    about="The way in from outside, which streams, and waits as long as the longest answer may take.",
    files=files,
    steps=steps,
    obstacle=containers.obstacle,
    source="https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/"
    "advanced-configuration-with-annotations/",
    without={},
)
