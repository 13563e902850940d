"""The KV cache: bytes a token."""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.audit.computed.sizes import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B
from workbench.audit.registry import computes
from workbench.audit.rules import Found, number, statement, worst
from workbench.engines.vllm.schema import bundled, schema
from workbench.quantities import GB, GIB


@computes("C002-027", told=131)
def token_of_8b(told: float) -> Found:
    """A token of Llama 3 8B in 16 bit [kB]."""
    return number(told, Model.from_config(LLAMA_3_8B).kv_bytes_per_token() / 1e3, "kB")


@computes("C002-028", told=8.6)
def two_hundred_requests(told: float) -> Found:
    """256 requests of 256 tokens [GB]."""
    return number(told, 256 * 256 * Model.from_config(LLAMA_3_8B).kv_bytes_per_token() / GB, "GB")


@computes("C002-038")
def long_context() -> Found:
    """32,768 tokens in 16 bit and in FP8 [GB]."""
    model = Model.from_config(LLAMA_3_8B)
    return worst(
        [
            number(told, (size := 32768 * model.kv_bytes_per_token(dtype) / GB), shown=f"{size:.2f} GB ({dtype})")
            for told, dtype in ((4.2, "bfloat16"), (2.1, "fp8"))
        ]
    )


@computes("C004-072")
def without_groups() -> Found:
    """2 L d b beside what models with grouped heads cache."""
    parts = []
    for name in (LLAMA_3_8B, LLAMA_3_70B):
        model = Model.from_config(name)
        told = 2 * len(model.layers) * model.hidden * 2
        own = model.kv_bytes_per_token()
        parts.append(number(told, own, shown=f"{name.split('-')[-2]}: {own / 1024:.0f} KiB, not {told / 1024:.0f}"))
    return worst(parts)


@computes("C004-073", told=1)
def seven_b_at_2048(told: float) -> Found:
    """2048 tokens of a 7B Llama [GiB]."""
    return number(told, 2048 * Model.from_config(LLAMA_2_7B).kv_bytes_per_token() / GIB, "GiB")


@computes("C004-074")
def one_head() -> Found:
    """Llama 2 7B with one key-value head instead of as many as it has queries'."""
    model = Model.from_config(LLAMA_2_7B)
    single = Model.from_config({**model.config, "num_key_value_heads": 1}, id="one head")
    ratio = model.kv_bytes_per_token() / single.kv_bytes_per_token()
    return statement(ratio == model.heads, f"{ratio:.0f} times less; {model.heads} heads", number=ratio)


@computes("C004-075", told=50)
def int8_cache(told: float) -> Found:
    """What a byte a value saves [%], and by which words vLLM takes an INT8 cache."""
    words = [word for word in schema(bundled()[-1]).options["--kv-cache-dtype"].named if word.startswith("int8")]
    judged = number(told, 100 * (1 - 1 / 2), "%")
    return statement(judged.verdict == "correct" and bool(words), f"{judged.value}; {', '.join(words)}", but=True)
