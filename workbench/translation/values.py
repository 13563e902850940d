"""Values that a parser takes and that are wrong or pointless all the same; told from the release and the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.engines.vllm.schema import Option, Schema
from workbench.errors import WorkbenchError

#: Words of a checkpoint's name that tell how it is quantised.
_MARKS = {"awq": r"awq", "gptq": r"gptq", "fp8": r"fp8"}
_MADE = {
    "awq": "awq",
    "awq_marlin": "awq",
    "auto_awq": "awq",
    "gptq": "gptq",
    "gptq_marlin": "gptq",
    "auto_gptq": "gptq",
}
_ONLINE = "fp8_per_tensor"


@dataclass(frozen=True, slots=True)
class Guess:
    """What is said of a value, and the values that stand for it."""

    status: str
    values: tuple[str, ...]
    text: str
    source: str


def guess(
    field: str, given: tuple[str, ...], schema: Schema, model: str | None, beside: Mapping[str, str]
) -> Guess | None:
    """What is wrong or pointless about a value; None of one that is in order."""
    if len(given) != 1:
        return None
    value = given[0]
    if field == "gpu_memory_utilization":
        return _share(value)
    if field.endswith("_parallel_size") and re.fullmatch(r"-?\d+", value) and int(value) < 1:
        return Guess("wrong", (), "it counts GPUs, so it is 1 at least", "vLLM 0.33.0: vllm/config/parallel.py")
    if field == "quantization":
        return _quantization(value, schema, model)
    if field == "speculative_config":
        return _method(value, schema)
    if field == "kv_cache_dtype" and value == "fp8_e5m2":
        return _e5m2(model, beside)
    return None


def same(option: Option, given: tuple[str, ...]) -> bool:
    """Whether values are what the option takes when it is left out."""
    if option.default is None or not given:
        return False
    if isinstance(option.default, (list, dict)):
        text = given[0] if option.kind in ("json", "object", "text or json") else json.dumps(list(given))
        try:
            return bool(json.loads(text) == option.default)
        except ValueError:
            return False
    if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
        try:
            return float(given[0]) == option.default
        except ValueError:
            return False
    return len(given) == 1 and given[0] == str(option.default)


def marked(model: str | None) -> str:
    """How a checkpoint is quantised, told from its name or from what is bundled of it; "" where nothing tells.

    >>> marked("TheBloke/Llama-2-70B-Chat-AWQ"), marked("meta-llama/Llama-3.1-8B-Instruct"), marked(None)
    ('awq', '', '')
    """
    for name, pattern in _MARKS.items():
        if model and re.search(rf"(?<![a-z0-9]){pattern}(?![a-z])", model.casefold()):
            return name
    return ""


def plain(model: str | None) -> bool:
    """Whether a model is known to be published unquantised: it is bundled, and its configuration says of no scheme."""
    if not model or marked(model):
        return False
    from workbench.architecture import Model
    from workbench.formats import checkpoint_scheme

    if model.startswith((".", "/", "~")) or len(model) > 200:
        return False
    try:
        return checkpoint_scheme(Model.from_config(model)) is None
    except (WorkbenchError, OSError, ValueError):
        return False


def _share(value: str) -> Guess | None:
    try:
        share = float(value)
    except ValueError:
        return None
    source = "vLLM 0.33.0: vllm/config/cache.py"
    if 1 < share <= 100:
        return Guess("wrong", (f"{share / 100:g}",), "a share of the card, from 0 to 1, not in per cent", source)
    if not 0 < share <= 1:
        return Guess("wrong", (), "a share of the card, above 0 and at most 1", source)
    return None


def _quantization(value: str, schema: Schema, model: str | None) -> Guess | None:
    option = schema.options["--quantization"]
    built_in = option.choices or option.named
    if built_in and value not in built_in and value != "None":
        text = f"vLLM {schema.version} has no such method built in"
        return Guess("wrong", (), text, f"vLLM {schema.since}: vllm/model_executor/layers/quantization/__init__.py")
    made = _MADE.get(value)
    if made and marked(model) == made:
        text = "the checkpoint says so itself, and vLLM picks the kernel"
        return Guess("default", (), text, "vLLM 0.33.0: vllm/config/model.py, _verify_quantization")
    if made and plain(model):
        text = (
            f"{model} is not quantised, and {made.upper()} is not made while loading: it needs a checkpoint made so"
            " (`workbench quantize`)"
        )
        return Guess(
            "wrong", (), text, "vLLM 0.33.0: vllm/model_executor/model_loader/weight_utils.py, get_quant_config"
        )
    if value == "fp8" and marked(model) == "fp8":
        return Guess("default", (), "the checkpoint says so itself", "vLLM 0.33.0: vllm/config/model.py")
    if value == "fp8" and _ONLINE in built_in:
        text = "of an unquantised checkpoint made while loading; for a checkpoint in FP8 leave it out"
        source = "vLLM 0.33.0: vllm/model_executor/model_loader/weight_utils.py; github:vllm-project/vllm pull/53585"
        return Guess("renamed", (_ONLINE,), text, source)
    return None


def _method(value: str, schema: Schema) -> Guess | None:
    """The way to draft that an object names."""
    try:
        method = json.loads(value).get("method")
    except (ValueError, AttributeError, RecursionError):
        return None
    option = schema.options.get("--spec-method")
    if option is None or not option.choices or method is None or method in option.choices:
        return None
    source = f"vLLM {schema.since}: vllm/config/speculative.py, SpeculativeMethod"
    return Guess("wrong", (), f"vLLM {schema.version} has no method {str(method)[:40]!r} to draft with", source)


def _e5m2(model: str | None, beside: Mapping[str, str]) -> Guess | None:
    source = "vLLM 0.33.0: vllm/model_executor/layers/attention/attention.py; vllm/v1/attention/backends/fa_utils.py"
    if marked(model) == "fp8":
        return Guess("wrong", ("fp8",), "refused with a checkpoint in FP8; fp8 is e4m3", source)
    text = "FlashAttention does not take it, so a slower kernel runs; fp8, which is e4m3, is the usual one"
    return Guess("kept", ("fp8_e5m2",), text, source)
