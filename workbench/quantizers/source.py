"""The model that is quantised: its configuration and its tensors' headers; no weight is read, no torch needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench import headers
from workbench.errors import InvalidInput, UnsupportedModel
from workbench.headers import Tensor

#: A module inside a numbered layer: ``model.layers.3.mlp.up_proj``.
_IN_LAYER = re.compile(r"\.(\d+)\.")
#: Names of tensors that only quantised checkpoints have.
_PACKED = ("qweight", "qzeros", "weight_packed", "weight_scale", "weight_scale_inv")


@dataclass(frozen=True)
class Source:
    """A folder's configuration and tensors.

    Parameters
    ----------
    folder : Path
        Where it lies.
    config : mapping
        Its config.json.
    tensors : tuple of Tensor
        Everything in its safetensors files.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @cached_property
    def bytes(self) -> int:
        """Size of all tensors [bytes]; headers and other files not counted."""
        return sum(t.bytes for t in self.tensors)

    @cached_property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(t.elements for t in self.tensors)

    @cached_property
    def linears(self) -> tuple[Tensor, ...]:
        """Weights, outputs × inputs, of the linear modules inside the layers: what a quantiser works on."""
        return tuple(
            t for t in self.tensors if len(t.shape) == 2 and t.name.endswith(".weight") and _IN_LAYER.search(t.name)
        )

    @property
    def vocabulary(self) -> int:
        """Words of its output; 0 where the configuration does not say."""
        text = self.config.get("text_config")
        found = (text if isinstance(text, Mapping) else self.config).get("vocab_size")
        return found if isinstance(found, int) and found > 0 else 0

    @property
    def quantization(self) -> str:
        """How it is quantised already, or an empty text."""
        config = self.config.get("quantization_config") or self.config.get("compression_config")
        if config:
            return str(config.get("quant_method") or config.get("quant_algo") or "some method")
        packed = next((t.name for t in self.tensors if t.name.rpartition(".")[2] in _PACKED), None)
        return f"tensors such as {packed}" if packed else ""


def read(folder: Path) -> Source:
    """Read a folder's config.json and the headers of its safetensors files.

    Raises
    ------
    InvalidInput
        If a file is missing, broken or truncated; the message names it.
    UnsupportedModel
        If the weights are not safetensors.
    """
    config = _json(folder / "config.json")
    if not any(folder.glob("*.safetensors*")):
        raise UnsupportedModel(
            f"{folder} has no .safetensors file; other formats can run code when loaded and are not read: convert it"
        )
    found = headers.read(folder)
    if not found.complete:
        first = (*found.missing, *found.absent)[0]
        raise InvalidInput(
            f"{folder} lacks {len(found.missing)} weight files and {len(found.absent)} tensors of its index, first "
            f"{first}; download it again"
        )
    return Source(folder, config, found.tensors)


def _json(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"{file.parent} has no {file.name}: it is not a checkpoint's folder") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidInput(f"{file} must hold a JSON object")
    return fields
