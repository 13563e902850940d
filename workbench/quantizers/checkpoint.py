"""A checkpoint's tensors by their safetensors headers: names, shapes, bytes; no weight is read, no torch needed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput, UnsupportedModel

_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
         "U16": 16, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64}  # fmt: skip
#: A module inside a numbered layer: ``model.layers.3.mlp.up_proj``.
_IN_LAYER = re.compile(r"\.(\d+)\.")
#: Names of tensors that only quantised checkpoints have.
_PACKED = ("qweight", "qzeros", "weight_packed", "weight_scale", "weight_scale_inv")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's name, type as safetensors writes it, and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Stored size [bytes]."""
        return math.ceil(self.elements * _BITS.get(self.dtype, 8) / 8)


@dataclass(frozen=True)
class Checkpoint:
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
    def quantization(self) -> str:
        """How it is quantised already, or an empty text."""
        config = self.config.get("quantization_config") or self.config.get("compression_config")
        if config:
            return str(config.get("quant_method") or config.get("quant_algo") or "some method")
        packed = next((t.name for t in self.tensors if t.name.rpartition(".")[2] in _PACKED), None)
        return f"tensors such as {packed}" if packed else ""


def read(folder: Path) -> Checkpoint:
    """Read a folder's config.json and the headers of its safetensors files.

    Raises
    ------
    InvalidInput
        If a file is missing, broken or truncated; the message names it.
    UnsupportedModel
        If the weights are not safetensors.
    """
    config = _json(folder / "config.json")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = _json(index).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise InvalidInput(f"{index} has no weight_map; download the checkpoint again")
        files = [folder / Path(name).name for name in sorted(set(names.values()))]
        missing = [f.name for f in files if not f.is_file()]
        if missing:
            raise InvalidInput(
                f"{folder} lacks {len(missing)} of {len(files)} weight files, first {missing[0]}; download it again"
            )
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UnsupportedModel(
            f"{folder} has no .safetensors file; other formats can run code when loaded and are not read: convert it"
        )
    return Checkpoint(folder, config, tuple(t for file in files for t in header(file)))


def header(file: Path) -> list[Tensor]:
    """Tensors of one safetensors file.

    Raises
    ------
    InvalidInput
        If the header is broken or the file is shorter or longer than it says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return [Tensor(n, str(s.get_dtype()), tuple(s.get_shape())) for n, s in slices.items()]
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidInput(f"{file} is truncated or damaged ({error}); copy or download it again") from None


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
