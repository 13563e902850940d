"""vLLM's engine arguments as JSON: what Triton's vLLM backend passes on to ``AsyncEngineArgs``."""

from __future__ import annotations

import json

from workbench.exports.file import Check, File

KIND = "vllm-json"


def check(file: File) -> list[Check]:
    """One object that names a model."""
    try:
        read = json.loads(file.text)
    except ValueError as error:
        return [Check("json", "fail", str(error))]
    if not isinstance(read, dict) or not isinstance(read.get("model"), str):
        return [Check("json", "fail", "an object that names a model is needed")]
    return [Check("json", "pass")]
