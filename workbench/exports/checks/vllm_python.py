"""Python that calls ``vllm.LLM``: compiled, never run; its keywords those of the release's engine arguments."""

from __future__ import annotations

import ast

from workbench.exports.checks import _vllm, python
from workbench.exports.file import Check, File

KIND = "vllm-python"


def check(file: File) -> list[Check]:
    """As any Python; and the keywords of ``LLM(…)``."""
    found = python.check(file)
    if any(one.outcome == "fail" for one in found):
        return found
    calls = [node for node in ast.walk(ast.parse(file.text)) if isinstance(node, ast.Call)]
    names = [
        keyword.arg or "**"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "LLM"
        for keyword in call.keywords
    ]
    return [*found, _vllm.of_keywords(names, file.version)]
