"""FP8 with one scale a matrix, and one for its activations found beforehand on calibration text.

References
----------
llm-compressor 0.14: preset scheme ``FP8`` of ``QuantizationModifier``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w8a8_fp8.py`` (compute capabilities).
"""

from __future__ import annotations

from dataclasses import replace

from workbench.formats.named import FP8_TENSOR
from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.preflight import stored_as
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="fp8_static",
    title="FP8, weights and activations, scales found beforehand",
    library=compressed.LIBRARY,
    scheme="fp8",
    engines=compressed.ENGINES,
    capability=(7, 5),
    native=(8, 9),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    # Two scales a matrix: its own and that of its inputs.
    size=stored_as(replace(FP8_TENSOR, scale_bits=compressed.SCALE_BITS, tensor_bytes=2)),
    note="Below compute capability 8.9 vLLM reads the weights only; its CPU build has no kernel for static scales.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.INPUT_OBSERVER,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("FP8")
