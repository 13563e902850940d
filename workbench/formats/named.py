"""The schemes a Deployment can ask for by name, and how a name is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import UnknownName
from workbench.formats.gguf_files import GGUF
from workbench.formats.kinds import Blocks, Codebooks, FlatBlocks, Float, Format, Packed
from workbench.formats.scheme import Scheme

if TYPE_CHECKING:
    import pandas as pd

BF16, FP16, FP32 = Float("bf16", 16), Float("fp16", 16), Float("fp32", 32)

#: The matrix formats that checkpoints are made of; readers change their parameters.
FP8_CHANNEL = Packed("fp8", 8, scale_bits=32)
FP8_TENSOR = Packed("fp8", 8, group_size=-1, scale_bits=32)
FP8_BLOCK = Packed("fp8", 8, block=(128, 128), scale_bits=32)
MXFP8 = Packed("mxfp8", 8, group_size=32, scale_bits=8)
MXFP4 = Packed("mxfp4", 4, group_size=32, scale_bits=8)
#: With the FP32 scale of the matrix, and that of the activations.
NVFP4 = Packed("nvfp4", 4, group_size=16, scale_bits=8, tensor_bytes=8)
NVFP4_WEIGHT_ONLY = Packed("nvfp4", 4, group_size=16, scale_bits=8, tensor_bytes=4)
AWQ = Packed("int4", 4, 128, zero_bits=4, word_bits=32, pack="outputs")
GPTQ = Packed("int4", 4, 128, zero_bits=4, index_bits=32, word_bits=32)
#: compressed-tensors also writes the shape, two 64-bit numbers.
W4A16 = Packed("int4", 4, 128, tensor_bytes=16, word_bits=32)
INT8 = Packed("int8", 8)
W8A16 = Packed("int8", 8, tensor_bytes=16, word_bits=32)
_NF4_STATE = '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [%d, %d]'
NF4 = FlatBlocks("nf4", 4, 64, state=_NF4_STATE + "}")
#: The offset is written as Python writes a number of 32 bits widened to 64: 18 letters, sometimes some less or more.
NF4_DOUBLE = FlatBlocks(
    "nf4", 4, 64, nested=256, tensor_bytes=64 + 1024,
    state=_NF4_STATE + ', "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.1234567890123456}',
)  # fmt: skip
#: One byte a weight, an FP32 scale an output (``SCB``), one byte that names the layout.
BNB_INT8 = Packed("int8", 8, scale_bits=32, tensor_bytes=1)
#: torchao keeps a BF16 scale and zero point a group, in tinygemm's layout.
TORCHAO_INT4 = Packed("int4", 4, 128, scale_bits=32)
#: An FP32 scale and an 8-bit zero point an output (``_weight_qdata``, ``_weight_scale``, ``_weight_zero_point``), 0.18.
TORCHAO_INT8 = Packed("int8", 8, scale_bits=32, zero_bits=8)

_NAMED = (
    Scheme("bf16", "BF16", BF16, vllm="bfloat16", family="float", note="the precision most models are published in"),
    Scheme("fp16", "FP16", FP16, vllm="float16", family="float"),
    Scheme(
        "fp32", "FP32", FP32, "fp32", vllm="float32", family="float",
        note="twice the memory of BF16 for no better answers",
    ),
    Scheme(
        "fp8", "FP8", FP8_CHANNEL, "fp8", capability=(7, 5), vllm="fp8", online=True, family="fp8-online",
        note="one scale an output channel; below compute capability 8.9 weights only",
    ),
    Scheme(
        "int8", "INT8 W8A8", INT8, "int8", capability=(7, 5), vllm="compressed-tensors", family="compressed-tensors",
        note="SmoothQuant style: weights and activations",
    ),
    Scheme(
        "awq", "AWQ 4-bit", AWQ, capability=(7, 5), vllm="awq", family="awq",
        note="AutoAWQ, groups of 128 with zero points; multiplies in 16 bit",
    ),
    Scheme(
        "gptq", "GPTQ 4-bit", GPTQ, capability=(6, 0), vllm="gptq", family="gptq",
        note="groups of 128; multiplies in 16 bit",
    ),
    Scheme(
        "w4a16", "W4A16", W4A16, capability=(7, 5), vllm="compressed-tensors", family="compressed-tensors",
        note="compressed-tensors, symmetric, groups of 128; multiplies in 16 bit",
    ),
    Scheme(
        "w8a16", "W8A16", W8A16, capability=(7, 5), vllm="compressed-tensors", family="compressed-tensors",
        note="compressed-tensors, 8-bit integers, one scale an output; multiplies in 16 bit",
    ),
    Scheme(
        "fp8_block", "FP8 in blocks", FP8_BLOCK, "fp8", capability=(7, 5), vllm="fp8", family="fp8",
        note="blocks of 128 × 128, as DeepSeek and Qwen publish",
    ),
    Scheme(
        "mxfp8", "MXFP8", MXFP8, "fp8", capability=(8, 0), vllm="mxfp8", family="modelopt",
        note="blocks of 32 with an 8-bit exponent",
    ),
    Scheme(
        "mxfp4", "MXFP4", MXFP4, roles=frozenset({"expert"}), capability=(8, 0), vllm="mxfp4", family="mxfp4",
        note="experts only, as gpt-oss; multiplies in 16 bit below Blackwell", kernel_multiples=(256, 128),
    ),
    Scheme(
        "nvfp4", "NVFP4", NVFP4, "fp4", capability=(7, 5), vllm="modelopt", family="modelopt",
        note="multiplies in FP4 on Blackwell, weight-only before",
    ),
    Scheme(
        "nf4", "bitsandbytes NF4", NF4, capability=(7, 0), vllm="bitsandbytes", online=True, family="bitsandbytes",
        note="blocks of 64; multiplies in 16 bit, slower than AWQ",
    ),
    Scheme(
        "nf4_double", "bitsandbytes NF4, scales quantised too", NF4_DOUBLE, capability=(7, 0), vllm="bitsandbytes",
        family="bitsandbytes", note="double quantisation saves 0.37 bits a weight",
    ),
    Scheme(
        "bnb_int8", "bitsandbytes INT8", BNB_INT8, capability=(7, 5), vllm="bitsandbytes", family="bitsandbytes",
        note="LLM.int8()",
    ),
    Scheme(
        "torchao_int4", "torchao INT4", TORCHAO_INT4, capability=(8, 0), vllm="torchao", family="torchao",
        note="weight only, groups of 128",
    ),
    Scheme("torchao_int8", "torchao INT8", TORCHAO_INT8, capability=(7, 5), vllm="torchao", family="torchao",
           note="weight only, one scale an output"),
    Scheme("aqlm", "AQLM 2-bit 1×16", Codebooks("aqlm 1x16", 1, 16), capability=(6, 0), family="aqlm",
           note="one codebook of 65,536 entries a matrix"),
)  # fmt: skip

#: Every scheme by its id: plain floats, checkpoints in safetensors, and the files that llama.cpp writes.
SCHEMES: dict[str, Scheme] = {**{scheme.id: scheme for scheme in _NAMED}, **GGUF}


def scheme(id: str) -> Scheme:
    """A scheme by its id; GGUF files by llama.cpp's name for the mix ("Q4_K_M").

    Raises
    ------
    UnknownName
        For an id that no scheme has.

    Examples
    --------
    >>> scheme("awq").matrix_bytes(4096, 4096) * 8 / 4096**2
    4.15625
    >>> scheme("Q4_K_M").title
    'GGUF Q4_K_M'
    """
    try:
        return SCHEMES[str(id).casefold()]
    except KeyError:
        raise UnknownName(
            "quantization",
            str(id),
            SCHEMES,
            f"one of {', '.join(known.id for known in _NAMED)}, or a GGUF file type such as q4_k_m",
        ) from None


def schemes() -> pd.DataFrame:
    """All schemes: id, title, bits a weight of a 4096 × 4096 matrix, compute format, needs, engines, note."""
    import pandas as pd

    from workbench.formats.support import engines

    rows = [
        {
            "id": s.id,
            "title": s.title,
            "bits_per_weight": _bits(s.format),
            "compute": s.compute,
            "min_compute_capability": ".".join(map(str, s.capability)) if s.capability[0] else "",
            "vllm": s.vllm,
            "engines": ", ".join(engines(s)),
            "note": s.note,
        }
        for s in SCHEMES.values()
    ]
    return pd.DataFrame(rows).set_index("id")


def _bits(format: Format) -> float:
    """Bits a weight of a 4096 × 4096 matrix."""
    return format.bits if isinstance(format, (Float, Blocks)) else format.matrix_bytes(4096, 4096) * 8 / 4096**2
