"""FP8 as ``fp8_dynamic`` makes it, and scales for an FP8 KV cache, found on calibration text.

References
----------
llm-compressor 0.14: preset scheme ``FP8_DYNAMIC`` and ``kv_cache_scheme`` of ``QuantizationModifier``. vLLM 0.32.0
``model_executor/layers/quantization/kv_cache.py`` (``k_scale``, ``v_scale``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.formats.named import FP8_CHANNEL
from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.preflight import stored
from workbench.quantizers.registry import Method
from workbench.quantizers.source import Source

__all__ = ["METHOD", "load", "quantize"]


def _size(source: Source, parameters: Mapping[str, Any]) -> int:
    """The weights, and in each layer a 16-bit scale for keys and one for values."""
    scales = 2 * 2 * int(source.config.get("num_hidden_layers") or 0)
    return stored(source, parameters, replace(FP8_CHANNEL, scale_bits=compressed.SCALE_BITS)) + scales


METHOD = Method(
    id="fp8_kv",
    title="FP8, and scales for an FP8 KV cache",
    library=compressed.LIBRARY,
    scheme="fp8",
    engines=("vllm", "vllm-cpu", "sglang"),
    capability=(7, 5),
    native=(8, 9),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    size=_size,
    note="With the scales, --kv-cache-dtype fp8 holds twice the tokens and loses less; vLLM takes it by itself then.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from compressed_tensors.quantization import QuantizationArgs

    cache = QuantizationArgs(num_bits=8, type="float", strategy="tensor", symmetric=True, dynamic=False)
    recipe = compressed.preset("FP8_DYNAMIC", parameters, kv_cache_scheme=cache)
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
