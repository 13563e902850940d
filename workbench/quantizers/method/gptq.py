"""GPTQ: integer weights, each column's error made up for by the columns after it; by llm-compressor.

References
----------
Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023.
The parameters carry AutoGPTQ's names, known from every ``quantize_config.json``; llm-compressor 0.14 calls
``desc_act`` with ``static_groups`` ``actorder``, and ``damp_percent`` ``dampening_frac``.
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
    id="gptq",
    title="GPTQ, 4-bit weights",
    library=compressed.LIBRARY,
    scheme="w4a16",
    quality="w4a16",
    engines=("vllm", "vllm-cpu", "sglang"),
    capability=(7, 5),
    native=(7, 5),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    against=compressed.lost_zeros,
    note="Written as compressed-tensors, which vLLM reads with its Marlin kernels.",
    parameters=(
        Parameter("bits", 4, "Bits of a weight.", int, choices=(4, 8)),
        compressed.GROUP_SIZE,
        Parameter("sym", True, "Symmetric quantisation, without zero points.", bool),
        Parameter("desc_act", True, "Quantise the columns with the largest activations first.", bool),
        Parameter("static_groups", True, "With desc_act: keep groups of neighbours, which costs nothing at run time.",
                  bool),
        Parameter("damp_percent", 0.01, "Part of the Hessian's mean diagonal added to it.", float, low=1e-6, high=1.0),
        compressed.BLOCK_SIZE,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from llmcompressor.modifiers.gptq import GPTQModifier

    order = None
    if parameters["desc_act"]:
        order = "static" if parameters["static_groups"] or parameters["group_size"] < 0 else "group"
    recipe = GPTQModifier(
        config_groups=compressed.integer_groups(parameters["bits"], parameters["group_size"], parameters["sym"]),
        ignore=parameters["ignore"],
        actorder=order,
        dampening_frac=parameters["damp_percent"],
        block_size=parameters["block_size"],
    )
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
