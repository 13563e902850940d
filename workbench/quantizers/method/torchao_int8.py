"""torchao INT8: 8-bit weights, a scale an output; activations left in 16 bit or rounded while running.

Needs no calibration text.

References
----------
torchao 0.18 ``quantization/quant_api.py`` ``Int8WeightOnlyConfig`` and ``Int8DynamicActivationInt8WeightConfig``;
transformers 5.17 ``TorchAoConfig``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.formats import named
from workbench.quality.torch_model import load
from workbench.quantizers.preflight import stored_as
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.while_loading import NOT_CONVERTED, convert

__all__ = ["METHOD", "load", "quantize"]

METHOD = Method(
    id="torchao_int8",
    title="torchao, 8-bit weights",
    library="torchao 0.18.0",
    scheme="torchao_int8",
    engines=("vllm", "transformers"),
    calibrates=False,
    capability=(7, 5),
    native=(7, 5),
    size=stored_as(named.TORCHAO_INT8),
    variants=({}, {"quant_type": "Int8DynamicActivationInt8WeightConfig"}),
    note="Made to be compiled: fast with torch.compile only. vLLM reads it where torchao is installed beside it.",
    parameters=(
        Parameter("quant_type", "Int8WeightOnlyConfig", "Weights alone, or activations while running too.", str,
                  choices=("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig")),
        NOT_CONVERTED,
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    from torchao.quantization import quant_api
    from transformers import TorchAoConfig

    kind = getattr(quant_api, parameters["quant_type"])
    config = TorchAoConfig(kind(), modules_to_not_convert=parameters["modules_to_not_convert"])
    convert(source, out, config, tell)
