"""SparseGPT: weights set to zero, the others changed to make up for it; 2 of every 4 neighbours, or anywhere.

References
----------
Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", ICML 2023.
llm-compressor 0.14: ``SparseGPTModifier``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import compressed, pruning

__all__ = ["METHOD", "load", "quantize"]

METHOD = pruning.method("sparsegpt", "SparseGPT, weights set to zero", compressed.DAMPENING, compressed.BLOCK_SIZE)


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from llmcompressor.modifiers.pruning.sparsegpt import SparseGPTModifier

    pruning.prune(SparseGPTModifier, source, out, parameters, samples, tell, "dampening_frac", "block_size")
