"""JSON."""

from __future__ import annotations

import json

from workbench.exports.file import Check, File

KIND = "json"


def check(file: File) -> list[Check]:
    """Python's own reader."""
    try:
        json.loads(file.text)
    except ValueError as error:
        return [Check("json", "fail", str(error))]
    return [Check("json", "pass")]
