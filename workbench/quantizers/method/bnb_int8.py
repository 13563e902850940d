"""bitsandbytes LLM.int8(): 8-bit weights, a scale an output; inputs above a threshold are multiplied in 16 bit.

Needs no calibration text.

References
----------
Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", NeurIPS 2022. transformers 5.17
``BitsAndBytesConfig`` names and documents the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.formats import named
from workbench.quality.torch_model import load
from workbench.quantizers.preflight import stored_as
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.while_loading import SKIPPED, convert

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="bnb_int8",
    title="bitsandbytes, LLM.int8()",
    library="bitsandbytes 0.50.2",
    scheme="bnb_int8",
    engines=("transformers", "tgi"),
    calibrates=False,
    capability=(7, 5),
    native=(7, 5),
    size=stored_as(named.BNB_INT8),
    note="Slower than W8A8 of llm-compressor. vLLM moved bitsandbytes out into vllm-bnb-plugin in 0.28.",
    parameters=(
        Parameter("llm_int8_threshold", 6.0, "Inputs larger than this are multiplied in 16 bit; 0: none are.", float,
                  low=0.0, high=1e6),
        SKIPPED,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    from transformers import BitsAndBytesConfig

    convert(source, out, BitsAndBytesConfig(load_in_8bit=True, **parameters), tell)
