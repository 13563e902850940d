"""Scripts for NVIDIA's Model Optimizer, which makes the checkpoints of TensorRT-LLM; written here, not run here.

It needs an NVIDIA GPU and an environment of its own, so the workbench hands over the script and claims nothing of what
comes out.

References
----------
Model Optimizer, ``modelopt.torch.quantization`` (``mtq.quantize`` and its configurations) and
``modelopt.torch.export.export_hf_checkpoint``: https://nvidia.github.io/Model-Optimizer/guides/1_quantization.html.
What TensorRT-LLM loads: https://nvidia.github.io/TensorRT-LLM/features/quantization.html.
"""

from __future__ import annotations

from workbench.errors import InvalidInput

#: Scheme of a plan -> Model Optimizer's configuration.
CONFIGURATIONS = {
    "fp8": "FP8_DEFAULT_CFG",
    "nvfp4": "NVFP4_DEFAULT_CFG",
    "awq": "INT4_AWQ_CFG",
    "w4a16": "INT4_AWQ_CFG",
}

_SCRIPT = '''\
"""Quantise a model with NVIDIA Model Optimizer.

Written by the workbench from a plan; NOT RUN by it: nothing here was tried on the machine that wrote it.
Needs an NVIDIA GPU and, in an environment of its own: pip install "nvidia-modelopt[hf]"
"""

import modelopt.torch.quantization as mtq
import torch
from modelopt.torch.export import export_hf_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL, OUT = {model!r}, {out!r}
TEXTS = {texts!r}  # a file of calibration text, paragraphs between blank lines
SAMPLES, LENGTH = {samples}, {length}

tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype="auto", device_map="auto")
with open(TEXTS, encoding="utf-8") as file:
    texts = [text for text in file.read().split("\\n\\n") if text.strip()][:SAMPLES]


def calibrate(model):
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="pt").input_ids
            model(ids.to(model.device))


model = mtq.quantize(model, mtq.{configuration}, calibrate)
export_hf_checkpoint(model, export_dir=OUT)
tokenizer.save_pretrained(OUT)
'''


def modelopt(
    model: str, scheme: str, out: str, *, texts: str = "calibration.txt", samples: int = 512, length: int = 2048
) -> str:
    """A Python script that quantises a model for TensorRT-LLM and vLLM with Model Optimizer; not run here.

    Parameters
    ----------
    model, out : str
        Folder or hub id of the model, and the folder to make.
    scheme : str
        Of :data:`CONFIGURATIONS`: a plan's ``quantization``.
    texts : str
        File of calibration text, paragraphs between blank lines.
    samples, length : int
        Calibration texts used, tokens of the longest.

    Returns
    -------
    str

    Raises
    ------
    InvalidInput
        For a scheme that Model Optimizer has no configuration for here.

    Examples
    --------
    >>> script = modelopt("Qwen/Qwen3-8B", "nvfp4", "qwen3-nvfp4")
    >>> [line for line in script.splitlines() if "mtq.quantize" in line]
    ['model = mtq.quantize(model, mtq.NVFP4_DEFAULT_CFG, calibrate)']
    """
    if scheme not in CONFIGURATIONS:
        raise InvalidInput(f"there is no recipe of Model Optimizer for {scheme!r}; one of {', '.join(CONFIGURATIONS)}")
    return _SCRIPT.format(
        model=model, out=out, texts=texts, samples=int(samples), length=int(length),
        configuration=CONFIGURATIONS[scheme],
    )  # fmt: skip
