"""SGLang's OpenAI-compatible server.

It takes its key from its line alone (0.5.23 ``srt/arg_groups/fields/serving.py``); ``/health`` and ``/metrics`` answer
without one (``srt/utils/auth.py``), and its series appear with ``--enable-metrics`` (``srt/observability``).
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.exports.server import Metrics, Server


def image(version: str, on_cpu: bool) -> str:
    """Published for every release, for CUDA 13; plans for a processor there are none.

    >>> image("0.5.23", False)
    'lmsysorg/sglang:v0.5.23'
    """
    return f"lmsysorg/sglang:v{version}{'-xeon' if on_cpu else ''}"


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


SERVER = Server(
    engine="sglang",
    image=image,
    entrypoint=(),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="/metrics",
    source="https://docs.sglang.io/docs/get-started/install",
    key_words=("--api-key",),
    options=("--enable-metrics",),
    alias=("--served-model-name",),
    series=Metrics(
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        kv_cache_usage="sglang:token_usage",
        preemptions="sglang:num_retracted_requests_total",
        ttft="sglang:time_to_first_token_seconds",
        itl="sglang:inter_token_latency_seconds",
        latency="sglang:e2e_request_latency_seconds",
        prompt_tokens="sglang:prompt_tokens_total",
        generation_tokens="sglang:generation_tokens_total",
        successes="sglang:num_requests_total",
        failures='sglang:http_responses_total{endpoint=~"/v1/.*",status_code=~"5.."}',
        requests='sglang:http_responses_total{endpoint=~"/v1/.*"}',
    ),
)
