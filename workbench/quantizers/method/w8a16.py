"""8-bit integer weights, activations left in 16 bit; rounded to the nearest or by GPTQ.

References
----------
llm-compressor 0.14: ``QuantizationModifier`` or ``GPTQModifier`` with the weights of the preset scheme ``W8A16``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.registry import Method, Parameter

__all__ = ["METHOD", "load", "quantize"]


def _by_gptq(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters["modifier"] == "GPTQModifier")


METHOD = Method(
    id="w8a16",
    title="W8A16, 8-bit integer weights",
    library=compressed.LIBRARY,
    scheme="w8a16",
    engines=compressed.ENGINES,
    calibrates_if=_by_gptq,
    capability=(7, 5),
    native=(7, 5),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    variants=({}, {"modifier": "GPTQModifier"}),
    note="Half the memory at hardly any loss, but it multiplies in 16 bit; vLLM's CPU build has no kernel for it.",
    parameters=(
        Parameter(
            "modifier",
            "QuantizationModifier",
            "Round to the nearest, or by GPTQ on calibration text.",
            str,
            choices=("QuantizationModifier", "GPTQModifier"),
        ),
        compressed.GROUP_SIZE,
        compressed.SYMMETRIC,
        compressed.WEIGHT_OBSERVER,
        compressed.DAMPENING,
        compressed.BLOCK_SIZE,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    groups = compressed.integer_groups(8, parameters["group_size"], parameters["symmetric"])
    if not _by_gptq(parameters):
        compressed.oneshot(source, out, compressed.rounding(parameters, config_groups=groups), tell)
        return
    from llmcompressor.modifiers.gptq import GPTQModifier

    recipe = GPTQModifier(
        config_groups=groups,
        ignore=parameters["ignore"],
        dampening_frac=parameters["dampening_frac"],
        block_size=parameters["block_size"],
    )
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
