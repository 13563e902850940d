"""bitsandbytes NF4: 4-bit weights on the quantiles of a normal distribution, a scale for every 64.

Needs no calibration text; any engine that has bitsandbytes could make it while loading instead.

References
----------
Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", NeurIPS 2023. transformers 5.17
``BitsAndBytesConfig`` names and documents the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.formats import named
from workbench.quality.torch_model import load
from workbench.quantizers.preflight import stored
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source
from workbench.quantizers.while_loading import SKIPPED, convert

__all__ = ["METHOD", "load", "quantize"]


def _size(source: Source, parameters: Mapping[str, Any]) -> int:
    return stored(source, parameters, named.NF4_DOUBLE if parameters["bnb_4bit_use_double_quant"] else named.NF4)


METHOD = Method(
    id="bnb_nf4",
    title="bitsandbytes, 4-bit NF4 or FP4",
    library="bitsandbytes 0.50.2",
    scheme="nf4",
    engines=("transformers", "tgi"),
    calibrates=False,
    capability=(7, 0),
    native=(7, 0),
    size=_size,
    made=lambda parameters: "nf4_double" if parameters["bnb_4bit_use_double_quant"] else "nf4",
    variants=({}, {"bnb_4bit_use_double_quant": True}),
    note="Multiplies in 16 bit, slower than AWQ. vLLM moved bitsandbytes out into vllm-bnb-plugin in 0.28.",
    parameters=(
        Parameter("bnb_4bit_quant_type", "nf4", "The 16 values: quantiles of a normal distribution, or 4-bit floats.",
                  str, choices=("nf4", "fp4")),
        Parameter("bnb_4bit_use_double_quant", False, "Quantise the scales too, which saves 0.37 bits a weight.", bool),
        Parameter("bnb_4bit_compute_dtype", "bfloat16", "Float that it multiplies in.", str,
                  choices=("float16", "bfloat16", "float32")),
        SKIPPED,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    from transformers import BitsAndBytesConfig

    convert(source, out, BitsAndBytesConfig(load_in_4bit=True, **parameters), tell)
