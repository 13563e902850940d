"""TensorRT-LLM (its PyTorch backend) as the planner knows it.

``max_model_len`` is its ``max_seq_len``, ``max_num_seqs`` its ``max_batch_size``, ``max_num_batched_tokens`` its
``max_num_tokens``, ``block_size`` its ``tokens_per_block``.
"""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.engines.engine import Defaults, Engine, Floats
from workbench.engines.tensorrt_llm import versions
from workbench.engines.words import flags
from workbench.hardware import GPU

#: Options of ``trtllm-serve``; what only its YAML file takes has no simple line.
_FLAGS = {
    "tensor_parallel_size": "--tp_size",
    "pipeline_parallel_size": "--pp_size",
    "max_num_seqs": "--max_batch_size",
    "max_num_batched_tokens": "--max_num_tokens",
    "max_model_len": "--max_seq_len",
    "free_gpu_memory_fraction": "--kv_cache_free_gpu_memory_fraction",
}


def defaults(version: versions.Version, card: GPU, model: Model, length: Floats) -> Defaults:
    """What ``trtllm-serve`` takes."""
    return Defaults(
        max_num_seqs=version.max_batch_size,
        max_num_batched_tokens=float(version.max_num_tokens),
        block_size=version.tokens_per_block,
    )


def command(deployment: Deployment, checkpoint: str, model: Model, quantized: bool) -> list[str]:
    """The ``trtllm-serve`` line; empty where it needs a YAML file (attention data parallelism, KV format, blocks)."""
    if deployment.data_parallel_size > 1 or deployment.kv_cache_dtype != "auto" or deployment.block_size:
        return []
    words = ["trtllm-serve", checkpoint, "--backend", "pytorch", *flags(deployment, _FLAGS)]
    return words + (["--ep_size", str(deployment.tensor_parallel_size)] if deployment.enable_expert_parallel else [])


ENGINE = Engine(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    version=versions.DEFAULT,
    fields=frozenset(
        {*_FLAGS, "data_parallel_size", "enable_expert_parallel", "kv_cache_dtype", "block_size", "enforce_eager"}
    ),
    release=versions.version,
    defaults=defaults,
    command=command,
    instead={"gpu_memory_utilization": "free_gpu_memory_fraction"},
    preempts=False,
    speed_basis="exact",
    speed_spread=1.0,
)
