"""A Deployment in vLLM's own words: the ``vllm serve`` line."""

from __future__ import annotations

import math

from workbench.deployment import Deployment
from workbench.engines.vllm import options
from workbench.engines.vllm.schema import schema
from workbench.formats import scheme as scheme_of

#: Fields written as ``--name value`` when they are set.
_VALUES = (
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "block_size",
)
#: Fields written as ``--name`` or ``--no-name``.
_SWITCHES = ("enable_prefix_caching", "enable_chunked_prefill")


def command(deployment: Deployment, model: str, *, quantization_in_checkpoint: bool = False) -> list[str]:
    """The ``vllm serve`` command of a deployment, as separate words.

    Parameters
    ----------
    deployment : Deployment
        Only what differs from the engine's default becomes a flag.
    model : str
        Hub id or folder.
    quantization_in_checkpoint : bool
        Whether the checkpoint says itself how it is quantised (vLLM then needs no flag).

    Examples
    --------
    >>> " ".join(command(Deployment(gpu="L40S", tensor_parallel_size=2, max_model_len=8192), "org/model"))
    'vllm serve org/model --tensor-parallel-size 2 --max-model-len 8192'
    """
    words = ["vllm", "serve", model]
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        if getattr(deployment, name) > 1:
            words += [_flag(name), str(getattr(deployment, name))]
    if deployment.enable_expert_parallel:
        words.append("--enable-expert-parallel")
    scheme = scheme_of(deployment.quantization) if deployment.quantization else None
    if scheme is not None and not scheme.quantized:
        words += ["--dtype", scheme.vllm]
    elif deployment.dtype != "auto":
        words += ["--dtype", deployment.dtype]
    if scheme is not None and scheme.quantized and scheme.online and not quantization_in_checkpoint:
        words += ["--quantization", scheme.vllm]
    if deployment.kv_cache_dtype != "auto":
        words += ["--kv-cache-dtype", deployment.kv_cache_dtype]
    for name in _VALUES:
        value = getattr(deployment, name)
        if value is not None:
            words += [_flag(name), _text(value)]
    for name in _SWITCHES:
        value = getattr(deployment, name)
        if value is not None:
            words += [_flag(name)] if value else _off(name, deployment.engine_version)
    if deployment.enforce_eager:
        words.append("--enforce-eager")
    return words + options.words(deployment)


def _off(name: str, version: str | None) -> list[str]:
    """How a release writes no: ``--no-x``, ``--x False`` in older ones, nothing where it is off unless asked for."""
    no = _flag(name).replace("--", "--no-", 1)
    known = schema(version)
    if no in known.negative:
        return [no]
    option = known.by_field(name)
    return [_flag(name), "False"] if option is not None and option.nargs == "?" else []


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: float) -> str:
    return (
        str(int(value)) if math.isclose(value, round(value)) and value >= 1 and isinstance(value, int) else f"{value}"
    )
