"""MLC LLM, which is not planned for itself: conversion, configuration and serving with what carries over of a plan.

Lengths, batch, division and format carry over. Memory does not: MLC LLM compiles its own kernels and sizes its own
cache, so the plan says nothing of whether it fits there, and the files say so.

References
----------
https://llm.mlc.ai/docs/compilation/convert_weights.html, https://llm.mlc.ai/docs/deploy/rest.html,
github:mlc-ai/mlc-llm ``python/mlc_llm/cli/serve.py`` (``EngineConfigOverride``: what ``--overrides`` takes),
``cli/convert_weight.py``, ``cli/gen_config.py``, ``interface/gen_config.py`` (``CONV_TEMPLATES``),
``quantization/quantization.py`` (``QUANTIZATION``).
"""

from __future__ import annotations

from workbench.engines.words import dtype
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.writing import command, script

#: How a model's name begins -> its conversation template, for the families whose format MLC LLM has under one name.
_TEMPLATES = (
    ("meta-llama/Llama-3.1-", "llama-3_1"),
    ("meta-llama/Llama-3.2-", "llama-3_1"),
    ("meta-llama/Llama-3.3-", "llama-3_1"),
    ("meta-llama/Meta-Llama-3.1-", "llama-3_1"),
    ("meta-llama/Meta-Llama-3-", "llama-3"),
    ("meta-llama/Llama-2-", "llama-2"),
    ("Qwen/Qwen2", "chatml"),
    ("Qwen/Qwen3-", "chatml"),
    ("mistralai/Mistral-7B-Instruct", "mistral_default"),
    ("google/gemma-2-", "gemma_instruction"),
    ("google/gemma-3-", "gemma3_instruction"),
    ("microsoft/Phi-3-", "phi-3"),
    ("microsoft/phi-4", "phi-4"),
)
#: A scheme -> MLC LLM's word for storing the same weights the same way.
_FORMATS = {"bf16": "q0bf16", "fp16": "q0f16", "fp32": "q0f32", "awq": "q4f16_autoawq"}
_DTYPES = {"bfloat16": "q0bf16", "float16": "q0f16", "float32": "q0f32"}
#: Fields that change what is computed or held, and that MLC LLM has no word for.
_NOWHERE = (
    "data_parallel_size", "enable_expert_parallel", "speculative_config", "kv_transfer_config", "enable_lora",
    "cpu_offload_gb", "kv_offloading_size", "enable_eplb",
)  # fmt: skip


def _template(subject: Subject) -> str:
    model = subject.plan.model.id
    return next((template for start, template in _TEMPLATES if model.startswith(start)), "")


def _format(subject: Subject) -> str:
    """MLC LLM's word for the plan's weights; "" where it has none for the same."""
    from workbench.engines.registry import engine

    scheme = engine(subject.engine).scheme(subject.plan.model, subject.plan.deployment)
    asked = "" if scheme.quantized else dtype(subject.plan.deployment)
    return _DTYPES[asked] if asked in _DTYPES else _FORMATS.get(scheme.id, "")


def files(subject: Subject) -> list[File]:
    """Scripts: convert and compile once, serve."""
    deployment, form = subject.plan.deployment, _format(subject)
    source = "mlc/source" if subject.from_hub else subject.model_path
    made, library = "mlc/model", "mlc/model/library.so"
    shape = ["--quantization", form]
    fetch = [command(["hf", "download", subject.plan.model.id, "--local-dir", source])] if subject.from_hub else []
    config = ["mlc_llm", "gen_config", source, *shape, "--conv-template", _template(subject)]
    config += ["--context-window-size", str(subject.max_model_len)]
    if deployment.max_num_batched_tokens:
        config += ["--prefill-chunk-size", str(deployment.max_num_batched_tokens)]
    if deployment.tensor_parallel_size > 1:
        config += ["--tensor-parallel-shards", str(deployment.tensor_parallel_size)]
    if deployment.pipeline_parallel_size > 1:
        config += ["--pipeline-parallel-stages", str(deployment.pipeline_parallel_size)]
    if deployment.max_num_seqs:
        config += ["--max-batch-size", str(deployment.max_num_seqs)]
    build = [
        "# The plan was made for another engine: whether MLC LLM fits these GPUs is for its own log to say.",
        *fetch,
        command(["mlc_llm", "convert_weight", source, *shape, "--output", made]),
        command([*config, "--output", made]),
        command(["mlc_llm", "compile", f"{made}/mlc-chat-config.json", "--device", "cuda", "--output", library]),
    ]
    overrides = {
        "context_window_size": subject.max_model_len,
        "max_num_sequence": deployment.max_num_seqs,
        "prefill_chunk_size": deployment.max_num_batched_tokens,
    }
    said = ";".join(f"{name}={value}" for name, value in overrides.items() if value)
    serve = ["mlc_llm", "serve", made, "--model-lib", library, "--mode", "server", "--device", "cuda"]
    serve += ["--overrides", said, "--host", "127.0.0.1", "--port", str(subject.wishes.port)]
    if deployment.enable_prefix_caching is False:
        serve += ["--prefix-cache-mode", "disable"]
    return [
        File("mlc/build.sh", "shell", script("\n".join(build)), executable=True),
        File("mlc/serve.sh", "shell", script(f"exec {command(serve)}"), executable=True),
    ]


def obstacle(subject: Subject) -> str | None:
    """What of the plan MLC LLM has no word for."""
    deployment = subject.plan.deployment
    plain = type(deployment)()
    if subject.outgrows:
        return subject.outgrows
    if not subject.gpus or subject.plan.card.vendor != "NVIDIA":
        return f"gpu {deployment.gpu}: the lines are written for CUDA"
    for field in _NOWHERE:
        if getattr(deployment, field) != getattr(plain, field):
            return f"{field}: MLC LLM has no such option"
    if deployment.kv_cache_dtype != "auto":
        return f"kv_cache_dtype {deployment.kv_cache_dtype}: MLC LLM caches in the model's own format"
    if not _format(subject):
        return "quantization: MLC LLM stores floats and AWQ as planned, other formats in its own way"
    if not _template(subject):
        return f"which of MLC LLM's conversation templates is {subject.plan.model.id}'s is not known here"
    return None


def steps(subject: Subject) -> list[str]:
    """Build, serve, and what the plan does not say."""
    return [
        "Install MLC LLM for this machine's CUDA: https://llm.mlc.ai/docs/install/mlc_llm.html.",
        *([] if subject.from_hub else [f"The checkpoint must lie at `{subject.model_path}`."]),
        "From the folder of this README run `mlc/build.sh` once, then `mlc/serve.sh`. It asks for no key.",
        f"Memory and speed were planned for {subject.engine}: MLC LLM prints its own estimate at its start.",
    ]


TARGET = Target(
    id="mlc",
    title="MLC LLM",
    about="Conversion, compilation and serving by MLC LLM, with what carries over of a plan for another engine.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    instead=True,
    source="https://llm.mlc.ai/docs/deploy/rest.html",
    without={
        "llama.cpp": "MLC LLM converts safetensors, not GGUF files",
        "transformers": "one batch of generate says nothing that a server of MLC LLM could be told",
    },
)
