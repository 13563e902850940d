"""TensorRT-LLM (its PyTorch backend) as the planner knows it.

``max_model_len`` is its ``max_seq_len``, ``max_num_seqs`` its ``max_batch_size``, ``max_num_batched_tokens`` its
``max_num_tokens``, ``block_size`` its ``tokens_per_block``.
"""

from __future__ import annotations

from typing import Any

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.engines.engine import Defaults, Engine, Floats
from workbench.engines.tensorrt_llm import versions
from workbench.engines.words import flags
from workbench.hardware import GPU

#: Options of ``trtllm-serve``; what only its YAML file takes is in :func:`options`.
_FLAGS = {
    "pipeline_parallel_size": "--pp_size",
    "max_num_seqs": "--max_batch_size",
    "max_num_batched_tokens": "--max_num_tokens",
    "max_model_len": "--max_seq_len",
    "free_gpu_memory_fraction": "--kv_cache_free_gpu_memory_fraction",
}
#: Formats of cached values that the PyTorch backend can be asked for, in its words.
_KV_WORDS = {"fp8": "fp8", "fp8_e4m3": "fp8", "nvfp4": "nvfp4"}


def defaults(version: versions.Version, card: GPU, model: Model, length: Floats) -> Defaults:
    """What ``trtllm-serve`` takes."""
    return Defaults(
        max_num_seqs=version.max_batch_size,
        max_num_batched_tokens=float(version.max_num_tokens),
        block_size=version.tokens_per_block,
    )


def options(deployment: Deployment) -> dict[str, Any]:
    """What only the YAML file of ``--config`` takes of a deployment; empty where the line says it all.

    The line's own share of free memory is said again where the file sets up the cache, because a file's
    ``kv_cache_config`` takes the place of the line's.

    References
    ----------
    https://nvidia.github.io/TensorRT-LLM/features/parallel-strategy.html (with ``enable_attention_dp`` the tensor
    parallel ranks hold attention whole), ``llmapi/llm_args.py`` (``KvCacheConfig``; ``cuda_graph_config`` null).

    Examples
    --------
    >>> options(Deployment(engine="tensorrt-llm", kv_cache_dtype="fp8", block_size=64))
    {'kv_cache_config': {'dtype': 'fp8', 'tokens_per_block': 64, 'free_gpu_memory_fraction': 0.9}}
    """
    found: dict[str, Any] = {}
    if deployment.data_parallel_size > 1:
        found["enable_attention_dp"] = True
    if deployment.enforce_eager:
        found["cuda_graph_config"] = None
    cache: dict[str, Any] = {}
    if deployment.kv_cache_dtype != "auto":
        cache["dtype"] = _KV_WORDS.get(deployment.kv_cache_dtype, deployment.kv_cache_dtype)
    if deployment.block_size:
        cache["tokens_per_block"] = deployment.block_size
    if cache:
        given = deployment.free_gpu_memory_fraction
        cache["free_gpu_memory_fraction"] = (
            versions.version(deployment.engine_version).fraction if given is None else given
        )
        found["kv_cache_config"] = cache
    return found


def line(deployment: Deployment, checkpoint: str) -> list[str]:
    """The ``trtllm-serve`` line, which says everything but :func:`options`."""
    ranks = deployment.tensor_parallel_size * deployment.data_parallel_size  # attention's ranks are tensor ranks
    words = ["trtllm-serve", checkpoint, "--backend", "pytorch"]
    words += ["--tp_size", str(ranks)] if ranks > 1 else []
    words += flags(deployment, _FLAGS)
    return words + (["--ep_size", str(ranks)] if deployment.enable_expert_parallel else [])


def unsaid(deployment: Deployment) -> str | None:
    """What of a deployment neither line nor file can say, naming the field; None if they can."""
    if deployment.data_parallel_size > 1 and deployment.tensor_parallel_size > 1:
        return "tensor_parallel_size beside data_parallel_size: attention is either divided or repeated, never both"
    if deployment.kv_cache_dtype not in ("auto", *_KV_WORDS):
        return f"kv_cache_dtype {deployment.kv_cache_dtype}: its PyTorch backend takes fp8, nvfp4 and the model's own"
    return None


def command(deployment: Deployment, checkpoint: str, model: Model, quantized: bool) -> list[str]:
    """The ``trtllm-serve`` line; empty where it needs a YAML file besides (:func:`options`)."""
    return [] if options(deployment) else line(deployment, checkpoint)


ENGINE = Engine(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    version=versions.DEFAULT,
    fields=frozenset(
        {
            *_FLAGS,
            "tensor_parallel_size",
            "data_parallel_size",
            "enable_expert_parallel",
            "kv_cache_dtype",
            "block_size",
            "enforce_eager",
        }
    ),
    release=versions.version,
    defaults=defaults,
    command=command,
    instead={"gpu_memory_utilization": "free_gpu_memory_fraction"},
    preempts=False,
    speed_basis="exact",
    speed_spread=1.0,
)
