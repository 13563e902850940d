"""vLLM's words against what its release takes (``data/engines/vllm_schema/``, made from each release's own parser)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.engines.vllm import schema
from workbench.exports.file import Check


def of_command(words: Sequence[str], version: str) -> Check:
    """A ``vllm serve`` command, with or without these two words."""
    found = schema.check(words, version or None)
    refused = [finding.text for finding in found if finding.refused]
    if refused:
        return Check(_reader(version), "fail", "; ".join(refused))
    return Check(_reader(version), "pass", "; ".join(finding.text for finding in found))


def of_options(options: Mapping[str, Any], version: str) -> Check:
    """Options as a configuration file has them; a model by its name or as ``model``."""
    words: list[str] = []
    negative = schema.schema(version or None).negative
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name}"] if value else [f"--no-{name}"] if f"--no-{name}" in negative else []
        else:
            words += [f"--{name}", *_texts(value)]
    return of_command(words, version)


def of_keywords(names: Iterable[str], version: str) -> Check:
    """Keywords of the engine's arguments in Python."""
    known = schema.schema(version or None)
    unknown = [name for name in names if name not in known.python_only and known.by_field(name) is None]
    return Check(
        _reader(version), "fail" if unknown else "pass", f"there is no {', '.join(unknown)}" if unknown else ""
    )


def _reader(version: str) -> str:
    return f"options of vLLM {schema.schema(version or None).since}"


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value if isinstance(value, str) else json.dumps(value)]
