"""Wanda: weights set to zero by their size times that of their inputs, the others unchanged.

References
----------
Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024. llm-compressor 0.14:
``WandaPruningModifier``. vLLM 0.32.0 ``compressed_tensors/compressed_tensors.py`` refuses a sparsity
configuration ("Sparsity support has been removed"), and has no scheme for 2:4.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed, pruning
from workbench.quantizers.registry import Method

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="wanda",
    title="Wanda, weights set to zero",
    library=compressed.LIBRARY,
    scheme="bf16",
    engines=pruning.ENGINES,
    samples=compressed.SAMPLES,
    length=compressed.LENGTH,
    together=pruning.together,
    against=pruning.against,
    size=pruning.size,
    variants=pruning.VARIANTS,
    note=pruning.NOTE,
    parameters=(
        *pruning.PARAMETERS,
        *compressed.CALIBRATION,
        compressed.IGNORE,
    ),
)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from llmcompressor.modifiers.pruning.wanda import WandaPruningModifier

    recipe = WandaPruningModifier(
        sparsity=parameters["sparsity"],
        mask_structure=parameters["mask_structure"],
        ignore=parameters["ignore"],
    )
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
