"""vLLM's OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from workbench.exports.server import Metrics, Server


def image(version: str, on_cpu: bool) -> str:
    """Published for every release.

    >>> image("0.33.0", False)
    'vllm/vllm-openai:v0.33.0'
    """
    return f"vllm/vllm-openai{'-cpu' if on_cpu else ''}:v{version}"


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


def user(version: str, on_cpu: bool) -> int | None:
    """User ``vllm``, which the CUDA image holds since 0.23 at the latest.

    github:vllm-project/vllm docker/Dockerfile and docs/deployment/docker.md, "Run as a non-root user" (pull request
    40275, merged in May 2026, when 0.22 was under way).

    >>> user("0.33.0", False), user("0.19.1", False)
    (2000, None)
    """
    new = tuple(int(part) for part in version.split(".")[:2]) >= (0, 23)
    return 2000 if new and not on_cpu else None


SERVER = Server(
    engine="vllm",
    image=image,
    entrypoint=("vllm", "serve"),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="/metrics",
    source="https://docs.vllm.ai/en/stable/deployment/docker.html",
    key_variable="VLLM_API_KEY",
    variables=MappingProxyType({"VLLM_NO_USAGE_STATS": "1"}),
    user=user,
    alias=("--served-model-name",),
    series=Metrics(
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        kv_cache_usage="vllm:kv_cache_usage_perc",
        preemptions="vllm:num_preemptions_total",
        ttft="vllm:time_to_first_token_seconds",
        itl="vllm:inter_token_latency_seconds",
        latency="vllm:e2e_request_latency_seconds",
        prompt_tokens="vllm:prompt_tokens_total",
        generation_tokens="vllm:generation_tokens_total",
        successes="vllm:request_success_total",
        # Its web server's, by class of status, without /health and /metrics (entrypoints/serve/instrumentator).
        failures='http_requests_total{status="5xx"}',
        requests="http_requests_total",
    ),
)
