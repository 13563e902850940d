"""What every target that runs containers asks of a plan, and the few lines they share."""

from __future__ import annotations

import re

from workbench.exports.subject import Subject

#: An image's reference, with tag or digest (https://github.com/distribution/reference, ``regexp.go``).
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)


def is_image(text: str) -> bool:
    """Whether a text names an image.

    >>> is_image("vllm/vllm-openai:v0.33.0"), is_image("localhost:5000/a@sha256:" + 64 * "0"), is_image("a b")
    (True, True, False)
    """
    return _IMAGE.fullmatch(text) is not None


def no_image(subject: Subject) -> str | None:
    """Why no image can be named; None if one can."""
    if not subject.image:
        return f"nobody publishes an image of {subject.engine}; give one (image)"
    if not is_image(subject.image):
        return f"image is {subject.image!r}, which is no image's reference"
    return None


def obstacle(subject: Subject) -> str | None:
    """Why no container of one machine can run it: it has no image, or needs more GPUs than a machine has."""
    return no_image(subject) or _card(subject) or subject.outgrows


def _card(subject: Subject) -> str | None:
    vendor = subject.plan.card.vendor
    if subject.gpus and vendor != "NVIDIA":
        return f"gpu is {subject.plan.card.name} by {vendor}; containers are written for NVIDIA's cards alone"
    return None


def vllm(subject: Subject) -> str:
    """Release of vLLM whose options the arguments are; "" for another engine, or an image that may hold any."""
    return subject.plan.engine_version if subject.engine == "vllm" and not subject.wishes.image else ""


def health(subject: Subject) -> list[str]:
    """Whether the server answers, asked within its container; every engine's own image has curl."""
    return ["curl", "--fail", "--silent", "--output", "/dev/null", _url(subject)]


def _url(subject: Subject) -> str:
    return f"http://127.0.0.1:{subject.wishes.port}{subject.server.health}"


def doubled(text: str) -> str:
    """A text with every ``$`` doubled, as Compose and the arguments of a Kubernetes container take it literally.

    >>> doubled("a$(b)")
    'a$$(b)'
    """
    return text.replace("$", "$$")
