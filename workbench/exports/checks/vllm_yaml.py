"""vLLM's configuration file: YAML of options as ``vllm serve --config`` reads them."""

from __future__ import annotations

from workbench.exports.checks import yaml
from workbench.exports.file import Check, File

KIND = "vllm-yaml"


def check(file: File) -> list[Check]:
    """Readable, and flat: a mapping of options, whose values are no lists of mappings."""
    return [yaml.readable(file)]
