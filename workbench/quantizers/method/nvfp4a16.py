"""NVFP4 weights, 4-bit floats in groups of 16, activations left in 16 bit; by llm-compressor.

Needs no calibration text.

References
----------
llm-compressor 0.14: preset scheme ``NVFP4A16`` of ``QuantizationModifier``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w4a4_nvfp4.py`` (compute capabilities).
"""

from __future__ import annotations

from workbench.formats.named import NVFP4_WEIGHT_ONLY
from workbench.quantizers import compressed
from workbench.quantizers.compressed import load
from workbench.quantizers.preflight import in_groups_of, stored_as
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="nvfp4a16",
    title="NVFP4, weights only",
    library=compressed.LIBRARY,
    scheme="nvfp4",
    engines=compressed.ENGINES,
    calibrates=False,
    capability=(7, 5),
    native=(7, 5),
    against=in_groups_of(16),
    size=stored_as(NVFP4_WEIGHT_ONLY),
    note="Multiplies in 16 bit on every card, with vLLM's Marlin kernel; its CPU build has none for it.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("NVFP4A16")
