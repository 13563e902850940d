"""The Deployment that another engine's command describes, so that it can be planned.

What a command leaves out is the engine's own default, which the plan takes from the engine's room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.translation import published

Options = Mapping[str, Sequence[str]]

#: TGI's names of cached values, in the planner's words.
_TGI_CACHES = {"fp8_e4m3fn": "fp8_e4m3", "fp8_e5m2": "fp8_e5m2"}
#: Options that are a field as they stand.
_TGI = {
    "--num-shard": "tensor_parallel_size",
    "--max-total-tokens": "max_model_len",
    "--max-batch-prefill-tokens": "max_num_batched_tokens",
    "--cuda-memory-fraction": "cuda_memory_fraction",
}
#: What a folder's name says of its weights, as TensorRT-LLM loads them: FP8 by tensor is no larger than in blocks.
_TENSORRT_LLM_SCHEMES = {"fp8": "fp8_block"}
_TENSORRT_LLM = {
    "--tensor_parallel_size": "tensor_parallel_size",
    "--pipeline_parallel_size": "pipeline_parallel_size",
    "--max_batch_size": "max_num_seqs",
    "--max_num_tokens": "max_num_batched_tokens",
    "--max_seq_len": "max_model_len",
    "--free_gpu_memory_fraction": "free_gpu_memory_fraction",
}


def fields(program: str, options: Options, plain: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """Model and fields of a Deployment; no fields where the program serves no model.

    Parameters
    ----------
    program : str
        The name by which it is called now.
    options : mapping
        Its options by their long names, with their values.
    plain : sequence of str
        Its words that are no options.

    Examples
    --------
    >>> fields("trtllm-serve", {"--tensor_parallel_size": ["2"]}, ["org/model"])
    ('org/model', {'engine': 'tensorrt-llm', 'tensor_parallel_size': 2})
    """
    reader = _READERS.get(program)
    return reader(options, plain) if reader else (None, {})


def _llama_cpp(options: Options, _: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """llama-server and the programs that load a file as it does; its context is of all slots together."""
    file = _first(options, "--model") or _first(options, "--hf-repo")
    slots = _whole(options, "--parallel")
    slots = slots if slots and slots > 0 else None
    layers = _whole(options, "--gpu-layers")
    found = {
        "engine": "llama.cpp",
        "quantization": published.scheme((file or "").replace(":", "-")),
        "max_num_seqs": slots,
        "max_model_len": (_whole(options, "--ctx-size") or 0) // (slots or 1) or None,
        "n_gpu_layers": layers if layers is None or layers >= 0 else None,
        "max_num_batched_tokens": _whole(options, "--ubatch-size"),
    }
    caches = {_first(options, f"--cache-type-{which}") for which in "kv"}
    if len(caches) == 1 and (cache := caches.pop()):
        found["kv_cache_dtype"] = cache
    if layers == 0:
        found |= {"gpu": "cpu", "n_gpu_layers": None}
    return published.model((file or "").partition(":")[0] or None), _said(found)


def _llama_python(options: Options, _: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """``Llama(…)`` of llama-cpp-python: no layer on a GPU and 512 tokens unless it says otherwise; 0 is the model's."""
    layers = _whole(options, "n_gpu_layers") or 0
    length = _whole(options, "n_ctx")
    words = {
        "--model": options.get("model_path", ()),
        "--ctx-size": [str(512 if length is None else length)],
        "--gpu-layers": [str(layers)],
        "--ubatch-size": options.get("n_ubatch", ()),
    }
    return _llama_cpp({name: value for name, value in words.items() if value}, ())


def _ollama(_: Options, plain: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """``ollama run TAG``: llama.cpp with the library's own file."""
    tag = plain[0] if plain else ""
    known = published.of_ollama().get(tag if ":" in tag else f"{tag}:latest")
    if known is None:
        return None, {}
    return known[0], {"engine": "llama.cpp", "quantization": known[1]}


def _tgi(options: Options, _: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    name = _first(options, "--model-id")
    found: dict[str, Any] = {"engine": "tgi"} | _fields(options, _TGI)
    if cache := _first(options, "--kv-cache-dtype"):
        found["kv_cache_dtype"] = _TGI_CACHES.get(cache, cache)
    quantised = {"fp8": "fp8", "awq": "awq", "gptq": "gptq"}.get(_first(options, "--quantize") or "")
    if quantised and published.scheme(name) != quantised:
        found["quantization"] = quantised
    if dtype := _first(options, "--dtype"):
        found["dtype"] = dtype
    return published.model(name), _said(found)


def _tensorrt_llm(options: Options, plain: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    name = plain[0] if plain else None
    scheme = published.scheme(name)
    found: dict[str, Any] = {"engine": "tensorrt-llm"} | _fields(options, _TENSORRT_LLM)
    known = published.model(name)
    if scheme and known != name:  # a folder of what was quantised, planned as the model it was made of
        found["quantization"] = _TENSORRT_LLM_SCHEMES.get(scheme, scheme)
    return known, _said(found)


def _fields(options: Options, names: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, field in names.items():
        if (text := _first(options, option)) is not None:
            try:
                found[field] = float(text) if "fraction" in field else int(text)
            except ValueError:
                continue
    return found


def _first(options: Options, name: str) -> str | None:
    values = options.get(name, ())
    return values[0] if values else None


def _whole(options: Options, name: str) -> int | None:
    try:
        return int(_first(options, name) or "")
    except ValueError:
        return None


def _said(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


_READERS: dict[str, Callable[[Options, Sequence[str]], tuple[str | None, dict[str, Any]]]] = {
    "llama-server": _llama_cpp,
    "llama-cli": _llama_cpp,
    "llama-completion": _llama_cpp,
    "Llama": _llama_python,
    "ollama run": _ollama,
    "text-generation-launcher": _tgi,
    "trtllm-serve": _tensorrt_llm,
}
