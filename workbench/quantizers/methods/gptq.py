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
from workbench.quantizers.compressed import IGNORE, oneshot
from workbench.quantizers.registry import Method, Parameter

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="gptq",
    title="GPTQ, 4-bit weights",
    library="llmcompressor 0.14.0.1",
    scheme="w4a16",
    engines=("vllm", "vllm-cpu", "sglang"),
    capability=(7, 5),
    native=(7, 5),
    samples="num_calibration_samples",
    length="max_seq_length",
    note="Written as compressed-tensors, which vLLM reads with its Marlin kernels.",
    parameters=(
        Parameter("bits", 4, "Bits of a weight.", int, choices=(4, 8)),
        Parameter("group_size", 128, "Inputs that share a scale; -1 is one scale a channel.", int,
                  choices=(-1, 32, 64, 128)),
        Parameter("sym", True, "Symmetric quantisation, without zero points.", bool),
        Parameter("desc_act", True, "Quantise the columns with the largest activations first.", bool),
        Parameter("static_groups", True, "With desc_act: keep groups of neighbours, which costs nothing at run time.",
                  bool),
        Parameter("damp_percent", 0.01, "Part of the Hessian's mean diagonal added to it.", float, low=1e-6, high=1.0),
        Parameter("block_size", 128, "Columns made up for at once.", int, low=8, high=65_536),
        Parameter("num_calibration_samples", 512, "Calibration texts used.", int, low=1, high=100_000),
        Parameter("max_seq_length", 2048, "Tokens of a calibration text; longer ones are cut.", int,
                  low=8, high=131_072),
        IGNORE,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from llmcompressor.modifiers.gptq import GPTQModifier

    order = None
    if parameters["desc_act"]:
        order = "static" if parameters["static_groups"] else "group"
    grouped = parameters["group_size"] > 0
    weights = QuantizationArgs(
        num_bits=parameters["bits"],
        type="int",
        symmetric=parameters["sym"],
        strategy="group" if grouped else "channel",
        group_size=parameters["group_size"] if grouped else None,
    )
    recipe = GPTQModifier(
        config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=weights)},
        ignore=parameters["ignore"],
        actorder=order if grouped or order != "group" else "static",
        dampening_frac=parameters["damp_percent"],
        block_size=parameters["block_size"],
    )
    oneshot(source, out, recipe, tell, samples, parameters["max_seq_length"])
