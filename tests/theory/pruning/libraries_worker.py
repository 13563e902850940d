"""Asked by test_against_libraries.py in the environment `quantize`: what torch and llm-compressor make of a weight."""

import sys

import numpy as np
import torch
from llmcompressor.modifiers.pruning.sparsegpt import sgpt_sparsify
from llmcompressor.modifiers.pruning.wanda import wanda_sparsify
from torch.nn.utils import prune
from torch.sparse import _semi_structured_conversions as conversions

asked, answers = np.load(sys.argv[1]), {}
x, w = torch.from_numpy(asked["x"]), torch.from_numpy(asked["w"])


def linear(weight: torch.Tensor, bias: bool = False) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight.data.copy_(weight)
    return layer


first = linear(w)
prune.l1_unstructured(first, "weight", amount=0.3)
answers["magnitude"] = first.weight_mask.numpy()
first, second = linear(w), linear(float(asked["quiet"]) * w[:, :16])
prune.global_unstructured([(first, "weight"), (second, "weight")], prune.L1Unstructured, amount=0.3)
answers["together first"], answers["together second"] = first.weight_mask.numpy(), second.weight_mask.numpy()
channels = linear(w, bias=True)
channels.bias.data.fill_(1.0)
prune.ln_structured(channels, "weight", amount=0.5, n=2, dim=0)
answers["channels"], answers["channels said"] = channels.weight_mask.numpy(), channels(x).detach().numpy()

layer = linear(w)
for name, n, m in (("half", 0, 0), ("2:4", 2, 4)):
    scalars, seen = wanda_sparsify.make_empty_row_scalars(layer), 0
    scalars, seen = wanda_sparsify.accumulate_row_scalars(x, layer, scalars, seen)
    answers[f"wanda {name}"] = wanda_sparsify.sparsify_weight(layer, {layer: scalars}, 0.5, n, m).detach().numpy()
    hessian, seen = sgpt_sparsify.accumulate_hessian(x, layer, sgpt_sparsify.make_empty_hessian(layer), 0)
    answers["hessian"] = hessian.numpy().copy()
    loss, pruned = sgpt_sparsify.sparsify_weight(
        layer, {layer: hessian}, 0.5, n, m, block_size=64, dampening_frac=0.01, preserve_sparsity_mask=False
    )
    answers[f"sparsegpt {name}"], answers[f"sparsegpt {name} loss"] = pruned.detach().numpy(), np.array(loss)

for kind in (torch.float16, torch.int8):
    given = torch.from_numpy(asked["patterned"]).to(kind)
    values, reordered = conversions.sparse_semi_structured_from_dense_cutlass(given)
    offsets = conversions._calculate_meta_reordering_scatter_offsets(
        *reordered.shape, reordered.dtype, reordered.device
    )
    metadata = reordered.flatten().gather(0, offsets)
    answers[f"values {kind}"], answers[f"metadata {kind}"] = values.numpy(), metadata.numpy().view(np.uint8)

np.savez(sys.argv[2], **answers)
