"""Why a vLLM did not start: the one line of its log that matters, and what to change.

Wordings are those of vLLM 0.6 to 0.33; what PyTorch, CUDA and Hugging Face's libraries say is in
:mod:`workbench.engines.causes`.

References
----------
Processes that the kernel killed: vLLM 0.32.0 ``v1/engine/utils.py`` (``wait_for_engine_startup``),
``v1/executor/multiproc_executor.py`` (``monitor_workers``).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import replace

from workbench.engines import causes
from workbench.engines.causes import Failure
from workbench.engines.vllm.logs import parse_line, read_log

_TITLE = "vLLM"


def _too_long_for_cache(match: re.Match[str]) -> str:
    estimate = re.search(r"estimated maximum model length is ([\d,]+)", match.string)
    holds = estimate[1] if estimate else match.groupdict().get("tokens")
    lower = f"Set max_model_len to {holds} or less" if holds else "Lower max_model_len"
    return (
        f"The KV cache cannot hold one request of the full context length. {lower}, or give the cache more memory: "
        "a higher gpu_memory_utilization or kv_cache_memory_bytes, more GPUs, a smaller kv_cache_dtype."
    )


def _capability(match: re.Match[str]) -> str:
    need, have = match["need"], match["have"]
    return (
        f"This quantisation needs a GPU of compute capability {int(need) / 10:.1f}; this one has "
        f"{int(have) / 10:.1f}. Choose another quantisation or another GPU."
    )


_AFTER_THE_CACHE = (
    "The GPU ran out of memory after the KV cache was allocated. Lower gpu_memory_utilization or max_num_seqs, or set "
    "enforce_eager."
)

#: Memory, as vLLM divides it.
_MEMORY = causes.rules(
    (
        "max_model_len_too_large",
        r"max seq len \(\d+\)(?: is larger than the maximum number of tokens that can be stored in KV cache "
        r"\((?P<tokens>\d+)\)|, .*(?:is )?larger than the available KV cache)",
        _too_long_for_cache,
    ),
    (
        "max_model_len_too_large",
        r"Cannot auto-fit max_model_len",
        _too_long_for_cache,
    ),
    (
        "no_kv_cache",
        r"No available memory for the cache blocks",
        "Weights and activations leave no memory for the KV cache. Raise gpu_memory_utilization, use more GPUs, "
        "quantise the model, or lower max_num_seqs and max_num_batched_tokens.",
    ),
    (
        "memory_taken",
        r"Free memory on device .*is less than desired GPU memory utilization",
        "Other processes hold memory of this GPU. Stop them, or lower gpu_memory_utilization.",
    ),
    (
        "memory_taken",
        r"Available memory on node .*(?:is less than desired CPU memory utilization|is less than requested memory)",
        "This machine has not enough free memory for the KV cache that was asked for. Lower kv_cache_memory_bytes "
        "(VLLM_CPU_KVCACHE_SPACE), or close other programs.",
    ),
    (
        "memory_taken",
        r"Error in memory profiling\. .*free memory",
        "Another process changed its GPU memory while vLLM was measuring. Start again when the GPU is quiet.",
    ),
    (
        "oom_cuda_graphs",
        r"out of memory occurred when warming up",
        _AFTER_THE_CACHE,
    ),
)
#: What was chosen.
_CHOICE = causes.rules(
    (
        "unsupported_model",
        r"Model architectures \[.*?\] (?:are not supported|failed to be inspected)|"
        r"does not recognize this architecture|has no vLLM implementation",
        "This release of vLLM does not know the model's architecture. Use a newer vLLM, or another engine.",
    ),
    (
        "max_model_len_too_large",
        r"max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len \(\D*(?P<most>\d+)",
        "The model was trained for a context of {most} tokens. Set max_model_len to {most} or less.",
    ),
    (
        "compute_capability",
        r"Minimum capability: (?P<need>\d+)\.? Current capability: (?P<have>\d+)",
        _capability,
    ),
    (
        "compute_capability",
        r"Bfloat16 is only supported on GPUs with compute capability",
        "This GPU has no BF16. Set dtype to float16.",
    ),
)
_FORMAT = causes.rules(
    (
        "unsupported_kernel",
        r"Failed to find a kernel that can implement|[Nn]o (?:valid|suitable|available) \w* ?(?:kernel|backend)|"
        r"quantization (?:is )?(?:currently )?not supported (?:in|on|for) (?:the )?(?:cpu|CPU|current platform)|"
        r"is (?:currently )?not supported (?:in|on) (?:the )?(?:cpu|CPU)|"
        r"'_C\w*' object has no attribute|Could not run '[\w:.]+' with arguments from the '\w+' backend",
        "This vLLM has no kernel for this format on this device. Choose another quantisation (on a CPU: AWQ, GPTQ, "
        "INT8, FP8 dynamic) or another GPU.",
    ),
    (
        "quantization",
        r"Unknown quantization method|Quantization method specified in the model config|"
        r"Cannot find the config file for \w+",
        "The quantisation asked for is not the checkpoint's own. Leave it out: vLLM reads it from the checkpoint.",
    ),
    (
        "quantization",
        r"torch\.\w+ is not supported for quantization method",
        "This quantisation does not work in this dtype. Leave dtype out, or set float16.",
    ),
    (
        "parallelism",
        r"must be divisible by tensor parallel size|is not divisible by \d+|are? not divisible by (?:the )?tensor",
        "The model cannot be split over so many GPUs. Choose a tensor_parallel_size that divides its attention heads.",
    ),
    (
        "parallelism",
        r"[Ww]orld size \(\d+\) is larger than the number of|tensor parallel size \(\d+\) .*available GPUs|"
        r"invalid device ordinal",
        "The plan needs more GPUs than this machine has. Lower tensor_parallel_size or pipeline_parallel_size.",
    ),
    (
        "flags",
        r"error: unrecognized arguments?: (?P<flag>.+)",
        "This release of vLLM does not know {flag}. Leave it out.",
    ),
    (
        "flags",
        r"error: (?:argument|the following arguments|ambiguous option|invalid choice).*",
        "A flag has a value that vLLM does not accept.",
    ),
    (
        "flags",
        r"invalid literal for int\(\) with base 10|could not convert string to float",
        "A setting that must be a number is not one. Look at the VLLM_ environment variables.",
    ),
)
_LINKS = causes.rules(
    (
        "communication",
        r"NCCL error|ncclUnhandled|ncclSystemError|ncclInternalError",
        "The GPUs cannot talk to each other. Check /dev/shm and the topology (nvidia-smi topo -m); "
        "NCCL_DEBUG=INFO tells more.",
    ),
)
_RULES = (
    *_MEMORY,
    *causes.ROOM,
    *causes.ADDRESS,
    *causes.of(_TITLE, causes.MODEL),
    *_CHOICE,
    *causes.of(_TITLE, causes.CARD),
    *_FORMAT,
    *causes.of(_TITLE, causes.MACHINE),
    *_LINKS,
)
_SIGNALS = {
    signal.SIGSEGV: "vLLM crashed inside a library. Check the driver and the build, then try enforce_eager.",
}
# What is left of a process that the kernel killed, where another of its family tells of it.
_KILLED = re.compile(r"died unexpectedly \(exit code: -9\)|Failed core proc\(s\): \{[^}]*: -9\b|\(exit code -9\)")


def read_failure(lines: Iterable[str], returncode: int | None = None) -> Failure:
    """Find the line that matters in the log of a vLLM that died.

    Parameters
    ----------
    lines : iterable of str
        The log, colours and all.
    returncode : int, optional
        Of the process; negative is a signal, as in :mod:`subprocess`.

    Returns
    -------
    Failure
        Always one: where nothing is recognised, the first exception that is not the aftermath of another, or the
        exit code.

    Examples
    --------
    >>> failure = read_failure(["INFO starting", "OSError: [Errno 98] Address already in use"])
    >>> failure.kind, failure.advice.split(".")[0]
    ('port_busy', 'The port is taken by another program')
    """
    parsed = [parse_line(text) for text in lines]
    messages = [line.message for line in parsed]
    # Warnings mention modules that are not there and kernels that are not used; they are no cause of death.
    grave = [line.message for line in parsed if line.level not in ("DEBUG", "INFO", "WARNING")]
    known = causes.known(grave, _RULES, _TITLE)
    if known is not None and known.kind == "oom_loading" and read_log(messages).kv_cache is not None:
        # The cache is allocated after weights and activations found room, and before the graphs.
        known = replace(known, kind="oom_cuda_graphs", advice=_AFTER_THE_CACHE)
    if known is not None:
        return known
    exception = causes.exception(grave)
    if exception:
        return Failure("unknown", causes.short(exception), "It is no failure that the workbench knows.")
    if killed := next((message for message in grave if _KILLED.search(message)), ""):
        return replace(causes.ended_by_signal(-signal.SIGKILL, _TITLE), line=causes.short(killed))
    if returncode is not None and returncode < 0:
        return causes.ended_by_signal(returncode, _TITLE, _SIGNALS)
    errors = [line.message.strip() for line in parsed if line.level in ("ERROR", "CRITICAL") and line.message.strip()]
    last = errors[-1] if errors else next((m.strip() for m in reversed(messages) if m.strip()), "")
    code = f" (exit code {returncode})" if returncode is not None else ""
    return Failure("unknown", causes.short(last), f"vLLM ended by itself{code}.")
