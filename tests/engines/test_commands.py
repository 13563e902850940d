"""Each engine's start line, its own words, its constants by version."""

import shlex

import pytest

import workbench as wb
from workbench.deployment import Deployment
from workbench.engines.registry import REGISTRY, engine
from workbench.engines.tables import parse
from workbench.errors import InvalidInput, UnknownName

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        (
            "llama.cpp",
            {"quantization": "q4_k_m", "max_model_len": 8192, "max_num_seqs": 4, "kv_cache_dtype": "q8_0"},
            "llama-server --model Llama-3.1-8B-Instruct-q4_k_m.gguf --ctx-size 32768 --parallel 4 --n-gpu-layers 33"
            " --cache-type-k q8_0 --cache-type-v q8_0",
        ),
        (
            "llama.cpp",
            {"quantization": "q8_0", "max_model_len": 4096, "n_gpu_layers": 20, "max_num_batched_tokens": 4096},
            "llama-server --model Llama-3.1-8B-Instruct-q8_0.gguf --ctx-size 4096 --parallel 1 --n-gpu-layers 20"
            " --ubatch-size 4096 --batch-size 4096",
        ),
        (
            "sglang",
            {"tensor_parallel_size": 2, "max_model_len": 8192, "mem_fraction_static": 0.8, "enforce_eager": True},
            f"python -m sglang.launch_server --model-path {LLAMA} --tp-size 2 --context-length 8192"
            " --mem-fraction-static 0.8 --disable-prefill-cuda-graph --disable-decode-cuda-graph",
        ),
        (
            "sglang",
            {"engine_version": "0.5.4", "data_parallel_size": 2, "max_model_len": 8192, "enforce_eager": True},
            f"python -m sglang.launch_server --model-path {LLAMA} --tp-size 2 --dp-size 2 --enable-dp-attention"
            " --context-length 8192 --disable-cuda-graph",
        ),
        (
            "sglang",
            {"quantization": "fp8", "max_num_seqs": 64},
            f"python -m sglang.launch_server --model-path {LLAMA} --max-running-requests 64 --quantization fp8",
        ),
        (
            "tensorrt-llm",
            {"tensor_parallel_size": 2, "max_model_len": 8192, "free_gpu_memory_fraction": 0.8, "max_num_seqs": 64},
            f"trtllm-serve {LLAMA} --backend pytorch --tp_size 2 --max_batch_size 64 --max_seq_len 8192"
            " --kv_cache_free_gpu_memory_fraction 0.8",
        ),
        ("tensorrt-llm", {"kv_cache_dtype": "fp8"}, ""),
        (
            "tgi",
            {"tensor_parallel_size": 2, "max_model_len": 8192, "cuda_memory_fraction": 0.9, "dtype": "half"},
            f"text-generation-launcher --model-id {LLAMA} --max-total-tokens 8192 --max-input-tokens 8191 --num-shard 2"
            " --cuda-memory-fraction 0.9 --dtype float16",
        ),
        ("transformers", {"max_model_len": 8192}, f"transformers serve {LLAMA}"),
        ("transformers", {"quantization": "nf4"}, f"transformers serve {LLAMA} --quantization bnb-4bit"),
        ("transformers", {"quantization": "fp8"}, ""),
        ("vllm", {"max_model_len": 8192}, f"vllm serve {LLAMA} --max-model-len 8192"),
    ],
)
def test_start_lines(name, fields, line):
    plan = wb.plan(LLAMA, "H100 SXM", engine=name, **fields)
    assert plan.command == line
    assert shlex.split(line) == plan.words


def test_a_line_for_a_processor_offloads_nothing():
    plan = wb.plan(LLAMA, "cpu", engine="llama.cpp", quantization="q4_k_m", max_model_len=4096)
    assert plan.command.endswith("--n-gpu-layers 0")
    assert "kv_cache_memory_bytes" not in str(plan.reasons)


@pytest.mark.parametrize("name", REGISTRY)
def test_constants_by_version(name):
    found = engine(name)
    known = found.release(None)
    assert not known.newer_than_known
    assert known.source
    old, new = found.release("0.0.1"), found.release("99.0")
    assert parse(old.since) <= parse(known.since)
    assert new.newer_than_known
    assert new.since == known.since or parse(new.since) > parse(known.since)
    with pytest.raises(InvalidInput, match="engine_version"):
        found.release("newest")


def test_a_version_newer_than_the_table_is_said():
    plan = wb.plan(LLAMA, "L40S", engine="sglang", engine_version="9.0", max_model_len=8192)
    assert any("SGLang 9.0 is newer" in reason for reason in plan.reasons)


def test_an_unknown_engine_is_named():
    with pytest.raises(UnknownName, match="sglang"):
        Deployment(engine="sglong")
    with pytest.raises(UnknownName, match="tgi"):
        engine("tgi2")


def test_fields_are_a_deployments():
    names = set(Deployment.__dataclass_fields__)
    for found in REGISTRY.values():
        assert found.fields <= names
        assert set(found.instead) <= names
