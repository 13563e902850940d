"""torchao INT4: 4-bit weights by group in the layout of the tinygemm kernels; needs an NVIDIA GPU to be written.

Needs no calibration text.

References
----------
torchao 0.18 ``quantization/quant_api.py`` ``Int4WeightOnlyConfig`` and
``quantize_/workflows/int4/int4_tile_packed_to_4d_tensor.py``; transformers 5.17 ``TorchAoConfig``.
Of the layouts that it stores in safetensors (``prototype/safetensors/safetensors_utils.py``), "plain" and "preshuffled"
need the package mslk, "plain_int32" an XPU or NPU, and "tile_packed_to_4d" CUDA; that for a CPU is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.formats import named
from workbench.quality.torch_model import load
from workbench.quantizers.preflight import quantised, stored
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source
from workbench.quantizers.while_loading import NOT_CONVERTED, convert

__all__ = ["METHOD", "load", "quantize"]


def _size(source: Source, parameters: Mapping[str, Any]) -> int:
    """Inputs are padded to 1024, outputs to 8; the padding is stored and has scales too."""
    format = replace(named.TORCHAO_INT4, group_size=parameters["group_size"])
    size = stored(source, parameters, format)
    for tensor in quantised(source, parameters):
        outputs, inputs = tensor.shape
        padded = format.matrix_bytes(-(-inputs // 1024) * 1024, -(-outputs // 8) * 8)
        size += int(padded - format.matrix_bytes(inputs, outputs))
    return size


def _here() -> str:
    from workbench import machine

    if machine.has_usable_gpu():
        return ""
    return "torchao 0.18 packs 4-bit weights for safetensors with CUDA only, and there is no NVIDIA GPU"


METHOD = Method(
    id="torchao_int4",
    title="torchao, 4-bit weights",
    library="torchao 0.18.0",
    scheme="torchao_int4",
    engines=("vllm", "transformers"),
    calibrates=False,
    capability=(8, 0),
    native=(8, 0),
    size=_size,
    here=_here,
    note="Runs on an NVIDIA GPU only, from compute capability 8.0 on. Inputs are padded to multiples of 1024.",
    parameters=(
        Parameter("group_size", 128, "Inputs that share a scale and a zero point.", int, choices=(32, 64, 128, 256)),
        Parameter("int4_choose_qparams_algorithm", "tinygemm", "How scales are found: extremes, or HQQ's search.", str,
                  choices=("tinygemm", "hqq")),
        NOT_CONVERTED,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    from torchao.quantization import Int4WeightOnlyConfig
    from transformers import TorchAoConfig

    kind = Int4WeightOnlyConfig(
        group_size=parameters["group_size"],
        int4_packing_format="tile_packed_to_4d",
        int4_choose_qparams_algorithm=parameters["int4_choose_qparams_algorithm"],
    )
    config = TorchAoConfig(kind, modules_to_not_convert=parameters["modules_to_not_convert"])
    convert(source, out, config, tell)
