"""``transformers serve``: asks for no key and has no metrics; nobody publishes an image of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from workbench.exports.server import Server


def image(version: str, on_cpu: bool) -> str:
    """None: Hugging Face's images hold the library for its tests, not the server's packages."""
    return ""


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


SERVER = Server(
    engine="transformers",
    image=image,
    entrypoint=(),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="",
    source="https://huggingface.co/docs/transformers/main/en/serve-cli/serving",
    variables=MappingProxyType({"DO_NOT_TRACK": "1"}),
    shared_memory=False,  # one process spreads the layers
)
