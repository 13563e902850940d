"""4-bit weights rounded to the nearest: the baseline that AWQ and GPTQ are there to beat.

Needs no calibration text.

References
----------
llm-compressor 0.14: ``QuantizationModifier`` with the weights of the preset schemes ``W4A16`` and ``W4A16_ASYM``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="w4a16_rtn",
    title="W4A16, rounded to the nearest",
    library=compressed.LIBRARY,
    scheme="w4a16",
    engines=("vllm", "vllm-cpu", "sglang"),
    calibrates=False,
    capability=(7, 5),
    native=(7, 5),
    against=compressed.lost_zeros,
    note="The baseline: no calibration, the largest loss. awq_w4a16 and gptq make the same format with less.",
    parameters=(
        compressed.GROUP_SIZE,
        compressed.SYMMETRIC,
        compressed.WEIGHT_OBSERVER,
        compressed.IGNORE,
    ),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    groups = compressed.integer_groups(4, parameters["group_size"], parameters["symmetric"])
    compressed.oneshot(source, out, compressed.rounding(parameters, config_groups=groups), tell)
