"""Bytes of one stored matrix, against the shapes of the tensors each library writes."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats import GGUF, SCHEMES, named
from workbench.formats.kinds import Blocks, Codebooks, FlatBlocks, Float, Packed

BYTES = {"int32": 4, "float16": 2, "bfloat16": 2, "float32": 4, "uint8": 1, "int8": 1, "fp8": 1, "int64": 8, "int16": 2}


def tensors(*shapes):
    """Bytes of tensors given as (type, *shape)."""
    return sum(BYTES[dtype] * math.prod(shape) for dtype, *shape in shapes)


NESTED = {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.1281544417142868}


def nf4_state(inputs, outputs, **nested):
    """What bitsandbytes packs beside a matrix of 4-bit floats, as a text."""
    fields = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": (outputs, inputs), **nested}
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("format", "written"),
    [
        # AutoAWQ 0.2.9 modules/linear/gemm.py
        (named.AWQ, lambda i, o: [("int32", i, o // 8), ("int32", i // 128, o // 8), ("float16", i // 128, o)]),
        # GPTQModel 7.4 nn_modules/qlinear, BaseQuantLinear's buffers
        (
            named.GPTQ,
            lambda i, o: [
                ("int32", i // 8, o), ("int32", i // 128, o // 8), ("float16", i // 128, o), ("int32", i),
            ],
        ),
        # compressed-tensors 0.17 compressors/pack_quantized/base.py
        (named.W4A16, lambda i, o: [("int32", o, i // 8), ("bfloat16", o, i // 128), ("int64", 2)]),
        (named.W8A16, lambda i, o: [("int32", o, i // 4), ("bfloat16", o, 1), ("int64", 2)]),
        # compressors/naive_quantized/base.py
        (named.INT8, lambda i, o: [("int8", o, i), ("bfloat16", o, 1)]),
        # transformers 5.17 integrations/finegrained_fp8.py
        (named.FP8_BLOCK, lambda i, o: [("fp8", o, i), ("float32", -(-o // 128), -(-i // 128))]),
        # transformers 5.17 integrations/mxfp4.py: blocks and scales of an expert
        (named.MXFP4, lambda i, o: [("uint8", o, i // 32, 16), ("uint8", o, i // 32)]),
        # vLLM 0.32.0 modelopt.py: weight, weight_scale, weight_scale_2, input_scale
        (named.NVFP4, lambda i, o: [("uint8", o, i // 2), ("fp8", o, i // 16), ("float32", 1), ("float32", 1)]),
        # bitsandbytes 0.50 functional.py: weight, absmax, quant_map, quant_state; nested: absmax in bytes,
        # nested_absmax, second map
        (
            named.NF4,
            lambda i, o: [
                ("uint8", o * i // 2), ("float32", o * i // 64), ("float32", 16), ("uint8", len(nf4_state(i, o))),
            ],
        ),
        (
            named.NF4_DOUBLE,
            lambda i, o: [
                ("uint8", o * i // 2), ("uint8", o * i // 64), ("float32", -(-o * i // 64 // 256)), ("float32", 16),
                ("float32", 256), ("uint8", len(nf4_state(i, o, **NESTED))),
            ],
        ),
        (named.BNB_INT8, lambda i, o: [("int8", o, i), ("float32", o), ("uint8", 1)]),
        # torchao 0.18 quantize_/workflows/int8/int8_tensor.py: qdata, scale, zero_point
        (named.TORCHAO_INT8, lambda i, o: [("int8", o, i), ("float32", o, 1), ("int8", o, 1)]),
        # torchao 0.17 tinygemm layout: nibbles, scale and zero point of every group
        (named.TORCHAO_INT4, lambda i, o: [("uint8", o, i // 2), ("bfloat16", i // 128, o, 2)]),
        # aqlm 1.1 inference.py: codes, codebooks, scales
        (
            Codebooks("aqlm", 2, 8),
            lambda i, o: [("int8", o, i // 8, 2), ("float16", 2, 256, 1, 8), ("float16", o, 1, 1, 1)],
        ),
    ],
    ids=lambda value: getattr(value, "id", ""),
)  # fmt: skip
@pytest.mark.parametrize(("inputs", "outputs"), [(4096, 4096), (7168, 576), (14336, 4096), (256, 16384)])
def test_a_matrix_takes_what_the_library_writes(format, written, inputs, outputs):
    assert format.matrix_bytes(inputs, outputs) == tensors(*written(inputs, outputs))


def test_zero_points_and_act_order_are_stored_where_they_are():
    plain = named.W4A16.matrix_bytes(4096, 1024)
    asymmetric = dataclasses.replace(named.W4A16, zero_bits=4).matrix_bytes(4096, 1024)
    ordered = dataclasses.replace(named.W4A16, index_bits=32).matrix_bytes(4096, 1024)
    assert asymmetric - plain == 32 * 1024 / 2  # one nibble a group and output
    assert ordered - plain == 4 * 4096  # compressed-tensors' weight_g_idx


def test_a_row_that_is_no_whole_word_is_filled_up():
    assert dataclasses.replace(named.W4A16, tensor_bytes=0, scale_bits=0).matrix_bytes(9, 3) == 3 * 8
    assert dataclasses.replace(named.MXFP4, scale_bits=0).matrix_bytes(9, 3) == 3 * 5


sides = st.integers(1, 40_000)
bits = st.sampled_from([1, 2, 3, 4, 5, 6, 8])
packed = st.builds(
    Packed, st.just("x"), bits, st.sampled_from([-1, 0, 16, 32, 64, 128]), st.none(),
    st.sampled_from([8, 16, 32]), st.sampled_from([0, 4, 8]), st.sampled_from([0, 32]), st.integers(0, 16),
    st.sampled_from([8, 32]), st.sampled_from(["inputs", "outputs"]),
)  # fmt: skip
blocked = st.builds(Packed, st.just("x"), bits, block=st.tuples(st.integers(1, 256), st.integers(1, 256)))
flat = st.builds(FlatBlocks, st.just("x"), bits, st.sampled_from([32, 64, 128]), st.sampled_from([0, 256]))
books = st.builds(Codebooks, st.just("x"), st.integers(1, 4), st.integers(1, 16), st.sampled_from([4, 8, 16]))
ggml = st.sampled_from([s.format for s in GGUF.values()])
formats = st.one_of(packed, blocked, flat, books, ggml, st.builds(Float, st.just("x"), st.sampled_from([16, 32])))


@given(format=formats, inputs=sides, outputs=sides)
def test_no_matrix_takes_less_than_its_bits(format, inputs, outputs):
    assert format.matrix_bytes(inputs, outputs) >= inputs * outputs * format.bits / 8


@given(format=formats, inputs=sides, outputs=sides, wider=st.integers(0, 500), taller=st.integers(0, 500))
def test_a_larger_matrix_never_takes_less(format, inputs, outputs, wider, taller):
    assert format.matrix_bytes(inputs + wider, outputs + taller) >= format.matrix_bytes(inputs, outputs)


@given(format=formats, inputs=st.integers(1, 300), outputs=st.integers(1, 300))
def test_bytes_are_whole(format, inputs, outputs):
    size = format.matrix_bytes(inputs * 256, outputs * 256)
    assert size == int(size)


def test_every_named_scheme_sizes_a_matrix():
    for scheme in SCHEMES.values():
        if scheme.family == "gguf":
            continue
        assert 16 >= scheme.matrix_bytes(4096, 4096) * 8 / 4096**2 >= scheme.bits or scheme.id == "fp32", scheme.id
    assert isinstance(GGUF["q4_k_m"].format, Blocks)
