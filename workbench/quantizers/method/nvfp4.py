"""NVFP4: 4-bit floats in groups of 16, for weights and activations; by llm-compressor, calibrated.

References
----------
llm-compressor 0.14: preset scheme ``NVFP4`` of ``QuantizationModifier``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w4a4_nvfp4.py`` (compute capabilities).
"""

from __future__ import annotations

from workbench.formats.named import NVFP4
from workbench.quantizers import compressed
from workbench.quantizers.compressed import load
from workbench.quantizers.preflight import in_groups_of, stored_as
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="nvfp4",
    title="NVFP4, weights and activations",
    library=compressed.LIBRARY,
    scheme="nvfp4",
    engines=compressed.ENGINES,
    capability=(7, 5),
    native=(10, 0),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    against=in_groups_of(16),
    size=stored_as(NVFP4),
    note="Multiplies in FP4 on Blackwell; before, vLLM reads the weights only. Its CPU build has no kernel for it.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.INPUT_OBSERVER,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("NVFP4")
