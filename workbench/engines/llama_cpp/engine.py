"""llama.cpp as the planner knows it.

``max_num_batched_tokens`` is its physical batch (``--ubatch-size``), ``max_num_seqs`` its slots (``--parallel``), each
with ``max_model_len`` tokens of the context (``--ctx-size`` is their product), ``pipeline_parallel_size`` the GPUs its
layers are split over. One slot is planned unless a deployment asks for more, and all layers on the GPU; left alone,
llama-server takes several slots that share one context, and as many layers and tokens as fit what is free (``--fit``).

References
----------
llama.cpp 0.5.0-dev: ``common/arg.cpp``, ``common/common.h``, ``src/llama-model.cpp`` (``load_tensors``).
"""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.engines.engine import Defaults, Engine, Floats
from workbench.engines.llama_cpp import versions
from workbench.engines.words import flags
from workbench.formats import GGUF, Scheme, checkpoint_scheme, effective_scheme
from workbench.hardware import GPU
from workbench.kv_formats import kv_format

#: What convert_hf_to_gguf.py writes of a checkpoint that nothing else is asked of, by its scheme.
_CONVERTED = {"bf16": "gguf_bf16", "fp16": "gguf_f16", "fp32": "gguf_f32", "mxfp4": "mxfp4_moe"}


def scheme(model: Model, deployment: Deployment) -> Scheme:
    """The GGUF file: the type asked for, whatever the checkpoint is, else its own floats converted.

    Raises
    ------
    InvalidInput
        For a scheme that no GGUF file has.
    """
    asked = deployment.quantization
    if asked is not None and asked.casefold() in GGUF:
        return GGUF[asked.casefold()]
    own = checkpoint_scheme(model)
    if asked is None and own is not None and own.id in _CONVERTED:
        return GGUF[_CONVERTED[own.id]]
    found = effective_scheme(model, asked, engine=deployment.engine, version=deployment.engine_version)
    return GGUF[_CONVERTED[found.id]] if found.id in _CONVERTED else found


def kv_element_bytes(model: Model, deployment: Deployment, width: int) -> float:
    """Bytes of a cached value: f16 unless ``--cache-type-k`` and ``-v`` say otherwise [B]."""
    name = "f16" if deployment.kv_cache_dtype == "auto" else deployment.kv_cache_dtype
    return kv_format(name, deployment.engine).element_bytes


def defaults(version: versions.Version, card: GPU, model: Model, length: Floats) -> Defaults:
    """One slot, the physical batch of the version."""
    return Defaults(max_num_seqs=1, max_num_batched_tokens=float(version.n_ubatch))


def command(deployment: Deployment, checkpoint: str, model: Model, quantized: bool) -> list[str]:
    """The ``llama-server`` line; the file stands in the folder of the checkpoint's name."""
    layers = len(model.layers) + 1 if deployment.n_gpu_layers is None else deployment.n_gpu_layers
    return line(deployment, checkpoint, deployment.max_model_len or model.max_model_len, layers)


def line(deployment: Deployment, checkpoint: str, length: int, layers: int) -> list[str]:
    """The same for a context of ``length`` tokens a slot and ``layers`` layers on the GPU, whatever the model."""
    slots = deployment.max_num_seqs or 1
    on_cpu = deployment.gpu == "cpu"
    words = ["llama-server", "--model", f"{checkpoint.removesuffix('.gguf')}.gguf"]
    words += ["--ctx-size", str(length * slots), "--parallel", str(slots)]
    words += ["--n-gpu-layers", str(0 if on_cpu else layers)]
    if deployment.pipeline_parallel_size > 1:
        words += ["--split-mode", "layer"]
    cache = "" if deployment.kv_cache_dtype == "auto" else deployment.kv_cache_dtype
    words += ["--cache-type-k", cache, "--cache-type-v", cache] if cache else []
    words += flags(deployment, {"max_num_batched_tokens": "--ubatch-size"})
    if (deployment.max_num_batched_tokens or 0) > 2048:  # the logical batch is at least the physical one
        words += ["--batch-size", str(deployment.max_num_batched_tokens)]
    return words + (["--swa-full"] if deployment.swa_full else [])


ENGINE = Engine(
    name="llama.cpp",
    title="llama.cpp",
    version=versions.DEFAULT,
    fields=frozenset(
        {
            "pipeline_parallel_size",
            "kv_cache_dtype",
            "max_model_len",
            "max_num_seqs",
            "max_num_batched_tokens",
            "n_gpu_layers",
            "swa_full",
        }
    ),
    release=versions.version,
    defaults=defaults,
    command=command,
    scheme=scheme,
    kv_element_bytes=kv_element_bytes,
    instead={
        "tensor_parallel_size": "pipeline_parallel_size, which splits the layers",
        "cpu_offload_gb": "n_gpu_layers",
    },
    speed_basis="exact",
    speed_spread=1.0,
)
