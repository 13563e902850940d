"""Quantisation schemes: bytes a weight, what they leave in 16 bit, what they compute in and need.

A scheme says how a weight matrix is stored. Element counts come from the model's own matrices, so scales, zeros
and unquantised modules are counted exactly, not through an average number of bits.

References
----------
AWQ and GPTQ tensors: ``qweight``, ``qzeros``, ``scales``, ``g_idx`` of AutoAWQ 0.2.9 and GPTQModel 7.4.
compressed-tensors: ``weight_packed``, ``weight_scale``, ``weight_shape`` of release 0.17.
MXFP4: OCP Microscaling Formats specification 1.0, blocks of 32 with one 8-bit scale. NVFP4: blocks of 16 with
one FP8 scale and one FP32 scale a tensor.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidInput, UnknownName, UnsupportedModel

if TYPE_CHECKING:
    import pandas as pd

    from workbench.architecture.model import Model
    from workbench.architecture.weights import Weight

#: What every linear-layer scheme leaves alone: vLLM and the quantisers quantise the layers' linear modules only.
_NEVER = frozenset({"embedding", "lm_head", "router", "norm"})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the weights of a model are stored and multiplied.

    Parameters
    ----------
    id, title : str
        Name in a Deployment's ``quantization``; name people read.
    bits : float
        Bits of one weight element.
    compute : str
        Format of the matrix multiplication on a card that can: "bf16" (weight-only schemes), "fp8", "int8", "fp4".
    group_size : int
        Inputs that share one scale; 0 means one scale for a whole output channel, -1 one for the tensor.
    block : tuple of int
        Outputs × inputs that share a scale, instead of groups (FP8 block scaling).
    scale_bits, zero_bits : int
        Bits of a group's scale and zero point.
    index_bits : int
        Bits of GPTQ's ``g_idx``, one for every input.
    tensor_bytes : int
        Bytes stored once for every matrix (a global scale, a shape).
    skip : tuple of str
        Module name patterns kept in 16 bit besides embeddings, output projection, routers and norms.
    experts_only : bool
        Whether only expert matrices are quantised (gpt-oss MXFP4).
    capability : tuple of int
        Lowest CUDA compute capability with a kernel in vLLM.
    vllm : str
        vLLM's word for a checkpoint of this scheme, or for doing it while loading; empty means leave it out.
    online : bool
        Whether vLLM makes it from a 16-bit checkpoint while loading.
    """

    id: str
    title: str
    bits: float
    compute: str = "bf16"
    group_size: int = 0
    block: tuple[int, int] | None = None
    scale_bits: int = 0
    zero_bits: int = 0
    index_bits: int = 0
    tensor_bytes: int = 0
    skip: tuple[str, ...] = ()
    experts_only: bool = False
    capability: tuple[int, int] = (0, 0)
    vllm: str = ""
    online: bool = False
    note: str = ""

    @property
    def quantized(self) -> bool:
        """Whether it stores weights in anything but a plain float of 16 or 32 bits."""
        return bool(self.scale_bits)

    def applies_to(self, weight: Weight) -> bool:
        """Whether this matrix is quantised, rather than kept in the model's own float."""
        if not self.quantized or weight.role in _NEVER or not weight.inputs:
            return False
        if self.experts_only and weight.role != "expert":
            return False
        return not any(_matches(pattern, weight.name) for pattern in self.skip)

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one quantised matrix, scales, zeros and indices included.

        Examples
        --------
        AWQ, group 128: 4 bits + (16 + 4) / 128 bits a weight.

        >>> scheme("awq").matrix_bytes(4096, 4096) * 8 / 4096**2
        4.15625
        >>> scheme("fp8").matrix_bytes(4096, 4096) - 4096**2
        16384.0
        """
        total = inputs * outputs * self.bits
        if self.block is not None:
            rows, columns = self.block
            total += math.ceil(outputs / rows) * math.ceil(inputs / columns) * self.scale_bits
        elif self.group_size > 0:
            total += math.ceil(inputs / self.group_size) * outputs * (self.scale_bits + self.zero_bits)
        elif self.group_size == 0:
            total += outputs * (self.scale_bits + self.zero_bits)
        else:
            total += self.scale_bits
        return (total + inputs * self.index_bits) / 8 + self.tensor_bytes


def _matches(pattern: str, name: str) -> bool:
    """Whether a checkpoint's ignore pattern (glob, ``re:…`` or a part of the path) means this module."""
    if pattern.startswith("re:"):
        return re.search(pattern[3:], f"model.layers.0.{name}") is not None
    tail = re.sub(r"^(model\.)?(language_model\.)?(model\.)?layers\.(\*|\d+)\.", "", pattern)
    return tail != "" and (fnmatch.fnmatch(name, tail) or f".{tail}." in f".{name}.")


def _named() -> dict[str, Scheme]:
    plain = [
        Scheme("bf16", "BF16", 16, "bf16", vllm="bfloat16", note="the precision most models are published in"),
        Scheme("fp16", "FP16", 16, "bf16", vllm="float16"),
        Scheme("fp32", "FP32", 32, "fp32", vllm="float32", note="twice the memory of BF16 for no better answers"),
    ]
    quantised = [
        Scheme(
            "fp8", "FP8", 8, "fp8", group_size=0, scale_bits=32, capability=(7, 5), vllm="fp8", online=True,
            note="one scale an output channel; below compute capability 8.9 weights only",
        ),
        Scheme(
            "int8", "INT8 W8A8", 8, "int8", group_size=0, scale_bits=16, capability=(7, 5),
            vllm="compressed-tensors", note="SmoothQuant style: weights and activations",
        ),
        Scheme(
            "awq", "AWQ 4-bit", 4, group_size=128, scale_bits=16, zero_bits=4, capability=(7, 5), vllm="awq",
            note="AutoAWQ, groups of 128 with zero points; multiplies in 16 bit",
        ),
        Scheme(
            "gptq", "GPTQ 4-bit", 4, group_size=128, scale_bits=16, zero_bits=4, index_bits=32,
            capability=(7, 5), vllm="gptq", note="groups of 128; multiplies in 16 bit",
        ),
        Scheme(
            "w4a16", "W4A16", 4, group_size=128, scale_bits=16, tensor_bytes=16, capability=(7, 5),
            vllm="compressed-tensors", note="compressed-tensors, symmetric, groups of 128; multiplies in 16 bit",
        ),
    ]  # fmt: skip
    return {scheme.id: scheme for scheme in [*plain, *quantised]}


SCHEMES = _named()


def scheme(id: str) -> Scheme:
    """A scheme by its id.

    Raises
    ------
    UnknownName
        For an id that no scheme has.
    """
    try:
        return SCHEMES[id.casefold()]
    except KeyError:
        raise UnknownName("quantization", id, SCHEMES, f"one of {', '.join(SCHEMES)}") from None


def schemes() -> pd.DataFrame:
    """All schemes: id, title, effective bits a weight of a 4096 × 4096 matrix, compute format, needs, note."""
    import pandas as pd

    rows = [
        {
            "id": s.id,
            "title": s.title,
            "bits_per_weight": s.matrix_bytes(4096, 4096) * 8 / 4096**2 if s.quantized else s.bits,
            "compute": s.compute,
            "min_compute_capability": ".".join(map(str, s.capability)) if s.capability[0] else "",
            "vllm": s.vllm,
            "note": s.note,
        }
        for s in SCHEMES.values()
    ]
    return pd.DataFrame(rows).set_index("id")


def checkpoint_scheme(model: Model) -> Scheme | None:
    """What the checkpoint's own ``quantization_config`` says, or None for a plain float checkpoint.

    Raises
    ------
    UnsupportedModel
        If it names a method or a parameter that cannot be sized.
    """
    config = model.quantization_config
    if not config:
        return None
    method = str(config.get("quant_method", config.get("quant_algo", ""))).casefold()
    readers = {
        "awq": _from_awq,
        "gptq": _from_gptq,
        "fp8": _from_fp8,
        "mxfp4": _from_mxfp4,
        "compressed-tensors": _from_compressed_tensors,
        "modelopt": _from_modelopt,
    }
    if method not in readers:
        raise UnsupportedModel(
            f"{model.id}: quantization_config names quant_method {method!r}, which the workbench cannot size yet"
        )
    return readers[method](model, config)


def _skips(config: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(str(p) for name in names for p in (config.get(name) or ()))


def _number(model: Model, config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnsupportedModel(f"{model.id}: quantization_config field {name!r} is {value!r}, not a whole number")
    return value


def _from_awq(model: Model, config: Mapping[str, Any]) -> Scheme:
    bits = _number(model, config, "bits", _number(model, config, "w_bit", 4))
    group = _number(model, config, "group_size", _number(model, config, "q_group_size", 128))
    zero = config.get("zero_point", True)
    return replace(
        SCHEMES["awq"],
        bits=bits,
        group_size=max(group, 0),
        zero_bits=bits if zero else 0,
        skip=_skips(config, "modules_to_not_convert"),
        vllm="",
    )


def _from_gptq(model: Model, config: Mapping[str, Any]) -> Scheme:
    bits = _number(model, config, "bits", 4)
    group = _number(model, config, "group_size", 128)
    return replace(SCHEMES["gptq"], bits=bits, group_size=max(group, 0), zero_bits=bits, vllm="")


def _from_fp8(model: Model, config: Mapping[str, Any]) -> Scheme:
    skip = _skips(config, "modules_to_not_convert", "ignored_layers")
    block = config.get("weight_block_size")
    base = replace(SCHEMES["fp8"], skip=skip, vllm="", online=False)
    if block is None:
        return replace(base, group_size=-1)
    if not (isinstance(block, list) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block)):
        raise UnsupportedModel(f"{model.id}: weight_block_size {block!r} is not two positive whole numbers")
    return replace(base, block=(block[0], block[1]))


def _from_mxfp4(model: Model, config: Mapping[str, Any]) -> Scheme:
    return Scheme(
        "mxfp4", "MXFP4", 4, group_size=32, scale_bits=8, experts_only=True, capability=(8, 0),
        note="experts only; multiplies in 16 bit below Blackwell",
    )  # fmt: skip


def _from_compressed_tensors(model: Model, config: Mapping[str, Any]) -> Scheme:
    groups = config.get("config_groups") or {}
    if len(groups) != 1:
        raise UnsupportedModel(f"{model.id}: quantization_config has {len(groups)} config_groups, one is known")
    group = next(iter(groups.values()))
    weights, activations = group.get("weights") or {}, group.get("input_activations")
    skip = tuple(p for p in _skips(config, "ignore") if p != "lm_head")
    kind, bits, strategy = weights.get("type"), weights.get("num_bits"), weights.get("strategy")
    size = weights.get("group_size") or 0
    if kind == "float" and bits == 8:
        return replace(
            SCHEMES["fp8"], skip=skip, vllm="", online=False, compute="fp8" if activations else "bf16",
            group_size=-1 if strategy == "tensor" else 0,
        )  # fmt: skip
    if kind == "int" and bits == 8:
        return replace(
            SCHEMES["int8"], skip=skip, vllm="", compute="int8" if activations else "bf16",
            group_size=max(size, 0),
        )  # fmt: skip
    if kind == "int" and bits == 4 and not activations:
        symmetric = weights.get("symmetric", True)
        return replace(
            SCHEMES["w4a16"], skip=skip, vllm="", group_size=max(size, 0), zero_bits=0 if symmetric else 4,
            index_bits=32 if weights.get("actorder") in ("group", True) else 0,
        )  # fmt: skip
    if kind == "float" and bits == 4 and size == 16:
        return replace(_NVFP4, skip=skip, compute="fp4" if activations else "bf16")
    raise UnsupportedModel(
        f"{model.id}: compressed-tensors weights of type {kind!r} with num_bits {bits!r} cannot be sized yet"
    )


_NVFP4 = Scheme(
    "nvfp4", "NVFP4", 4, "fp4", group_size=16, scale_bits=8, tensor_bytes=8, capability=(8, 0),
    note="multiplies in FP4 on Blackwell, weight-only before",
)  # fmt: skip


def _from_modelopt(model: Model, config: Mapping[str, Any]) -> Scheme:
    algorithm = str(config.get("quant_algo", "")).upper()
    skip = _skips(config, "ignore", "exclude_modules")
    if algorithm == "NVFP4":
        return replace(_NVFP4, skip=skip)
    if algorithm == "FP8":
        return replace(SCHEMES["fp8"], skip=skip, vllm="", online=False, group_size=-1)
    raise UnsupportedModel(f"{model.id}: quantization_config names quant_algo {algorithm!r}, which cannot be sized yet")


def effective_scheme(model: Model, quantization: str | None) -> Scheme:
    """The scheme a deployment runs in.

    Parameters
    ----------
    model : Model
    quantization : str or None
        A scheme id, or None for what the checkpoint says.

    Raises
    ------
    InvalidInput
        If the checkpoint is already quantised to something else.
    """
    own = checkpoint_scheme(model)
    if quantization is None:
        return own or SCHEMES["fp16" if model.dtype == "float16" else "bf16"]
    wanted = scheme(quantization)
    if own is not None and wanted.id != own.id:
        raise InvalidInput(
            f"{model.id} is already quantised to {own.title}; leave quantization out, or start from the 16-bit model"
        )
    return own or wanted
