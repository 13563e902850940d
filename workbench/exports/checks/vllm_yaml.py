"""vLLM's configuration file: YAML of options as ``vllm serve --config`` reads them."""

from __future__ import annotations

from workbench.exports.checks import _vllm, yaml
from workbench.exports.file import Check, File

KIND = "vllm-yaml"


def check(file: File) -> list[Check]:
    """Readable, one mapping, and every option and value what its release's parser takes."""
    from yaml import safe_load

    readable = yaml.readable(file)
    if readable.outcome != "pass":
        return [readable]
    options = safe_load(file.text)
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        return [Check(readable.reader, "fail", "one mapping of options is needed")]
    return [readable, _vllm.of_options(options, file.version)]
