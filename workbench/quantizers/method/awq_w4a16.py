"""AWQ by llm-compressor: scales searched on calibration text, then 4-bit weights rounded to the nearest.

References
----------
Lin et al., "AWQ: Activation-aware Weight Quantization", MLSys 2024. llm-compressor 0.14: ``AWQModifier`` and
``QuantizationModifier``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed
from workbench.quantizers.preflight import quantised
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source

__all__ = ["METHOD", "load", "quantize"]

#: What AWQ scales together: the first's outputs, the second's inputs.
_JOINTS = (("v_proj", "o_proj"), ("up_proj", "down_proj"))


def _against(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    """llm-compressor 0.14 divides by zero where the second of a joint is left out and the first is not."""
    chosen = {t.name for t in quantised(source, parameters)}
    left_out = {t.name for t in source.linears} - chosen
    return compressed.lost_zeros(source, parameters) + [
        f"{second} is left out where {first} is not, which llm-compressor's AWQ cannot do; leave out both or none"
        for first, second in _JOINTS
        if any(name.replace(f"{first}.", f"{second}.") in left_out for name in chosen if f".{first}." in name)
    ]


METHOD = Method(
    id="awq_w4a16",
    title="AWQ, 4-bit weights, by llm-compressor",
    library=compressed.LIBRARY,
    scheme="w4a16",
    quality="awq",
    engines=("vllm", "vllm-cpu", "sglang"),
    capability=(7, 5),
    native=(7, 5),
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    against=_against,
    note="The maintained successor of AutoAWQ, mixtures of experts too; written as compressed-tensors. Slow on a CPU.",
    parameters=(
        compressed.GROUP_SIZE,
        Parameter("symmetric", False, "Symmetric quantisation, without zero points.", bool),
        Parameter(
            "duo_scaling",
            "true",
            "Search scales from activations and weights, from activations alone, or both.",
            str,
            choices=("true", "false", "both"),
        ),
        Parameter("n_grid", 20, "Scales tried for each joint of the model.", int, low=1, high=1000),
        compressed.WEIGHT_OBSERVER,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    import torch
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        # It pins memory for copies to an accelerator, and torch refuses where there is none.
        IntermediatesCache.pin_memory = lambda self, batch_index, input_names=None: None
    groups = compressed.integer_groups(4, parameters["group_size"], parameters["symmetric"])
    duo = {"true": True, "false": False}.get(parameters["duo_scaling"], "both")
    recipe = [
        AWQModifier(duo_scaling=duo, n_grid=parameters["n_grid"]),
        compressed.rounding(parameters, config_groups=groups),
    ]
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
