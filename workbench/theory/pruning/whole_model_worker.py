"""Pruning of a whole model in torch: hooks that see each layer's inputs, masks from NumPy, perplexity after each.

A worker: it runs in the environment ``quantize``; see :mod:`workbench.theory.pruning.whole_model`.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.errors import InvalidInput
from workbench.quality.measure import Original, measure
from workbench.quality.tokens import tokenizer
from workbench.quality.torch_model import TorchModel
from workbench.quality.windows import WINDOW, passages
from workbench.theory.pruning import wanda
from workbench.theory.pruning.magnitude import keep_highest
from workbench.theory.pruning.patterns import TWO_OF_FOUR
from workbench.theory.pruning.sparsegpt import prune
from workbench.theory.pruning.structured import block_influence

if TYPE_CHECKING:
    from workbench.worker import Worker

Floats = NDArray[np.float64]


def linears(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers that are pruned: all but the one that gives the words."""
    last = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not last:
            yield name, module


def seen(model: nn.Module, texts: Sequence[Sequence[int]]) -> tuple[dict[str, Floats], list[float]]:
    """What each linear layer is given on some texts, and how much each decoder layer turns what passes through it.

    Returns
    -------
    inputs : dict of str to ndarray, shape (tokens, inputs)
    influence : list of float
        One a decoder layer.
    """
    inputs: dict[str, list[Tensor]] = {name: [] for name, _ in linears(model)}
    passing: list[list[tuple[Tensor, Tensor]]] = [[] for _ in model.model.layers]

    def watch(name: str) -> Any:
        return lambda _, given: inputs[name].append(given[0][0].double())

    def between(number: int) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...], gave: Any) -> None:
            after = gave[0] if isinstance(gave, tuple) else gave
            passing[number].append((given[0][0].double(), after[0].double()))

        return hook

    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in linears(model)]
    hooks += [layer.register_forward_hook(between(at)) for at, layer in enumerate(model.model.layers)]
    try:
        with torch.inference_mode():
            for ids in texts:
                model(torch.tensor([list(ids)[:WINDOW]], device=model.device), use_cache=False)
    finally:
        for each in hooks:
            each.remove()
    influence = [
        block_influence(*(torch.cat(side).cpu().numpy() for side in zip(*pairs, strict=True))) for pairs in passing
    ]
    return {name: torch.cat(found).cpu().numpy() for name, found in inputs.items()}, influence


def pruned(w: Floats, x: Floats, method: str, what: str) -> Floats:
    """A layer's weight without half of it; `w` of shape (outputs, inputs), `x` (tokens, inputs)."""
    choice = TWO_OF_FOUR if what == "2:4" else 0.5
    if method == "sparsegpt":
        return prune(w, x, choice).weight
    if method == "wanda":
        return np.where(wanda.mask(w, x, choice), w, 0.0)
    return np.where(TWO_OF_FOUR.mask(np.abs(w)) if what == "2:4" else keep_highest(np.abs(w), 0.5), w, 0.0)


def cut(model: nn.Module, how: dict[str, Any], inputs: dict[str, Floats]) -> None:
    """Take from a model what a :class:`~workbench.theory.pruning.whole_model.Cut` says."""
    if how["method"] == "layer":
        if how["what"] > len(model.model.layers):
            raise InvalidInput(f"there is no layer {how['what']}; the model has {len(model.model.layers)}")
        del model.model.layers[how["what"] - 1]
        return
    with torch.no_grad():
        for name, module in linears(model):
            weight = pruned(module.weight.double().cpu().numpy(), inputs[name], how["method"], how["what"])
            module.weight.copy_(torch.from_numpy(weight))


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Measure the original, then the model after each cut."""
    worker.progress(None, "loading the model")
    from transformers import AutoModelForCausalLM

    folder = Path(request["folder"])
    original = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    encode, _ = tokenizer(folder)
    inputs, influence = seen(original, passages(request["calibration"], encode, request["calibration_tokens"]))
    texts = passages(request["held_out"], encode, request["tokens"])
    with tempfile.TemporaryDirectory() as place:
        kept = Original(Path(place))
        found = measure(TorchModel(original), texts, keep=kept)
        rows: list[dict[str, Any]] = [
            {"method": "original", "what": "", "zeros": 0.0, "perplexity": found.perplexity, "blocks": found.blocks}
        ]
        for at, how in enumerate(request["cuts"]):
            worker.progress(at / len(request["cuts"]), f"{how['method']}, {how['what']}")
            model = copy.deepcopy(original)
            cut(model, how, inputs)
            found = measure(TorchModel(model), texts, against=kept if how["method"] != "layer" else None)
            weights = [module.weight for _, module in linears(model)]
            zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
            row = {"method": how["method"], "what": str(how["what"]), "zeros": zeros, "perplexity": found.perplexity}
            if how["method"] == "layer":
                row["influence"] = influence[how["what"] - 1]
            else:
                row |= {"kl_divergence": found.divergence, "top1_agreement": found.agreement}
            rows.append(row | {"blocks": found.blocks})
    return {"rows": rows, "scored": found.tokens}
