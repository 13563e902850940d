"""llama.cpp's ``llama-server``.

Its images are tagged by what they were built for, and by the build's number (``server-cuda-b10868``), never by the
library's version that a plan names: the moving tag of the newest build is taken. Name an image to pin one.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.exports.server import Metrics, Server


def image(version: str, on_cpu: bool) -> str:
    """The newest build for CUDA 12, or for a processor.

    >>> image("0.5.0", True)
    'ghcr.io/ggml-org/llama.cpp:server'
    """
    return f"ghcr.io/ggml-org/llama.cpp:server{'' if on_cpu else '-cuda'}"


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


def user(version: str, on_cpu: bool) -> int | None:
    """Any: it reads a file and writes none.

    >>> user("0.5.0", True)
    1000
    """
    return 1000


SERVER = Server(
    engine="llama.cpp",
    image=image,
    entrypoint=("llama-server",),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="/metrics",
    source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    key_variable="LLAMA_API_KEY",
    options=("--metrics",),
    cache="LLAMA_CACHE",
    alias=("--alias",),
    series=Metrics(
        running="llamacpp:requests_processing",
        waiting="llamacpp:requests_deferred",
        prompt_tokens="llamacpp:prompt_tokens_total",
        generation_tokens="llamacpp:tokens_predicted_total",
    ),
    metrics_key=True,
    host_cache=8,  # --cache-ram
    shared_memory=False,  # one process runs all GPUs
    user=user,
)
