"""Programs, images and options of other tools that have other names now."""

from __future__ import annotations

import pytest
import yaml

import workbench as wb
from workbench.datafiles import read_rows
from workbench.translation.result import STATUSES


@pytest.mark.parametrize(
    ("text", "tool", "command"),
    [
        ("./quantize in.gguf out.gguf Q4_K_M", "llama.cpp", "./llama-quantize in.gguf out.gguf Q4_K_M"),
        ("./main -m x.gguf -p 'Once upon' -n 128", "llama.cpp", "./llama-cli -m x.gguf -p 'Once upon' -n 128"),
        ("bin/server -m x.gguf --n-gpu-layers 33", "llama.cpp", "bin/llama-server -m x.gguf --n-gpu-layers 33"),
        ("llama-server -m x.gguf --ctx-size=4096", "llama.cpp", "llama-server -m x.gguf --ctx-size 4096"),
        ("huggingface-cli download a/b --local-dir c", "Hugging Face", "hf download a/b --local-dir c"),
        ("text-generation-launcher --model-id m --max-input-length 4096", "TGI",
         "text-generation-launcher --model-id m --max-input-tokens 4096"),
        ("ollama run llama3.1:8b", "Ollama", "ollama run llama3.1:8b"),
        ("trtllm-build --checkpoint_dir a --output_dir b --gemm_plugin fp8", "TensorRT-LLM", "trtllm-serve a"),
        ("python convert_checkpoint.py --model_dir a", "TensorRT-LLM", "trtllm-serve a"),
        ("mpirun -n 2 python run.py --engine_dir a", "TensorRT-LLM", "trtllm-serve a --tp_size 2"),
        ("python -m auto_gptq.quantize --bits=4", "AutoGPTQ", "workbench quantize --method gptq --set bits=4"),
        ('tritonserver --model-repository=/m --backend-config=vllm,cmdline_args="--max-num-seqs 256"', "Triton",
         "tritonserver --model-repository=/m"),
    ],
)  # fmt: skip
def test_a_command(text, tool, command):
    part, *beside = wb.translate(text).parts
    assert [one.form for one in beside] == (["json"] if "cmdline_args" in text else [])
    assert (part.engine, part.command) == (tool, command)
    assert all(change.source for change in part.changes)
    assert all(change.text for change in part.changes if change.status != "kept")


def test_a_container_in_a_comment():
    image = "ghcr.io/huggingface/text-generation-inference:latest"
    text = f"# docker run --gpus all \\\n#  {image} \\\n#  --max-input-length 4096\n"
    (part,) = wb.translate(text).parts
    assert part.engine == "TGI"
    assert part.words[-2:] == ("--max-input-tokens", "4096")


def test_a_manifest_of_llama_cpp():
    image = "ghcr.io/ggerganov/llama.cpp:server"
    text = f"kind: Pod\nspec:\n  containers:\n  - image: {image}\n    args: ['--ctx-size=4096']\n"
    (part,) = wb.translate(text).parts
    new = yaml.safe_load(part.text)
    assert new == {"image": "ghcr.io/ggml-org/llama.cpp:server", "args": ["--ctx-size", "4096"]}
    assert [change.status for change in part.changes] == ["renamed", "wrong"]


def test_rows_are_whole():
    for row in read_rows("engines", "renamed_tools.csv"):
        assert row["status"] in STATUSES
        assert row["source"].startswith(("https://", "github:"))
        assert row["text"] or row["status"] == "kept"
    for row in read_rows("engines", "vllm_changes.csv"):
        assert row["verdict"] in STATUSES
        assert row["kind"] in ("option", "value", "variable", "command")
        assert row["text"]
        assert row["source"]
