"""Worker of the test of the whole-model pass: its layers beside those of NumPy, its hooks, and then the pass itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.theory.quantisation import linear, whole_model_worker
from workbench.theory.quantisation.float8 import quantise_float
from workbench.theory.quantisation.uniform import quantise
from workbench.theory.quantisation.whole_model import Pass


def work(request: dict[str, Any], worker: Any) -> Any:
    """What is compared, each by a name of its own."""
    return {"layers": _layers(), **_hooks(request["folder"]), **whole_model_worker.work(request, worker)}


def _layers() -> list[dict[str, Any]]:
    """Relative difference between a layer here and in NumPy, for every kind of pass."""
    import torch

    dice = np.random.default_rng(0)
    x, w, b = dice.standard_normal((8, 64)), dice.standard_normal((16, 64)), dice.standard_normal(16)
    layer = torch.nn.Linear(64, 16)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(w))
        layer.bias.copy_(torch.tensor(b))
    activations = {"calibrated": linear.Calibrated(2.5), "token": linear.EachToken()}
    found = []
    for sharing, axis in (("tensor", None), ("channel", 0)):
        for kind, how in activations.items():
            theirs = {
                "fp8": linear.fp8_linear(x, quantise_float(w, axis=axis), b, how),
                "int8": linear.int8_linear(x, quantise(w, 8, axis=axis), b, how),
            }
            for number, expected in theirs.items():
                ours = whole_model_worker.EightBitLinear(layer, Pass(number, sharing, kind), 2.5)
                with torch.no_grad():
                    y = ours(torch.tensor(x, dtype=torch.float32)).numpy()
                error = linear.relative_error(expected, y)
                found.append({"pass": f"{number} {sharing} {kind}", "error": error, "bytes": ours.codes.nbytes})
    return found


def _hooks(folder: str) -> dict[str, Any]:
    """What calibration saw of the first layer's inputs, and what they are; hooks that are left behind."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = [list(range(100, 140)), list(range(500, 520))]
    most = whole_model_worker.calibrated(model, ids)
    first = model.model.layers[0]
    with torch.inference_mode():
        inputs = [first.input_layernorm(model.model.embed_tokens(torch.tensor([each]))) for each in ids]
    return {
        "seen": most["model.layers.0.self_attn.q_proj"],
        "is": max(float(each.abs().max()) for each in inputs),
        "hooked": sum(len(module._forward_pre_hooks) for module in model.modules()),
        "names": sorted(most),
    }
