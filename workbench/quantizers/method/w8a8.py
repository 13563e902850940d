"""INT8 weights and activations: SmoothQuant moves the outliers of activations into the weights, GPTQ rounds these.

References
----------
Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", ICML 2023;
Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023.
llm-compressor 0.14: ``SmoothQuantModifier``, and ``GPTQModifier`` with the preset scheme ``W8A8``. vLLM 0.32.0
``compressed_tensors/schemes/compressed_tensors_w8a8_int8.py`` (compute capabilities).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.registry import Method, Parameter

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="w8a8",
    title="INT8 W8A8, SmoothQuant and GPTQ",
    library=compressed.LIBRARY,
    scheme="int8",
    quality="int8",
    engines=("vllm", "vllm-cpu", "sglang"),
    capability=(7, 5),
    native=(7, 5),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    note="Multiplies in INT8 from Turing on, also on a CPU; FP8 loses less where the card has it.",
    parameters=(
        Parameter(
            "smoothing_strength",
            0.5,
            "How much of the outliers moves into the weights; 0 leaves it out.",
            float,
            low=0.0,
            high=1.0,
        ),
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
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    recipe: list[Any] = [
        GPTQModifier(
            targets="Linear",
            scheme="W8A8",
            ignore=parameters["ignore"],
            dampening_frac=parameters["dampening_frac"],
            block_size=parameters["block_size"],
        )
    ]
    if parameters["smoothing_strength"]:
        recipe.insert(0, SmoothQuantModifier(smoothing_strength=parameters["smoothing_strength"]))
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
