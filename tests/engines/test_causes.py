"""One line that matters, for every cause and every engine that is started from here.

The lines are what engines and their libraries print; where one was seen in public, the thread stands beside it.
"""

from __future__ import annotations

import pytest

from workbench.engines.causes import Failure, ended_by_signal, killed_for_memory
from workbench.engines.starters import STARTERS

ALL = ("vllm", "llama.cpp", "transformers")
TORCH = ("vllm", "transformers")

# (engines, kind, line of the log, words of the advice)
LINES = [
    (
        TORCH, "oom_loading",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has 100.31 MiB free.",
        "Quantise the model",
    ),
    (
        TORCH, "oom_loading",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 34359738368 bytes. Error code 12 (Cannot allocate memory)",
        "The memory is not enough",
    ),
    (  # https://github.com/abetlen/llama-cpp-python/issues/1944
        ("llama.cpp",), "oom_loading",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 204800.00 MiB on device 0: cudaMalloc failed: out of "
        "memory",
        "The memory is not enough",
    ),
    (  # https://github.com/ggml-org/llama.cpp/issues/8101
        ("llama.cpp",), "no_kv_cache",
        "llama_kv_cache_init: failed to allocate buffer for kv cache",
        "Lower max_model_len",
    ),
    (
        ALL, "port_busy",
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
        "Choose another one",
    ),
    (
        TORCH, "remote_code",
        "ValueError: The repository m contains custom code which must be executed to correctly load the model. Please "
        "pass the argument `trust_remote_code=True` to allow custom code to be run.",
        "--trust-remote-code",
    ),
    (
        TORCH, "gated",
        "OSError: You are trying to access a gated repo.",
        "HF_TOKEN",
    ),
    (
        TORCH, "gated",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. Access to model org/m is restricted.",
        "Accept its licence",
    ),
    (  # https://github.com/vllm-project/vllm/issues/5547
        ALL, "compute_capability",
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "no kernels for this GPU",
    ),
    (  # https://github.com/vllm-project/vllm/issues/21633
        TORCH, "compute_capability",
        "NVIDIA GeForce RTX 5070 Ti with CUDA capability sm_120 is not compatible with the current PyTorch "
        "installation.",
        "no kernels for this GPU",
    ),
    (
        ("transformers",), "unsupported_kernel",
        "ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the "
        "package flash_attn seems to be not installed.",
        "no kernel for this format",
    ),
    (  # https://github.com/vllm-project/vllm/issues/1772
        TORCH, "driver",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
        "driver.",
        "driver is too old",
    ),
    (  # https://github.com/ollama/ollama/issues/7666
        ALL, "driver",
        "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version",
        "driver is too old",
    ),
    (  # https://github.com/vllm-project/vllm/issues/31700
        ALL, "driver",
        "torch.AcceleratorError: CUDA error: the provided PTX was compiled with an unsupported toolchain.",
        "driver is too old",
    ),
    (  # https://github.com/llm-d/llm-d/issues/706, https://github.com/ggml-org/llama.cpp/issues/17542
        ALL, "driver",
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / "
        "cuda driver combination",
        "does not match its CUDA",
    ),
    (
        ALL, "shared_memory",
        "RuntimeError: Insufficient space in /dev/shm for message queue: 160 MiB required, 64 MiB free. Increase "
        "/dev/shm (e.g. --shm-size or --ipc=host).",
        "--shm-size",
    ),
    (  # https://github.com/llm-d/llm-d/issues/352
        ALL, "shared_memory",
        "node-0:3663:4044 [0] misc/shmutils.cc:129 NCCL WARN Error while creating shared memory segment "
        "/dev/shm/nccl-Ewjreo (size 33030528), error: No space left on device (28)",
        "--shm-size",
    ),
    (  # https://github.com/vllm-project/vllm/issues/1771
        ALL, "shared_memory", "Fatal Python error: Bus error", "--shm-size",
    ),
    (  # https://github.com/unslothai/unsloth/issues/4417
        TORCH, "tokenizer",
        "ValueError: Couldn't instantiate the backend tokenizer from one of: ",
        "tokenizer.json",
    ),
    (  # https://github.com/vllm-project/vllm-ascend/issues/471
        TORCH, "tokenizer",
        "ValueError: Converting from SentencePiece and Tiktoken failed, if a converter for SentencePiece is available, "
        "provide a model path with a SentencePiece tokenizer.model file.",
        "tokenizer.json",
    ),
    (
        ("transformers",), "tokenizer",
        "ValueError: Unrecognized processing class in m. Can't instantiate a processor, a tokenizer, an image "
        "processor, a video processor or a feature extractor for this model.",
        "tokenizer.json",
    ),
    (  # https://github.com/ollama/ollama/issues/10930
        ("llama.cpp",), "tokenizer",
        "llama_model_load: error loading model: error loading model vocabulary: cannot find tokenizer merges in model "
        "file",
        "no whole tokenizer",
    ),
    (
        ALL, "disk_full", "OSError: [Errno 28] No space left on device", "Free some space",
    ),
    (
        TORCH, "disk_full",
        "RuntimeError: Data processing error: CAS service error : IO Error: No space left on device (os error 28)",
        "Free some space",
    ),
    (
        ("transformers",), "flags", "│ No such option: --no-such-flag │", "transformers serve --help",
    ),
    (
        ("transformers",), "unsupported_model",
        "ValueError: The checkpoint you are trying to load has model type `foo` but Transformers does not recognize "
        "this architecture.",
        "does not know the model's architecture",
    ),
    (  # https://github.com/NeuroSenko/ComfyUI_LLM_SDXL_Adapter/issues/7
        ("transformers",), "missing_module",
        "ValueError: Using a `device_map`, `tp_plan`, `torch.device` context manager or setting "
        "`torch.set_default_device(device)` requires `accelerate`. You can install it with `pip install accelerate`",
        "Build the environment again",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "line", "words"),
    [(name, kind, line, words) for names, kind, line, words in LINES for name in names],
)
def test_the_line_that_matters_and_what_to_change(name: str, kind: str, line: str, words: str) -> None:
    noise = ["Traceback (most recent call last):", '  File "serve.py", line 7, in <module>', "    main()"]
    failure = STARTERS[name].failure([*noise, line, "[rank0]: leaked semaphore objects"], 1)
    assert failure.kind == kind
    assert words in failure.advice
    assert failure.line
    assert failure.line in " ".join(line.split())  # less its prefix
    assert failure.engine == STARTERS[name].title
    for other in set(ALL) - {name}:
        assert STARTERS[other].title not in failure.advice
    assert "ENGINE" not in failure.advice


@pytest.mark.parametrize("name", ALL)
def test_what_the_system_killed_is_named(name: str) -> None:
    read, title = STARTERS[name].failure, STARTERS[name].title
    killed = read([], -9)
    assert killed.kind == "killed"
    assert killed.advice.startswith(f"{title} was killed from outside")
    known = killed_for_memory(killed)
    assert known.kind == "killed_for_memory"
    assert known.advice.startswith(f"The system ran out of memory and killed {title}.")
    explained = read(["OSError: [Errno 28] No space left on device"], 1)
    assert killed_for_memory(explained) == explained
    assert read([], -64).kind == "killed"
    assert read([], -7).advice.count("shm-size") == 1


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=5) ERROR 11-20 09:00:31 [multiproc_executor.py:316] Worker proc VllmWorker-1 died "
        "unexpectedly (exit code: -9), shutting down executor.",
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): "
        "{'EngineCore': -9}",
    ],
)
def test_a_worker_of_vllm_that_was_killed_is_the_cause(line: str) -> None:
    failure = STARTERS["vllm"].failure(["(APIServer pid=1) INFO 11-20 09:00:00 [api.py:1] hello", line], 1)
    assert failure.kind == "killed"
    assert "-9" in failure.line
    assert "ran out of memory" in failure.advice


def test_advice_without_a_line_is_whole() -> None:
    assert str(ended_by_signal(-15, "llama.cpp")) == "llama.cpp was stopped from outside."
    assert str(Failure("x", "y", "Do this.", "vLLM")) == "Do this. vLLM said: y"
