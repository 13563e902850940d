"""Triton's model configuration: text of the protocol buffer ``ModelConfig``, read by Triton's own client library."""

from __future__ import annotations

from workbench.exports.file import Check, File

KIND = "triton-config"
_READER = "tritonclient ModelConfig"


def check(file: File) -> list[Check]:
    """Every field known, every value of its type; a backend or a platform named."""
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError:
        return [Check(_READER, "unchecked", "pip install 'llm-workbench[export]'")]
    try:
        read = text_format.Parse(file.text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        return [Check(_READER, "fail", str(error))]
    if not read.name or not (read.backend or read.platform):
        return [Check(_READER, "fail", "name and backend, or platform, are needed")]
    return [Check(_READER, "pass")]
