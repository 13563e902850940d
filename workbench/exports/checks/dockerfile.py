"""Dockerfiles: read by dockerfile-parse, judged by rules of ours, and by hadolint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from workbench.exports.checks import _programs, _vllm
from workbench.exports.containers import is_image
from workbench.exports.file import Check, File

KIND = "dockerfile"

_HINT = "pip install 'llm-workbench[export]'"
_KNOWN = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip


def check(file: File) -> list[Check]:
    """Instructions and their values."""
    try:
        from dockerfile_parse import DockerfileParser
    except ImportError:
        return [Check("dockerfile-parse", "unchecked", _HINT)]
    import io

    held = io.BytesIO(file.text.encode())
    parsed = [(one["instruction"], one["value"]) for one in DockerfileParser(fileobj=held).structure]
    wrong = list(_wrong(parsed))
    read = Check("dockerfile-parse and our own rules", "fail" if wrong else "pass", "; ".join(wrong))
    if wrong or not file.version:
        return [read]
    return [read, _vllm.of_command(json.loads(dict(parsed)["CMD"]), file.version)]


def _wrong(parsed: list[tuple[str, str]]) -> Iterator[str]:
    real = [(name, value) for name, value in parsed if name != "COMMENT"]
    for name, _ in real:
        if name not in _KNOWN:
            yield f"{name} is no instruction"
    if not real or real[0][0] != "FROM":
        yield "it does not begin with FROM"
        return
    image = real[0][1]
    if not is_image(image) or image.endswith(":latest") or ":" not in image.rpartition("/")[2]:
        yield f"FROM {image} does not name an image with a tag"
    for name, value in real:
        if name in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            words = value[value.index("CMD") + 3 :] if name == "HEALTHCHECK" else value
            if not _is_list(words):
                yield f"{name} is not a list of words as JSON"
        if name == "ENV" and re.match(r"\w*(KEY|TOKEN|SECRET|PASSWORD)", value):
            yield f"ENV {value.partition('=')[0]} would be part of the image"


def _is_list(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, list) and bool(found) and all(isinstance(word, str) for word in found)


def ask(file: File) -> list[Check]:
    """hadolint, its warnings and errors."""
    return [_programs.ask(file, "hadolint", ["--failure-threshold", "warning", "{}"])]
