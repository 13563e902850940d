"""MXFP4: 4-bit floats in groups of 32 with an 8-bit exponent, for weights and activations; by llm-compressor.

Needs no calibration text.

References
----------
OCP Microscaling Formats (MX) Specification 1.0. llm-compressor 0.14: preset scheme ``MXFP4`` of
``QuantizationModifier``. vLLM 0.32.0 ``compressed_tensors/schemes/compressed_tensors_w4a4_mxfp4.py`` (compute
capabilities).
"""

from __future__ import annotations

from workbench.formats.named import MXFP4
from workbench.quantizers import compressed
from workbench.quantizers.compressed import load
from workbench.quantizers.preflight import in_groups_of, stored_as
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="mxfp4",
    title="MXFP4, weights and activations",
    library=compressed.LIBRARY,
    scheme="mxfp4",
    engines=compressed.ENGINES,
    calibrates=False,
    capability=(8, 0),
    native=(10, 0),
    against=in_groups_of(32),
    size=stored_as(MXFP4),
    note="Multiplies in FP4 on Blackwell; before, vLLM reads the weights only. Its CPU build has no kernel for it.",
    parameters=(
        compressed.WEIGHT_OBSERVER,
        compressed.IGNORE,
    ),
)

quantize = compressed.by_preset("MXFP4")
