"""vLLM's log lines, in every wording we know, and one real log of vLLM on a CPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engines.vllm.logs import (
    STAGES,
    LogReader,
    parse_line,
    read_log,
    share_of,
    stage_of,
    strip_ansi,
)
from workbench.quantities import GIB

# Lines of our own in the formats of the releases named.
V0_6 = """\
INFO 09-12 10:00:01 api_server.py:495] vLLM API server version 0.6.4.post1
INFO 09-12 10:00:05 llm_engine.py:237] Initializing an LLM engine (v0.6.4.post1) with config: model='m', seed=0
INFO 09-12 10:00:06 model_runner.py:1014] Starting to load model m...
Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:02<00:02,  1.10s/it]
INFO 09-12 10:00:30 model_runner.py:1077] Loading model weights took 14.9888 GB
INFO 09-12 10:00:33 worker.py:232] Memory profiling results: total_gpu_memory=44.40GiB initial_memory_usage=15.41GiB \
peak_torch_memory=16.18GiB memory_usage_post_profile=15.46GiB non_torch_memory=0.47GiB kv_cache_size=23.31GiB \
gpu_memory_utilization=0.90
INFO 09-12 10:00:33 gpu_executor.py:113] # GPU blocks: 11934, # CPU blocks: 2048
INFO 09-12 10:00:33 gpu_executor.py:117] Maximum concurrency for 8192 tokens per request: 23.31x
INFO 09-12 10:00:36 model_runner.py:1400] Capturing the model for CUDA graphs. This may lead to unexpected consequences.
INFO 09-12 10:00:50 model_runner.py:1518] Graph capturing finished in 14 secs, took 0.26 GiB
INFO:     Application startup complete.
"""
V0_7 = """\
INFO 02-20 10:00:33 [worker.py:267] Memory profiling takes 4.42 seconds
INFO 02-20 10:00:33 [worker.py:267] the current vLLM instance can use total_gpu_memory (44.40GiB) x \
gpu_memory_utilization (0.90) = 39.96GiB
INFO 02-20 10:00:33 [worker.py:267] model weights take 14.99GiB; non_torch_memory takes 0.10GiB; PyTorch activation \
peak memory takes 1.20GiB; the rest of the memory reserved for KV Cache is 23.67GiB.
INFO 02-20 10:00:34 [executor_base.py:111] # cuda blocks: 12119, # CPU blocks: 2048
INFO 02-20 10:00:34 [executor_base.py:116] Maximum concurrency for 131072 tokens per request: 1.48x
"""
V0_11 = """\
(EngineCore_DP0 pid=42) INFO 10-06 17:00:11 [gpu_model_runner.py:3118] Model loading took 14.9889 GiB and 5.4 seconds
(EngineCore_DP0 pid=42) INFO 10-06 17:00:33 [gpu_worker.py:298] Available KV cache memory: 23.70 GiB
(EngineCore_DP0 pid=42) INFO 10-06 17:00:33 [kv_cache_utils.py:864] GPU KV cache size: 194,144 tokens
(EngineCore_DP0 pid=42) INFO 10-06 17:00:33 [kv_cache_utils.py:868] Maximum concurrency for 8,192 tokens per request: \
23.70x
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|####      | 27/67 [00:02<00:02, 23.00it/s]
(EngineCore_DP0 pid=42) INFO 10-06 17:00:39 [gpu_model_runner.py:3118] Graph capturing finished in 5 secs, took 0.67 GiB
(EngineCore_DP0 pid=42) INFO 10-06 17:00:39 [gpu_worker.py:391] Free memory on device (43.90/44.40 GiB) on startup. \
Desired GPU memory utilization is (0.9, 39.96 GiB). Actual usage is 14.99 GiB for weight, 1.21 GiB for peak \
activation, 0.07 GiB for non-torch memory, and 0.67 GiB for CUDAGraph memory. Replace gpu_memory_utilization config \
with `--kv-cache-memory=1` to fit into requested memory. Current kv cache memory in use is 25451234567 bytes.
"""
V0_32_TP2 = """\
\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 11-20 09:00:00 [api_utils.py:329] vLLM server version 0.32.0, serving model m
(Worker_TP0 pid=7) INFO 11-20 09:00:20 [model_runner.py:425] Model loading took 7.52 GiB memory and 5.420225 seconds
(Worker_TP1 pid=8) INFO 11-20 09:00:20 [model_runner.py:425] Model loading took 7.50 GiB memory and 5.512225 seconds
(Worker_TP0 pid=7) INFO 11-20 09:00:28 [gpu_model_runner.py:6475] Estimated CUDA graph memory: 0.50 GiB total
(Worker_TP0 pid=7) INFO 11-20 09:00:30 [gpu_worker.py:760] Available KV cache memory: 31.02 GiB
(Worker_TP1 pid=8) INFO 11-20 09:00:30 [gpu_worker.py:760] Available KV cache memory: 31.25 GiB
(EngineCore pid=5) INFO 11-20 09:00:31 [kv_cache_utils.py:2327] GPU KV cache size: 508,224 tokens, Maximum \
concurrency for 131,072 tokens per request: 3.88x
(Worker_TP0 pid=7) INFO 11-20 09:00:40 [gpu_worker.py:971] CUDA graph pool memory: 0.41 GiB (actual), 0.5 GiB \
(estimated), difference: 0.09 GiB (22.0%).
(Worker_TP0 pid=7) INFO 11-20 09:00:40 [gpu_worker.py:1034] Free memory on device (43.9/44.4 GiB) on startup. Desired \
GPU memory utilization is (0.92, 40.85 GiB). Actual usage is 8.62 GiB for consumed memory (weights + non-torch), \
1.01 GiB for peak activation, and 0.41 GiB for CUDAGraph memory. Current kv cache memory in use is 31.02 GiB.
"""
CPU = """\
(APIServer pid=1) INFO 11-20 09:00:00 [api_utils.py:329] vLLM server version 0.32.0, serving model /m
(EngineCore pid=5) INFO 11-20 09:00:09 [core.py:134] Initializing a V1 LLM engine (v0.32.0) with config: model='/m'
(Worker pid=6) INFO 11-20 09:00:14 [cpu_model_runner.py:68] Starting to load model /m...
(Worker pid=6) INFO 11-20 09:00:14 [weight_utils.py:1109] Filesystem type for checkpoints: EXT4. Checkpoint size: \
0.01 GiB. Available RAM: 21.68 GiB.
(Worker pid=6) INFO 11-20 09:00:20 [cpu_worker.py:250] Explicitly set (1.0/8.96) GiB for KV cache on node 0.
(EngineCore pid=5) INFO 11-20 09:00:20 [kv_cache_utils.py:2327] CPU KV cache size: 524,288 tokens, Maximum \
concurrency for 512 tokens per request: 1024.00x
(APIServer pid=1) INFO 11-20 09:00:22 [entry.py:140] Starting vLLM server on http://127.0.0.1:8000
(APIServer pid=1) INFO:     Application startup complete.
"""


def gib(value: float) -> int:
    return round(value * GIB)


def test_release_0_6() -> None:
    report = read_log(V0_6.splitlines())
    assert report.version == "0.6.4.post1"
    assert report.weights == gib(14.9888)
    assert report.capacity == gib(44.40)
    assert report.non_torch == gib(0.47)
    assert report.kv_cache == gib(23.31)
    assert report.utilization == 0.9
    assert report.cuda_graphs == gib(0.26)
    assert report.max_model_len == 8192
    # 23.31 × 8192 / 11934 is 16.0 tokens a block
    assert (report.kv_cache_blocks, report.block_size, report.kv_cache_tokens) == (11934, 16, 190944)


def test_release_0_7() -> None:
    report = read_log(V0_7.splitlines())
    assert report.requested == gib(39.96)
    assert report.weights == gib(14.99)
    assert report.activation_peak == gib(1.20)
    assert report.non_torch == gib(0.10)
    assert report.kv_cache == gib(23.67)
    assert report.kv_cache_tokens == 12119 * 16


def test_release_0_11_takes_the_exact_bytes_over_the_rounded_gib() -> None:
    report = read_log(V0_11.splitlines())
    assert report.kv_cache == 25451234567
    assert report.weights == gib(14.9889)
    assert report.activation_peak == gib(1.21)
    assert report.non_torch == gib(0.07)
    assert report.capacity == gib(44.40)
    assert report.kv_cache_tokens == 194144
    assert report.max_concurrency == 23.70
    assert report.device == "GPU"


def test_release_0_32_on_two_gpus_takes_the_rank_that_binds() -> None:
    report = read_log(V0_32_TP2.splitlines())
    assert report.version == "0.32.0"
    assert report.weights == gib(7.52)
    assert report.kv_cache == gib(31.02)
    assert report.consumed == gib(8.62)
    assert report.non_torch == gib(8.62) - gib(7.52)
    assert report.cuda_graphs == gib(0.41)
    assert report.cuda_graphs_estimate == gib(0.5)
    assert report.kv_cache_tokens == 508224
    assert report.max_concurrency == 3.88


def test_cpu() -> None:
    report = read_log(CPU.splitlines())
    assert report.device == "CPU"
    assert report.kv_cache == GIB
    assert report.capacity == gib(8.96)
    assert report.kv_cache_tokens == 524288
    assert report.max_model_len == 512
    assert report.max_concurrency == 1024.0
    assert report.checkpoint == gib(0.01)
    assert report.weights is None


def test_a_model_that_fits_less_than_once_has_a_concurrency_below_one() -> None:
    line = "INFO x.py:1] GPU KV cache size: 1,024 tokens, Maximum concurrency for 4,096 tokens per request: .25x"
    assert read_log([line]).max_concurrency == 0.25


@pytest.mark.parametrize("log", [V0_6, V0_7, V0_11, V0_32_TP2, CPU])
def test_stages_only_go_forward_and_the_share_is_one(log: str) -> None:
    reader, seen = LogReader(), []
    for line in log.splitlines():
        reader.feed(line)
        seen.append(list(STAGES).index(reader.stage))
        assert reader.share is None or 0 <= reader.share <= 1
    assert seen == sorted(seen)
    assert max(seen) > 0


def test_stages_of_a_cpu_start() -> None:
    reader = LogReader()
    stages = [reader.stage for line in CPU.splitlines() if reader.feed(line)]
    assert stages == ["loading", "profiling", "listening", "ready"]


def test_progress_bars() -> None:
    assert share_of("Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:02<00:02,  1.10s/it]") == 0.5
    assert share_of("Capturing CUDA graphs (decode, FULL): 100%|##| 67/67 [00:02<00:00, 23.00it/s]") == 1.0
    assert share_of("Graph capturing finished in 5 secs, took 0.67 GiB") is None
    redrawn = "Capturing CUDA graphs:   0%|   | 0/2\rCapturing CUDA graphs:  50%|#  | 1/2"
    assert share_of(strip_ansi(redrawn)) == 0.5


@pytest.mark.parametrize(
    ("line", "message", "level", "process"),
    [
        ("(APIServer pid=12) INFO 11-21 01:02:03 [a/b.py:12] text", "text", "INFO", "APIServer pid=12"),
        ("WARNING 01-30 03:18:12 gpu_model_runner.py:848] text", "text", "WARNING", ""),
        ('ERROR 01-30 03:18:12 [core.py:8]   File "x"', '  File "x"', "ERROR", ""),
        ("INFO:     Application startup complete.", "Application startup complete.", "INFO", ""),
        ("(Worker pid=3) ValueError: bad", "ValueError: bad", "", "Worker pid=3"),
        ("ValueError: bad (worse)", "ValueError: bad (worse)", "", ""),
    ],
)
def test_prefixes(line: str, message: str, level: str, process: str) -> None:
    parsed = parse_line(line)
    assert (parsed.message, parsed.level, parsed.process) == (message, level, process)


@given(st.text())
def test_no_line_breaks_the_reader(text: str) -> None:
    reader = LogReader()
    reader.feed(text)
    reader.report()
    stage_of(text)
    assert "\x1b[" not in strip_ansi("\x1b[1;31m" + text.replace("\x1b", "") + "\x1b[0m")


@given(
    tokens=st.integers(1, 10**9),
    length=st.integers(1, 10**7),
    hundredths=st.integers(0, 10**7),
    device=st.sampled_from(["GPU", "CPU", "XPU"]),
)
def test_the_cache_line_is_read_back_whatever_its_numbers(
    tokens: int, length: int, hundredths: int, device: str
) -> None:
    concurrency = hundredths / 100
    line = (
        f"(EngineCore pid=5) INFO 11-20 09:00:20 [kv_cache_utils.py:2327] {device} KV cache size: {tokens:,} tokens, "
        f"Maximum concurrency for {length:,} tokens per request: {concurrency:.2f}x"
    )
    report = read_log([line])
    assert report.kv_cache_tokens == tokens
    assert report.max_model_len == length
    assert report.max_concurrency == concurrency
    assert report.device == device
