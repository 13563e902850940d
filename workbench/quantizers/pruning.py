"""What the methods that set weights to zero share: their parameters, their size, and what they do not save.

References
----------
llm-compressor 0.14: ``modifiers/pruning/sparsegpt/sgpt_base.py`` names and documents the parameters. vLLM 0.32.0
``compressed_tensors/compressed_tensors.py`` refuses a sparsity configuration ("Sparsity support has been removed"), and
has no scheme for 2:4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers import compressed
from workbench.quantizers.preflight import misfits, quantised
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source

#: A dense checkpoint: whatever loads the original.
ENGINES = ("vllm", "vllm-cpu", "sglang", "transformers")
NOTE = (
    "Zeros are stored and multiplied like any weight: no memory is saved, nothing is faster. vLLM has dropped its "
    "kernels for 2:4 sparse weights."
)
PARAMETERS = (
    Parameter("sparsity", 0.5, "Share of the weights set to zero; 2:4 is always a half.", float, low=0.0, high=0.99),
    Parameter("mask_structure", "2:4", "2 of every 4 neighbours, or 0:0: anywhere in a row.", str,
              choices=("2:4", "0:0")),
)  # fmt: skip
VARIANTS: tuple[Mapping[str, Any], ...] = ({"mask_structure": "2:4"}, {"mask_structure": "0:0", "sparsity": 0.3})


def method(id: str, title: str, *parameters: Parameter) -> Method:
    """The description of a method that sets weights to zero.

    Parameters
    ----------
    id, title : str
        As in :class:`~workbench.quantizers.registry.Method`.
    *parameters : Parameter
        Its own, besides the shared ones.
    """
    return Method(
        id=id,
        title=title,
        library=compressed.LIBRARY,
        scheme="bf16",
        engines=ENGINES,
        samples=compressed.SAMPLES,
        length=compressed.LENGTH,
        together=_together,
        against=_against,
        size=_size,
        variants=VARIANTS,
        note=NOTE,
        parameters=(*PARAMETERS, *parameters, *compressed.CALIBRATION, compressed.IGNORE),
    )


def prune(
    modifier: Any, source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Any, *own: str
) -> None:
    """Run one of the library's modifiers (inside the environment).

    Parameters
    ----------
    modifier : type
        Of llm-compressor.
    *own : str
        Names of its own parameters.
    """
    names = ("sparsity", "mask_structure", "ignore", *own)
    recipe = modifier(**{name: parameters[name] for name in names})
    compressed.oneshot(source, out, recipe, tell, samples, parameters)


def _together(parameters: Mapping[str, Any]) -> None:
    """Refuse a share that the pattern does not have."""
    if parameters["mask_structure"] == "2:4" and parameters["sparsity"] != 0.5:
        raise InvalidInput("sparsity must be 0.5 where mask_structure is 2:4; take 0:0 for another share")


def _against(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    """2:4 needs whole fours."""
    if parameters["mask_structure"] == "0:0":
        return []
    return misfits(quantised(source, parameters), 1, 4, "inputs", "groups of")


def _size(source: Source, parameters: Mapping[str, Any]) -> int:
    """Stored as before, zeros too [bytes]."""
    return source.bytes
