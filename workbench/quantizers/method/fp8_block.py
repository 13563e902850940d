"""FP8 in blocks of 128 × 128 weights with a scale each, as DeepSeek and Qwen publish; activations by groups of 128.

Needs no calibration text.

References
----------
llm-compressor 0.14: preset scheme ``FP8_BLOCK`` of ``QuantizationModifier``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w8a8_fp8.py`` (compute capabilities). Its
``utils/fp8_utils.py``, ``validate_fp8_block_shape``, asks that blocks do not cross the matrices it joins (Q, K and V;
gate and up).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.formats.named import FP8_BLOCK
from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.preflight import misfits, quantised, stored_as
from workbench.quantizers.registry import Method
from workbench.quantizers.source import Source

__all__ = ["METHOD", "load", "quantize"]


def _against(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    chosen = quantised(source, parameters)
    return [
        *misfits(chosen, 0, 128, "outputs", "blocks of"),
        *misfits(chosen, 1, 128, "inputs", "blocks of"),
    ]


METHOD = Method(
    id="fp8_block",
    title="FP8 in blocks of 128 × 128",
    library=compressed.LIBRARY,
    scheme="fp8_block",
    engines=compressed.ENGINES,
    calibrates=False,
    capability=(7, 5),
    native=(8, 9),
    against=_against,
    size=stored_as(replace(FP8_BLOCK, scale_bits=compressed.SCALE_BITS)),
    note="Below compute capability 8.9 vLLM reads the weights only; its CPU build has no kernel for blocks.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("FP8_BLOCK")
