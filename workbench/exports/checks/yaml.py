"""YAML that no schema is known for: it is read, and says the same when it is written again."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from workbench.exports.file import Check, File

KIND = "yaml"


def check(file: File) -> list[Check]:
    """PyYAML's safe loader."""
    return [readable(file)]


def readable(file: File) -> Check:
    """Whether PyYAML reads it."""
    import yaml

    try:
        found = documents(file.text)
    except yaml.YAMLError as error:
        return Check("PyYAML", "fail", " ".join(str(error).split()))
    if not found or any(document is None for document in found):
        return Check("PyYAML", "fail", "a document is empty")
    return Check("PyYAML", "pass")


@lru_cache(maxsize=16)
def documents(text: str) -> tuple[Any, ...]:
    """All documents of a text, not to be changed; by libyaml where it is there, which is ten times as fast.

    Raises
    ------
    yaml.YAMLError
    """
    import yaml

    return tuple(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
