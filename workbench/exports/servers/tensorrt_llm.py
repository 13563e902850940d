"""TensorRT-LLM's ``trtllm-serve``, with its PyTorch backend.

It asks for no key: what stands in front of it must. Prometheus' series are under ``/prometheus/metrics`` once
``return_perf_metrics`` is set (``/metrics`` is JSON), which only its YAML file takes; so every start line names one.
Gauges of running and waiting requests and of the cache came with 1.3 (its ``metrics/collector.py``), after the release
that plans are made for, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.engines.tensorrt_llm import engine
from workbench.exports.file import File
from workbench.exports.server import Metrics, Server
from workbench.exports.writing import as_yaml

if TYPE_CHECKING:
    from workbench.planner import Plan

_FILE = "llm-api.yaml"


def image(version: str, on_cpu: bool) -> str:
    """NVIDIA's own registry has every release.

    >>> image("1.2.1", False)
    'nvcr.io/nvidia/tensorrt-llm/release:1.2.1'
    """
    return "" if on_cpu else f"nvcr.io/nvidia/tensorrt-llm/release:{version}"


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


def words(plan: Plan) -> list[str]:
    """What the line says of any plan."""
    return engine.line(plan.deployment, plan.checkpoint)


def configuration(plan: Plan) -> list[File]:
    """What only a file can say, and the metrics."""
    said = {**engine.options(plan.deployment), "return_perf_metrics": True}
    return [File(_FILE, "trtllm-yaml", as_yaml(said), language="yaml")]


def naming(folder: str) -> Sequence[str]:
    """``--config``, which ``--extra_llm_api_options`` was called before."""
    return ("--config", f"{folder}/{_FILE}")


def obstacle(plan: Plan) -> str | None:
    """What neither line nor file can say."""
    return engine.unsaid(plan.deployment)


SERVER = Server(
    engine="tensorrt-llm",
    image=image,
    entrypoint=(),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="/prometheus/metrics",
    source="https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html",
    words=words,
    configuration=configuration,
    naming=naming,
    obstacle=obstacle,
    series=Metrics(
        ttft="trtllm_time_to_first_token_seconds",
        itl="trtllm_time_per_output_token_seconds",
        latency="trtllm_e2e_request_latency_seconds",
        successes="trtllm_request_success_total",
    ),
)
