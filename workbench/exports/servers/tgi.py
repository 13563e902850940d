"""text-generation-inference, which is in maintenance only.

The key guards what generates; ``/health``, ``/metrics``, ``/info`` and ``/v1/models`` answer without one
(3.3.0 ``router/src/server.rs``), as the metrics' own port does, which must be another than the server's.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from workbench.exports.server import Metrics, Server

_METRICS_PORT = 9000  # unless --prometheus-port says otherwise


def image(version: str, on_cpu: bool) -> str:
    """Published for every release; plans for a processor there are none.

    >>> image("3.3.0", False)
    'ghcr.io/huggingface/text-generation-inference:3.3.0'
    """
    return "" if on_cpu else f"ghcr.io/huggingface/text-generation-inference:{version}"


def address(host: str, port: int) -> Sequence[str]:
    """``--hostname`` and ``--port``, and another port for the metrics where both would be the same."""
    other = ("--prometheus-port", str(_METRICS_PORT + 1)) if port == _METRICS_PORT else ()
    return ("--hostname", host, "--port", str(port), *other)


SERVER = Server(
    engine="tgi",
    image=image,
    entrypoint=("text-generation-launcher",),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="/metrics",
    source="https://huggingface.co/docs/text-generation-inference/reference/launcher",
    key_variable="API_KEY",
    variables=MappingProxyType({"USAGE_STATS": "off"}),
    series=Metrics(
        running="tgi_batch_current_size",
        waiting="tgi_queue_size",
        itl="tgi_request_mean_time_per_token_duration",
        latency="tgi_request_duration",
        successes="tgi_request_success",
        failures='tgi_request_failure{err!="validation"}',
        requests="tgi_request_count",
    ),
)
