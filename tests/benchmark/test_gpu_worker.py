"""The GPU measurements run for real, in an environment that has torch: small shapes, on what there is."""

import csv
import math
import shutil
import subprocess

import pytest

from workbench import environments
from workbench.benchmark import gpu_worker
from workbench.benchmark.gpu_decoder import MEMORY_COLUMNS, STEP_COLUMNS
from workbench.benchmark.gpu_kernels import KERNEL_COLUMNS
from workbench.benchmark.gpu_work import TINY

pytestmark = [pytest.mark.environment, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def python():
    return environments.ensure("quantize").python


def measured(python, out, *words):
    command = [python, gpu_worker.__file__, "--small", "--eager", "--out", out, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    tables = {}
    for path in out.iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            tables[path.stem.rsplit("_", 1)[1]] = list(csv.DictReader(file))
    return tables


def check(tables):
    kernels, steps = tables["kernels"], tables["steps"]
    assert list(kernels[0]) == list(KERNEL_COLUMNS)
    assert list(steps[0]) == list(STEP_COLUMNS)
    assert {row["operator"] for row in kernels} == {
        "gemm", "attention_decode", "attention_prefill", "elementwise", "copy",
    }  # fmt: skip
    assert {"bf16", "fp8"} <= {row["format"] for row in kernels if row["operator"] == "gemm"}
    assert all(0 < float(row["seconds"]) < math.inf for row in kernels)
    assert {(row["stage"], row["requests"]) for row in steps} == {("decode", "1"), ("decode", "2"), ("prefill", "1")}
    assert all(float(row["step_ms"]) > 0 for row in steps)


def test_on_the_cpu(python, tmp_path):
    check(measured(python, tmp_path, "--device", "cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU is here")
def test_on_the_gpu(python, tmp_path):
    tables = measured(python, tmp_path)
    check(tables)
    assert list(tables["memory"][0]) == list(MEMORY_COLUMNS)
    weights = {row["format"]: int(row["bytes_measured"]) for row in tables["memory"] if row["quantity"] == "weights"}
    tensors = 8 * TINY.layers + 2 * TINY.layers + 3
    for form, size in weights.items():
        assert 0 <= size - TINY.weight_bytes(form) <= 512 * tensors


def test_a_token_decoded_is_the_prompts_last(python, tmp_path):
    """The decoder is right: one token after a cached prompt gives what the whole prompt gives, in either format."""
    code = f"""
import sys
sys.path.insert(0, {str(gpu_worker.Path(gpu_worker.__file__).parents[2])!r})
import torch
from workbench.benchmark.gpu_bench import SMALL, Bench
from workbench.benchmark.gpu_decoder import Network
from workbench.benchmark.gpu_work import TINY

torch.manual_seed(0)
bench = Bench("cpu", SMALL, 600, "", compiled=False)
for form in ("bf16", "fp8_row"):
    network = Network(bench, TINY, form)
    ids = torch.randint(TINY.vocabulary, (2, 9))
    network.reserve(2, 9)
    whole = network.call(2, 9, 9, "torch sdpa flash", ids.reshape(-1))()
    for way in ("torch sdpa flash", "torch sdpa flash folded"):
        for keys, values in network.cache:
            keys[:, 8] = values[:, 8] = 0
        assert torch.equal(network.call(2, 1, 9, way, ids[:, 8].contiguous())(), whole), (form, way)
print("the same")
"""
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "the same", done.stderr
