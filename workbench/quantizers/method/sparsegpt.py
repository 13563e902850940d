"""SparseGPT: weights set to zero, the others changed to make up for it; 2 of every 4 neighbours, or anywhere.

References
----------
Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", ICML 2023.
llm-compressor 0.14: ``SparseGPTModifier``. vLLM 0.32.0 ``compressed_tensors/compressed_tensors.py`` refuses a sparsity
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
    id="sparsegpt",
    title="SparseGPT, weights set to zero",
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
    from llmcompressor.modifiers.pruning.sparsegpt import SparseGPTModifier

    recipe = SparseGPTModifier(
        sparsity=parameters["sparsity"],
        mask_structure=parameters["mask_structure"],
        ignore=parameters["ignore"],
        dampening_frac=parameters["dampening_frac"],
        block_size=parameters["block_size"],
    )
    compressed.oneshot(source, out, recipe, tell, samples, parameters)
