"""Wanda: weights set to zero by their size times that of their inputs, the others unchanged.

References
----------
Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024. llm-compressor 0.14:
``WandaPruningModifier``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import load
from workbench.quantizers import pruning

__all__ = ["METHOD", "load", "quantize"]

METHOD = pruning.method("wanda", "Wanda, weights set to zero")


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from llmcompressor.modifiers.pruning.wanda import WandaPruningModifier

    pruning.prune(WandaPruningModifier, source, out, parameters, samples, tell)
