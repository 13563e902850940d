"""Asked by test_against_libraries.py in the environment `quantize`: what torch, bitsandbytes and torchao make of it."""

import sys

import bitsandbytes.functional as bnb
import numpy as np
import torch
from torchao.prototype.mx_formats.mx_tensor import to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize


def unpacked(packed: torch.Tensor) -> np.ndarray:
    """Two codes of four bits a byte, the lower half first."""
    both = packed.view(torch.uint8).numpy()
    return np.stack([both & 15, both >> 4], axis=-1).reshape(*both.shape[:-1], -1)


asked, answers = np.load(sys.argv[1]), {}
for name, kind in (("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):
    codes = torch.arange(256, dtype=torch.uint8)
    answers[f"{name} values"] = codes.view(kind).to(torch.float64).numpy()
    for source in ("half", "bfloat", "float"):
        if source == "float":
            given = torch.from_numpy(asked["floats"])
        else:
            every = torch.from_numpy(np.arange(65536, dtype=np.uint16).view(np.int16))
            given = every.view(torch.float16 if source == "half" else torch.bfloat16)
        answers[f"{name} {source}"] = given.to(kind).view(torch.uint8).numpy()

x = torch.from_numpy(asked["floats"][np.isfinite(asked["floats"])].clip(-100, 100))
answers["fake symmetric"] = torch.fake_quantize_per_tensor_affine(x, 0.5, 0, -8, 7).numpy()
answers["fake asymmetric"] = torch.fake_quantize_per_tensor_affine(x, 0.5, 3, 0, 15).numpy()

weight = torch.from_numpy(asked["weight"])
limits = torch.quantization.PerChannelMinMaxObserver(
    dtype=torch.quint8, qscheme=torch.per_channel_affine, quant_min=0, quant_max=15
)
limits(weight)
scale, zero_point = limits.calculate_qparams()
answers["observed scale"], answers["observed zero point"] = scale.numpy(), zero_point.numpy()

packed, state = bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4")
answers["nf4 values"] = bnb.dequantize_4bit(packed, state).numpy()
answers["nf4 absmax"], answers["nf4 levels"] = state.absmax.numpy(), state.code.numpy()
high = packed.numpy().reshape(-1)
answers["nf4 codes"] = np.stack([high >> 4, high & 15], axis=-1).reshape(weight.shape)

scales, codes = to_mx(weight, torch.float4_e2m1fn_x2, 32)
answers["mxfp4 scales"], answers["mxfp4 codes"] = scales.view(torch.uint8).numpy(), unpacked(codes)
scales, codes = nvfp4_quantize(weight, 16, weight.abs().max() / (448 * 6))
answers["nvfp4 scales"], answers["nvfp4 codes"] = scales.view(torch.uint8).numpy(), unpacked(codes)
np.savez(sys.argv[2], **answers)
