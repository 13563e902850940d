"""Python: compiled, never run."""

from __future__ import annotations

import ast

from workbench.exports.file import Check, File

KIND = "python"


def check(file: File) -> list[Check]:
    """Python's own parser."""
    try:
        ast.parse(file.text)
    except (SyntaxError, ValueError) as error:
        return [Check("ast", "fail", str(error))]
    return [Check("ast", "pass")]
