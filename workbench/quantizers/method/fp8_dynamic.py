"""FP8: 8-bit floating-point weights, one scale a channel, activations scaled a token while running.

Needs no calibration text.

References
----------
llm-compressor 0.14: preset scheme ``FP8_DYNAMIC`` of ``QuantizationModifier``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w8a8_fp8.py`` (compute capabilities).
"""

from __future__ import annotations

from dataclasses import replace

from workbench.formats.named import FP8_CHANNEL
from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.preflight import stored_as
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="fp8_dynamic",
    title="FP8, weights and activations, scales at run time",
    library=compressed.LIBRARY,
    scheme="fp8",
    quality="fp8",
    engines=("vllm", "vllm-cpu", "sglang"),
    calibrates=False,
    capability=(7, 5),
    native=(8, 9),
    size=stored_as(replace(FP8_CHANNEL, scale_bits=compressed.SCALE_BITS)),
    note="Below compute capability 8.9 vLLM reads the weights only and multiplies in 16 bit.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("FP8_DYNAMIC")
