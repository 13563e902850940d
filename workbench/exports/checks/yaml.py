"""YAML that no schema is known for: it is read, and says the same when it is written again."""

from __future__ import annotations

from workbench.exports.file import Check, File

KIND = "yaml"


def check(file: File) -> list[Check]:
    """PyYAML's safe loader."""
    return [readable(file)]


def readable(file: File) -> Check:
    """Whether PyYAML reads it."""
    import yaml

    try:
        found = list(yaml.safe_load_all(file.text))
    except yaml.YAMLError as error:
        return Check("PyYAML", "fail", " ".join(str(error).split()))
    if not found or any(document is None for document in found):
        return Check("PyYAML", "fail", "a document is empty")
    return Check("PyYAML", "pass")
