"""The pass over a whole model in torch: hooks that calibrate, layers of eight bits in place of linear ones.

A worker: it runs in the environment ``quantize``; see :mod:`workbench.theory.quantisation.whole_model`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.errors import InvalidInput
from workbench.quality.measure import Original, measure
from workbench.quality.tokens import tokenizer
from workbench.quality.torch_model import TorchModel
from workbench.quality.windows import WINDOW, passages
from workbench.theory.quantisation.whole_model import Pass

if TYPE_CHECKING:
    from workbench.worker import Worker

#: What a number of each kind is stored as, and the largest that is used.
KINDS = {"fp8": (torch.float8_e4m3fn, 448.0), "int8": (torch.int8, 127.0)}
#: Every so many channels one is made an outlier.
PLANTED_EVERY = 64


def rounded(x: Tensor, scale: Tensor, number: str) -> Tensor:
    """Codes: x / scale, clipped to what the number holds; shape of `x`, a byte a value."""
    dtype, most = KINDS[number]
    codes = (x / scale).clamp(-most, most)
    return (codes if dtype.is_floating_point else codes.round()).to(dtype)


def scale_of(most: Tensor, number: str) -> Tensor:
    """The scale that gives the largest code to the magnitude `most`; 1 where all is zero."""
    return torch.where(most > 0, most / KINDS[number][1], torch.ones_like(most))


class EightBitLinear(nn.Module):
    """A linear layer that keeps its weight in a byte each, and rounds its inputs before the product.

    The product is computed in float32 from what the codes stand for: products of two codes are exact there, so that
    what comes out is what tensor cores give up to the order of the sum. It is written to be read and is not fast.

    Parameters
    ----------
    linear : torch.nn.Linear
    how : Pass
    most : float
        Largest magnitude of an input that calibration met.
    """

    def __init__(self, linear: nn.Linear, how: Pass, most: float) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = scale_of(_most_of(weight, how.weights), how.number)
        self.register_buffer("codes", rounded(weight, scale, how.number))
        self.register_buffer("scale", scale)
        self.bias = linear.bias
        self.how, self.most = how, most

    def forward(self, x: Tensor) -> Tensor:
        """Inputs rounded as the pass says, times the weight that the codes stand for."""
        product = self._as_rounded(x.float()) @ (self.codes.float() * self.scale).T
        return (product if self.bias is None else product + self.bias).to(x.dtype)

    def _as_rounded(self, x: Tensor) -> Tensor:
        if self.how.inputs == "kept":
            return x
        token = self.how.inputs == "token"
        most = x.abs().amax(-1, keepdim=True) if token else torch.tensor(self.most)
        scale = scale_of(most, self.how.number)
        return rounded(x, scale, self.how.number).float() * scale


def _most_of(weight: Tensor, sharing: str) -> Tensor:
    """Largest magnitudes that a scale must hold; shape (outputs, 1) or (1, 1)."""
    if sharing == "channel":
        return weight.abs().amax(1, keepdim=True)
    if sharing == "tensor":
        return weight.abs().amax().reshape(1, 1)
    return torch.full((1, 1), KINDS["fp8"][1])  # no scale: it is 1


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers that are rounded: all but the one that gives the words."""
    last = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not last:
            yield name, module


def calibrated(model: nn.Module, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Largest magnitude that each layer's inputs have on some texts, seen by hooks.

    Parameters
    ----------
    model : torch.nn.Module
    texts : sequence of sequence of int
        Token ids; of each no more is read than is seen at once when measuring.

    Returns
    -------
    dict
        Name of a layer -> its inputs' largest magnitude.
    """
    most: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            most[name] = max(most.get(name, 0.0), float(inputs[0].abs().max()))

        return hook

    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in layers(model)]
    try:
        with torch.inference_mode():
            for ids in texts:
                model(torch.tensor([list(ids)[:WINDOW]], device=model.device), use_cache=False)
    finally:
        for each in hooks:
            each.remove()
    return most


def round_all(model: nn.Module, how: Pass, most: dict[str, float]) -> None:
    """Put a layer of eight bits in the place of each linear one."""
    for name, module in list(layers(model)):
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, EightBitLinear(module, how, most[name]))


def linear_bytes(model: nn.Module) -> int:
    """What the layers' weights take as they lie in memory, scales included [B]."""
    tensors: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, EightBitLinear):
            tensors += [module.codes, module.scale]
    tensors += [module.weight for _, module in layers(model)]
    return sum(each.numel() * each.element_size() for each in tensors)


@torch.no_grad()
def plant_outliers(model: nn.Module, factor: float) -> None:
    """Make some inputs of every MLP larger by a factor, and the weights that meet them smaller: the same function."""
    for layer in model.model.layers:
        channels = slice(0, None, PLANTED_EVERY)
        layer.post_attention_layernorm.weight[channels] *= factor
        for matrix in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
            matrix[:, channels] /= factor


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Measure the original, then the model after each pass."""
    worker.progress(None, "loading the model")
    from transformers import AutoModelForCausalLM

    folder = Path(request["folder"])

    def load() -> nn.Module:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, trust_remote_code=False).eval()
        if request["outliers"] != 1:
            if not hasattr(model.model.layers[0], "post_attention_layernorm"):
                raise InvalidInput("outliers are planted in models of Llama's kind only; leave them at 1")
            plant_outliers(model, request["outliers"])
        return model

    encode, _ = tokenizer(folder)
    texts = {name: passages(request[name], encode, request["tokens"]) for name in ("calibration", "held_out")}
    passes = [Pass(**each) for each in request["passes"]]
    model = load()
    most = calibrated(model.float(), texts["calibration"])
    with tempfile.TemporaryDirectory() as place:
        kept = Original(Path(place))
        found = measure(TorchModel(model), texts["held_out"], keep=kept)
        original = {"number": "bf16", "weights": "", "inputs": "", "perplexity": found.perplexity}
        rows: list[dict[str, Any]] = [original | {"linear_bytes": linear_bytes(load()), "blocks": found.blocks}]
        for at, how in enumerate(passes):
            worker.progress(at / len(passes), f"{how.number}, weights: {how.weights}, inputs: {how.inputs}")
            model = load().float()
            round_all(model, how, most)
            found = measure(TorchModel(model), texts["held_out"], against=kept)
            rows.append(
                {
                    "number": how.number, "weights": how.weights, "inputs": how.inputs,
                    "perplexity": found.perplexity, "kl_divergence": found.divergence,
                    "top1_agreement": found.agreement, "linear_bytes": linear_bytes(model), "blocks": found.blocks,
                }
            )  # fmt: skip
    return {"rows": rows, "refused": _cast_without_scales(folder, texts["held_out"][0][:8]), "scored": found.tokens}


def _cast_without_scales(folder: Path, ids: Sequence[int]) -> str:
    """What is said to a model that is loaded in float8 as though that were one more precision, and then asked."""
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float8_e4m3fn, trust_remote_code=False)
        model(torch.tensor([list(ids)]), use_cache=False)
    except Exception as error:  # which one it is depends on the release: what it says is what is asked for
        return f"{type(error).__name__}: {error}"
    return ""
