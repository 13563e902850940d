"""vLLM's engine arguments as JSON: what Triton's vLLM backend passes on to ``AsyncEngineArgs``.

The release is the plan's; Triton's image brings its own, which may know fewer.
"""

from __future__ import annotations

import json

from workbench.exports.checks import _vllm
from workbench.exports.file import Check, File

KIND = "vllm-json"


def check(file: File) -> list[Check]:
    """One object that names a model, and no argument that there is not."""
    try:
        read = json.loads(file.text)
    except ValueError as error:
        return [Check("json", "fail", str(error))]
    if not isinstance(read, dict) or not isinstance(read.get("model"), str):
        return [Check("json", "fail", "an object that names a model is needed")]
    return [Check("json", "pass"), _vllm.of_keywords(read, file.version)]
