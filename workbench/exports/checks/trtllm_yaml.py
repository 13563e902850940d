"""TensorRT-LLM's YAML of its LLM API, as ``trtllm-serve --config`` reads it: read here, its fields checked by nobody.

Its schema is made by the library itself, which needs a GPU to be imported and is no package that could be bundled.
"""

from __future__ import annotations

from workbench.exports.checks import yaml
from workbench.exports.file import Check, File

KIND = "trtllm-yaml"


def check(file: File) -> list[Check]:
    """Readable; that TensorRT-LLM has these fields is not checked here."""
    return [yaml.readable(file), Check("TensorRT-LLM", "unchecked", "trtllm-serve is not installed here")]
