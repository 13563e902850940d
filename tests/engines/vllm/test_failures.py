"""From the log of a vLLM that died to the line that matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engines.vllm.failures import read_failure

# The shape of every failed start since V1: the cause in the engine's process, then what followed from it.
WRAPPED = """\
(APIServer pid=1) INFO 11-20 09:00:00 [api_utils.py:329] vLLM server version 0.32.0, serving model m
(APIServer pid=1) INFO 11-20 09:00:00 [api_utils.py:340] non-default args: {{'model': 'm', 'trust_remote_code': False}}
(EngineCore pid=5) WARNING 11-20 09:00:02 [import_utils.py:9] ModuleNotFoundError: No module named 'deep_gemm'
(EngineCore pid=5) INFO 11-20 09:00:09 [core.py:134] Initializing a V1 LLM engine (v0.32.0) with config: model='m'
(EngineCore pid=5) ERROR 11-20 09:00:31 [core.py:1510] EngineCore failed to start.
(EngineCore pid=5) ERROR 11-20 09:00:31 [core.py:1510] Traceback (most recent call last):
(EngineCore pid=5) ERROR 11-20 09:00:31 [core.py:1510]   File "vllm/v1/engine/core.py", line 1500, in run_engine_core
(EngineCore pid=5) ERROR 11-20 09:00:31 [core.py:1510]     raise ValueError(
(EngineCore pid=5) ERROR 11-20 09:00:31 [core.py:1510] {cause}
(EngineCore pid=5) Process EngineCore:
(EngineCore pid=5) Traceback (most recent call last):
(EngineCore pid=5)   File "multiprocessing/process.py", line 314, in _bootstrap
(EngineCore pid=5) {cause}
(APIServer pid=1) Traceback (most recent call last):
(APIServer pid=1)   File "vllm/v1/engine/utils.py", line 1432, in wait_for_engine_startup
(APIServer pid=1)     raise RuntimeError(
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}
"""

CAUSES = [
    (
        "max_model_len_too_large",
        "ValueError: To serve at least one request with the model's max seq len (131072), (16.0 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (4.12 GiB). Based on the available memory, the "
        "estimated maximum model length is 33744. Try increasing it.",
        "Set max_model_len to 33744 or less",
    ),
    (
        "max_model_len_too_large",
        "ValueError: To serve at least one request with the models's max seq len (8192), (1.00 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (0.52 GiB).",
        "Lower max_model_len",
    ),
    (
        "max_model_len_too_large",
        "ValueError: The model's max seq len (8192) is larger than the maximum number of tokens that can be stored in "
        "KV cache (2400). Try increasing `gpu_memory_utilization` or decreasing `max_model_len`.",
        "Set max_model_len to 2400 or less",
    ),
    (
        "no_kv_cache",
        "ValueError: No available memory for the cache blocks. Try increasing it.",
        "use more GPUs",
    ),
    (
        "memory_taken",
        "ValueError: Free memory on device cuda:0 (3.11/44.4 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 40.85 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "Other processes hold memory",
    ),
    (
        "memory_taken",
        "ValueError: Available memory on node 0 (3.2/23.4 GiB) on kv cache allocation is less than requested memory "
        "for kv (8.0 GiB). Decrease --kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory.",
        "Lower kv_cache_memory_bytes",
    ),
    (
        "oom_loading",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has a total capacity of 44.40 "
        "GiB of which 100.31 MiB is free.",
        "Quantise the model",
    ),
    (
        "oom_cuda_graphs",
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try "
        "lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
        "max_num_seqs",
    ),
    ("port_busy", "OSError: [Errno 98] Address already in use", "Choose another one"),
    (
        "gated",
        "OSError: You are trying to access a gated repo. Make sure to have access to it at https://huggingface.co/m",
        "HF_TOKEN",
    ),
    (
        "remote_code",
        "ValueError: The repository m contains custom code which must be executed to correctly load the model. Please "
        "pass the argument `trust_remote_code=True` to allow custom code to be run.",
        "--trust-remote-code",
    ),
    (
        "compute_capability",
        "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current "
        "capability: 75.",
        "capability 8.9; this one has 7.5",
    ),
    (
        "unsupported_kernel",
        "ValueError: Failed to find a kernel that can implement the WNA16 linear layer. Reasons: ...",
        "Choose another quantisation",
    ),
    (
        "unsupported_model",
        "ValueError: Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: []",
        "does not know the model's architecture",
    ),
    (
        "parallelism",
        "ValueError: Total number of attention heads (28) must be divisible by tensor parallel size (8).",
        "tensor_parallel_size",
    ),
    ("missing_module", "ModuleNotFoundError: No module named 'timm'", "Build the environment again"),
    (
        "bad_weights",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
        "missing or damaged",
    ),
    ("bad_weights", "RuntimeError: Cannot find any model weights with `/m`", "missing or damaged"),
    ("disk_full", "OSError: [Errno 28] No space left on device", "full"),
    (
        "no_device",
        "RuntimeError: Failed to infer device type, please set the environment variable",
        "nvidia-smi",
    ),
    ("unknown", "ZeroDivisionError: division by zero", "no failure that the workbench knows"),
    ("unknown", "SomethingNewError: the moon is in the wrong phase", "no failure that the workbench knows"),
]


@pytest.mark.parametrize(("kind", "cause", "advice"), CAUSES)
def test_the_cause_is_found_in_what_follows_from_it(kind: str, cause: str, advice: str) -> None:
    failure = read_failure(WRAPPED.format(cause=cause).splitlines(), 1)
    assert failure.kind == kind
    assert failure.line == " ".join(cause.split())
    assert advice in failure.advice
    assert "\n" not in str(failure)


def test_validation_errors_are_said_without_their_wrapping() -> None:
    log = """\
    (APIServer pid=1) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
    (APIServer pid=1)   Value error, User-specified max_model_len (99999) is greater than the derived max_model_len \
(max_position_embeddings=2048.0 or model_max_length=None in model's config.json). To allow overriding this maximum, \
set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. [type=value_error, input_value=ArgsKwargs((), {})]
    (APIServer pid=1)     For further information visit https://errors.pydantic.dev/2.13/v/value_error"""
    failure = read_failure(log.splitlines(), 1)
    assert failure.kind == "max_model_len_too_large"
    assert "2048 or less" in failure.advice
    assert failure.line.startswith("User-specified max_model_len (99999)")
    assert "input_value" not in failure.line


def test_an_unrecognised_validation_error_is_still_the_line_that_matters() -> None:
    log = """\
Traceback (most recent call last):
pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig
  Value error, the moon is in the wrong phase [type=value_error, input_value=3, input_type=int]"""
    failure = read_failure(log.splitlines(), 1)
    assert (failure.kind, failure.line) == ("unknown", "the moon is in the wrong phase")


def test_a_flag_that_this_release_lacks() -> None:
    log = "usage: vllm serve [model_tag] [options]\nvllm: error: unrecognized arguments: --swap-space 4"
    failure = read_failure(log.splitlines(), 2)
    assert failure.kind == "flags"
    assert failure.advice == "This release of vLLM does not know --swap-space 4. Leave it out."


def test_a_flag_with_a_bad_value() -> None:
    log = "vllm serve: error: argument --dtype: invalid choice: 'fp9' (choose from 'auto', 'half')"
    failure = read_failure(log.splitlines(), 2)
    assert failure.kind == "flags"
    assert "--dtype" in failure.line


def test_out_of_memory_after_the_cache_is_another_verdict() -> None:
    cause = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB."
    before = "(EngineCore pid=5) INFO 11-20 09:00:30 [gpu_worker.py:760] Available KV cache memory: 31.02 GiB\n"
    failure = read_failure((before + WRAPPED.format(cause=cause)).splitlines(), 1)
    assert failure.kind == "oom_cuda_graphs"
    assert failure.line == cause
    assert "enforce_eager" in failure.advice


def test_killed_without_a_word() -> None:
    failure = read_failure(["INFO 11-20 09:00:00 [a.py:1] Starting to load model m..."], -9)
    assert failure.kind == "killed"
    assert "ran out of memory" in failure.advice


def test_nothing_at_all() -> None:
    failure = read_failure([], 3)
    assert failure.kind == "unknown"
    assert "exit code 3" in failure.advice


@given(st.lists(st.text(max_size=80), max_size=20), st.none() | st.integers(-64, 255))
def test_every_log_gets_an_answer(lines: list[str], code: int | None) -> None:
    failure = read_failure(lines, code)
    assert failure.kind
    assert failure.advice
    assert "\n" not in failure.line
