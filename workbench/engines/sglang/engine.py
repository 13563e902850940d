"""SGLang as the planner knows it.

``max_model_len`` is its ``--context-length``, ``max_num_seqs`` its ``--max-running-requests``,
``max_num_batched_tokens`` its ``--chunked-prefill-size``, ``block_size`` its ``--page-size``. Data parallelism is that
of the attention (``--attn-dp-size``): its tensor parallel size is then the product of both. From 0.5.23 on its parser
warns of the older words for it and for doing without CUDA graphs (``server_args.py``), and may drop them in 2027.
"""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.engines.engine import Defaults, Engine, Floats
from workbench.engines.sglang import versions
from workbench.engines.tables import parse
from workbench.engines.words import dtype, flags
from workbench.formats import SCHEMES
from workbench.hardware import GPU

_FLAGS = {
    "pipeline_parallel_size": "--pp-size",
    "max_model_len": "--context-length",
    "max_num_seqs": "--max-running-requests",
    "max_num_batched_tokens": "--chunked-prefill-size",
    "block_size": "--page-size",
    "kv_cache_dtype": "--kv-cache-dtype",
    "mem_fraction_static": "--mem-fraction-static",
}


#: From here on some words are new.
_RENAMED = (0, 5, 23)


def defaults(version: versions.Version, card: GPU, model: Model, length: Floats) -> Defaults:
    """What the server takes on a card."""
    return Defaults(
        max_num_seqs=version.running_least,
        max_num_batched_tokens=float(version.chunk(card.capacity.value)),
        block_size=1,
    )


def command(deployment: Deployment, checkpoint: str, model: Model, quantized: bool) -> list[str]:
    """The ``python -m sglang.launch_server`` line."""
    words = ["python", "-m", "sglang.launch_server", "--model-path", checkpoint]
    ranks, data = deployment.tensor_parallel_size * deployment.data_parallel_size, deployment.data_parallel_size
    words += ["--tp-size", str(ranks)] if ranks > 1 else []
    new = parse(deployment.engine_version or versions.DEFAULT) >= _RENAMED
    if data > 1:
        words += ["--attn-dp-size", str(data)] if new else ["--dp-size", str(data), "--enable-dp-attention"]
    words += ["--ep-size", str(ranks)] if deployment.enable_expert_parallel else []
    words += flags(deployment, _FLAGS)
    scheme = SCHEMES.get(deployment.quantization or "")
    if scheme is not None and scheme.quantized and scheme.online and not quantized:
        words += ["--quantization", scheme.vllm]
    if dtype(deployment):
        words += ["--dtype", dtype(deployment)]
    if deployment.enforce_eager:
        words += ["--disable-prefill-cuda-graph", "--disable-decode-cuda-graph"] if new else ["--disable-cuda-graph"]
    return words


ENGINE = Engine(
    name="sglang",
    title="SGLang",
    version=versions.DEFAULT,
    fields=frozenset(
        {*_FLAGS, "tensor_parallel_size", "data_parallel_size", "enable_expert_parallel", "enforce_eager"}
    ),
    release=versions.version,
    defaults=defaults,
    command=command,
    instead={"gpu_memory_utilization": "mem_fraction_static"},
    speed_basis="exact",
    speed_spread=1.0,
)
