"""FP8: 8-bit floating-point weights, one scale a channel, activations scaled a token while running.

Needs no calibration text.

References
----------
llm-compressor 0.14: preset scheme ``FP8_DYNAMIC`` of ``QuantizationModifier``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers.compressed import IGNORE, oneshot
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="fp8_dynamic",
    title="FP8, weights and activations, scales at run time",
    library="llmcompressor 0.14.0.1",
    scheme="fp8",
    engines=("vllm", "vllm-cpu", "sglang"),
    calibrates=False,
    capability=(7, 5),
    native=(8, 9),
    note="Below compute capability 8.9 vLLM reads the weights only and multiplies in 16 bit.",
    parameters=(IGNORE,),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    from llmcompressor.modifiers.quantization import QuantizationModifier

    recipe = QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=parameters["ignore"])
    oneshot(source, out, recipe, tell)
