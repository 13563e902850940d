"""GPTQ by GPTQModel, in the format of AutoGPTQ, which it succeeds: what most engines read as "gptq".

It has an environment of its own, because its pins exclude those of llm-compressor.

References
----------
Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023.
GPTQModel 7.4.0 ``quantization/config.py`` (``QuantizeConfig``) names and documents the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import TorchModel, placed
from workbench.quantizers import compressed
from workbench.quantizers.preflight import misfits, quantised
from workbench.quantizers.registry import Method, Parameter

METHOD = Method(
    id="gptqmodel",
    title="GPTQ, in AutoGPTQ's format",
    library="gptqmodel 7.4.0",
    scheme="gptq",
    engines=("vllm", "vllm-cpu", "sglang", "tgi", "transformers"),
    environment="gptqmodel",
    capability=(7, 5),
    native=(7, 5),
    samples="num_calibration_samples",
    length="max_seq_length",
    against=lambda source, parameters: misfits(quantised(source, parameters), 0, 32, "outputs", "blocks of"),
    note="The successor of AutoGPTQ, which is archived. gptq makes the same by llm-compressor, which is faster here.",
    parameters=(
        Parameter("bits", 4, "Bits of a weight.", int, choices=(4, 8)),
        compressed.GROUP_SIZE,
        Parameter("desc_act", False, "Quantise the columns with the largest activations first; slower to run.", bool),
        Parameter("sym", True, "Symmetric quantisation; zero points are stored all the same.", bool),
        Parameter("damp_percent", 0.05, "Part of the Hessian's mean diagonal added to it.", float, low=1e-6, high=1.0),
        Parameter("act_group_aware", True, "Order the groups by their activations, which costs nothing at run time.",
                  bool),
        Parameter("true_sequential", True, "Quantise the modules of a layer one after the other.", bool),
        Parameter("mse", 0.0, "Norm of a search for the range by the error; 0: extremes, 2.4 is usual.", float,
                  low=0.0, high=10.0),
        Parameter("num_calibration_samples", 256, "Calibration texts used.", int, low=1, high=100_000),
        Parameter("max_seq_length", 2048, "Tokens of a calibration text; longer ones are cut.", int,
                  low=8, high=131_072),
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    _without_torchvision()
    import shutil

    from gptqmodel import GPTQModel, QuantizeConfig

    chosen = {k: v for k, v in parameters.items() if k not in (METHOD.samples, METHOD.length)}
    if parameters["desc_act"]:
        chosen["act_group_aware"] = False  # the two orders exclude each other
    model = GPTQModel.load(str(source), QuantizeConfig(**chosen, offload_to_disk=False), trust_remote_code=False)
    tell(0.05, "quantising")
    model.quantize([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in samples], batch_size=1)
    tell(0.95, "saving")
    model.save(str(out))
    for log in out.glob("quant_log*"):
        log.unlink()
    shutil.rmtree(out / "gptqmodel_offload", ignore_errors=True)


def load(folder: Path, dtype: str) -> TorchModel:
    """The quantised model with its weights widened again: what the packed numbers mean, in any float."""
    _without_torchvision()
    import torch
    from gptqmodel import BACKEND, GPTQModel

    model = GPTQModel.load(str(folder), backend=BACKEND.TORCH, device="cpu", trust_remote_code=False).model
    wide = getattr(torch, dtype)
    for name, packed in list(model.named_modules()):
        if hasattr(packed, "dequantize_weight"):
            weight = packed.dequantize_weight().T.to(wide)
            plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=packed.bias is not None, dtype=wide)
            plain.weight.data = weight.contiguous()
            if packed.bias is not None:
                plain.bias.data = packed.bias.to(wide)
            model.set_submodule(name, plain)
    return placed(model.to(wide), runs_in="")


def _without_torchvision() -> None:
    """Let GPTQModel be imported where torchvision is not installed.

    One of its model classes (InternVL) imports it at the top; PyPI's is a CUDA build, which fails beside a CPU torch.
    An empty module of that name is enough for all the other classes.
    """
    import sys
    from importlib.machinery import ModuleSpec
    from importlib.util import find_spec
    from types import ModuleType

    if find_spec("torchvision") is not None:
        return
    from transformers.utils import is_torchvision_available

    is_torchvision_available()  # transformers remembers that it is not there
    above = None
    for part in ("torchvision", "transforms", "functional"):
        name = f"{above.__name__}.{part}" if above else part
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
        if above:
            setattr(above, part, module)
        above = module
    above.InterpolationMode = None  # type: ignore[union-attr]
