"""The arithmetic of the GPU measurements, which needs no torch."""

import csv
import doctest
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.benchmark import gpu_bench, gpu_work, gpu_worker
from workbench.benchmark.gpu_decoder import MEMORY_COLUMNS, STEP_COLUMNS
from workbench.benchmark.gpu_kernels import KERNEL_COLUMNS
from workbench.benchmark.gpu_work import (
    LLAMA_8B,
    LLAMA_70B,
    WEIGHT_BYTES,
    add_rmsnorm,
    attention_decode,
    attention_prefill,
    copy,
    gemm,
    rope,
    silu_mul,
    step_work,
    sum_of_kernels,
)

sizes = st.integers(1, 4096)
formats = st.sampled_from(sorted(WEIGHT_BYTES))
DECODERS = [LLAMA_8B, LLAMA_70B]


@pytest.mark.parametrize("module", [gpu_work, gpu_bench], ids=lambda module: module.__name__)
def test_examples_hold(module):
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_the_decoder_is_the_bundled_model(decoder):
    model = wb.Model.from_config(decoder.name)
    assert decoder.parameters == model.parameters
    assert decoder.kv_bytes_per_token == model.kv_bytes_per_token("auto")
    assert decoder.weight_bytes("bf16") == 2 * model.parameters


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
def test_matrices_divided_over_gpus_are_the_whole(decoder, tensor):
    def count(t):
        return sum(inputs * outputs for inputs, outputs in decoder.matrices(t).values())

    assert tensor * count(tensor) == count(1)


@given(formats, sizes, sizes, sizes)
def test_a_product_moves_its_weights_and_more(form, tokens, inputs, outputs):
    case = gemm(form, tokens, inputs, outputs)
    assert case.moved > int(WEIGHT_BYTES[form] * inputs * outputs)
    assert case.flops == 2 * tokens * inputs * outputs
    twice = gemm(form, 2 * tokens, inputs, outputs)
    assert case.moved < twice.moved < 2 * case.moved
    assert gemm("fp8", tokens, inputs, outputs).moved <= gemm("fp8_row", tokens, inputs, outputs).moved


@given(sizes, st.integers(1, 8), st.sampled_from([1, 2, 4]), st.sampled_from([64, 128]), st.integers(1, 64))
def test_a_prompt_attends_as_its_tokens_one_by_one(context, kv_heads, group, head_dim, requests):
    shape = (kv_heads * group, kv_heads, head_dim)
    context = context % 64 + 1
    one_by_one = sum(attention_decode(requests, n, *shape).flops for n in range(1, context + 1))
    assert attention_prefill(requests, context, *shape).flops == one_by_one


@given(sizes, sizes, sizes)
def test_attention_reads_the_cache_of_every_request(requests, context, heads):
    case = attention_decode(requests, context, 4 * heads, heads, 128)
    assert case.moved - attention_decode(requests, 0, 4 * heads, heads, 128).moved == requests * context * heads * 512


@given(sizes, sizes)
def test_what_lies_between_moves_in_proportion_to_tokens(tokens, width):
    for make in (lambda n: silu_mul(n, width), lambda n: rope(n, width, 1, 64)):
        assert make(2 * tokens).moved == 2 * make(tokens).moved
    assert add_rmsnorm(2 * tokens, width).moved - 2 * add_rmsnorm(tokens, width).moved == -2 * width
    assert copy(tokens).moved == 2 * tokens


@given(st.integers(1, 256), st.integers(1, 32768), st.sampled_from(["bf16", "fp8_row"]))
def test_a_step_is_its_kernels(requests, context, form):
    """The step's FLOPs are its kernels'; its bytes are less by the activations, which may stay in the cache."""
    d = LLAMA_8B
    layer = [gemm(form, requests, *shape) for shape in d.matrices().values()]
    layer.append(attention_decode(requests, context, d.heads, d.kv_heads, d.head_dim))
    head = gemm("bf16", requests, d.hidden, d.vocabulary)
    moved, flops = step_work(d, form, "decode", requests, context)
    assert flops == d.layers * sum(case.flops for case in layer) + head.flops
    norms = 2 * d.norm_parameters
    assert moved < d.layers * sum(case.moved for case in layer) + head.moved + norms
    assert moved > d.layers * sum(case.moved for case in layer[:-1]) - requests * d.layers * 4 * 57344


@given(st.integers(2, 4096))
def test_a_prompt_is_more_work_than_a_token_and_reads_the_weights_once(isl):
    prompt, token = step_work(LLAMA_8B, "bf16", "prefill", 1, isl), step_work(LLAMA_8B, "bf16", "decode", 1, isl)
    assert prompt[0] == token[0]
    assert prompt[1] > (isl - 1) * 2 * LLAMA_8B.matrix_parameters > token[1] / 2


def kernels(requests, context):
    """A row for each kernel of a decode step, of one microsecond."""
    d = LLAMA_8B
    cases = [gemm("bf16", requests, *shape) for shape in d.matrices().values()]
    cases += [gemm("bf16", requests, d.hidden, d.vocabulary), add_rmsnorm(requests, d.hidden)]
    cases += [silu_mul(requests, d.intermediate), rope(requests, d.heads, d.kv_heads, d.head_dim)]
    cases += [attention_decode(requests, context, d.heads, d.kv_heads, d.head_dim)]
    names = [name for name in gpu_work.Case.__slots__ if name != "moved"]
    return [{**{name: getattr(case, name) for name in names}, "seconds": 1e-6} for case in cases]


def test_kernels_add_up_to_a_step(tmp_path):
    rows = kernels(4, 2048)
    expected = (32 * 9 + 2) * 1e-6
    assert sum_of_kernels(rows, LLAMA_8B, 4, 2048) == pytest.approx(expected)
    path = tmp_path / "kernels.csv"
    assert gpu_bench.write(path, list(rows[0]), rows) == len(rows)
    with path.open() as file:
        assert sum_of_kernels(csv.DictReader(file), LLAMA_8B, 4, 2048) == pytest.approx(expected)
    with pytest.raises(KeyError):
        sum_of_kernels(rows, LLAMA_8B, 8, 2048)
    with pytest.raises(KeyError):
        sum_of_kernels(rows, LLAMA_8B, 4, 4096)


def test_a_table_is_complete_or_not_there(tmp_path):
    def rows():
        yield {"a": 1}
        raise RuntimeError("the card fell off the bus")

    path = tmp_path / "kernels.csv"
    with pytest.raises(RuntimeError, match="fell off"):
        gpu_bench.write(path, ["a"], rows())
    assert not path.exists()


def test_shapes_of_the_sweep_are_each_there_once():
    found = gpu_bench.KEPT.gemms
    assert len(found) == len(set(found)) == 20
    assert {(8192, 57344), (8192, 14336), (28672, 8192), (1024, 4096), (8192, 32064)} <= set(found)
    assert gpu_bench.KEPT.tokens == tuple(2**n for n in range(14))


def test_a_row_has_the_columns_of_its_table():
    columns = {"gpu", "version", "date", "source", "library"}
    assert columns < set(KERNEL_COLUMNS) & set(STEP_COLUMNS) & set(MEMORY_COLUMNS)
    case = {name for name in gpu_work.Case.__slots__ if name != "moved"} | {"bytes", "seconds"}
    assert columns | case == set(KERNEL_COLUMNS)


def test_without_torch_it_says_so(tmp_path):
    command = [sys.executable, "-S", gpu_worker.__file__, "--out", str(tmp_path / "out")]  # -S: nothing installed
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.strip()) == (2, "torch is not installed here")
    assert not (tmp_path / "out").exists()
