"""Why a vLLM did not start: the one line of its log that matters, and what to change.

A failed start prints hundreds of lines, most of them tracebacks of processes that died because another did. The
cause is printed first and is one of a few dozen; each kind here has the sign it is known by and advice in one
plain sentence. Wordings are those of vLLM 0.6 to 0.33, PyTorch, Hugging Face Hub and Transformers.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from workbench.engines.vllm.logs import parse_line, read_log


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Attributes
    ----------
    kind : str
        For programs: a plan's verdict where it is one ("oom_loading", "no_kv_cache", "max_model_len_too_large",
        "oom_cuda_graphs"), else "port_busy", "gated" …; "unknown" where only an exception is known.
    line : str
        The line of the log that matters, without its prefix; empty when the log says nothing.
    advice : str
        What to change, in a sentence.
    engine : str
        Whose log it was.
    """

    kind: str
    line: str
    advice: str
    engine: str = "vLLM"

    def __str__(self) -> str:
        if not self.line:
            return self.advice
        return f"{self.advice} {self.engine} said: {_opening(self.line)}"


_Advice = str | Callable[[re.Match[str]], str]


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

# (kind, sign, advice), most specific first. Group names in the sign fill {braces} of the advice.
_RULES: tuple[tuple[str, re.Pattern[str], _Advice], ...] = tuple(
    (kind, re.compile(sign), advice)
    for kind, sign, advice in (
        # --- it does not fit
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
        (
            "oom_loading",
            r"CUDA out of memory|OutOfMemoryError|HIP out of memory|DefaultCPUAllocator: can't allocate memory|"
            r"CUDA error: out of memory",
            "The memory is not enough. Quantise the model, use more GPUs (tensor_parallel_size), or lower "
            "max_num_batched_tokens, max_num_seqs and max_model_len.",
        ),
        (
            "disk_full",
            r"No space left on device",
            "The disk (or /dev/shm in a container) is full. Free some space and start again.",
        ),
        # --- the address
        (
            "port_busy",
            r"[Aa]ddress already in use|error while attempting to bind on address",
            "The port is taken by another program. Choose another one, or stop what listens there.",
        ),
        # --- the model: access
        (
            "gated",
            r"gated repo|Access to model .* is restricted|401 Client Error|403 Client Error|awaiting a review",
            "The model is gated. Accept its licence on huggingface.co and set HF_TOKEN, or give a local folder.",
        ),
        (
            "remote_code",
            r"trust_remote_code=True|contains custom code which must be executed|--trust-remote-code",
            "The model brings its own code, which the workbench does not run unasked. If you have read that code and "
            "trust it, give vLLM --trust-remote-code; otherwise choose a model that vLLM knows itself.",
        ),
        (
            "not_found",
            r"is not a local folder and is not a valid model identifier|RepositoryNotFoundError|"
            r"Repo id must be|Can't load the configuration of|Invalid repository ID or local directory specified",
            "There is no such model. Check the folder (it needs a config.json) or the id.",
        ),
        (
            "offline",
            r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https://huggingface\.co'|"
            r"Failed to resolve 'huggingface\.co'|We have no connection",
            "The model is not on this machine and Hugging Face cannot be reached. Download it first, or give a folder.",
        ),
        (
            "bad_weights",
            r"Cannot find any model weights with|SafetensorError|MetadataIncompleteBuffer|HeaderTooLarge|"
            r"InvalidHeaderDeserialization|Error while deserializing header",
            "The folder's weights are missing or damaged. Fetch or make the checkpoint again (safetensors).",
        ),
        (
            "bad_weights",
            r"(?:KeyError|ValueError): .*(?:no module or parameter named|not initialized from checkpoint)|"
            r"(?:The size of tensor a .* must match|Attempted to load weight .* into parameter|size mismatch for)",
            "The weights do not match the model's config.json. Fetch or make the checkpoint again.",
        ),
        (
            "tokenizer",
            r"Can't load tokenizer|Couldn't instantiate the backend tokenizer|Tokenizer class \S+ does not exist",
            "The model's tokenizer cannot be loaded. Put its tokenizer files into the folder, or name them with "
            "--tokenizer.",
        ),
        (
            "unsupported_model",
            r"Model architectures \[.*?\] (?:are not supported|failed to be inspected)|"
            r"does not recognize this architecture|has no vLLM implementation",
            "This release of vLLM does not know the model's architecture. Use a newer vLLM, or another engine.",
        ),
        # --- the choice
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
        (
            "compute_capability",
            r"no kernel image is available for execution|CUDA error: .*kernel image|"
            r"requires? compute capability|compute capability not supported",
            "This vLLM has no kernels for this GPU. Use a build for its generation, or another GPU.",
        ),
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
            "The model cannot be split over so many GPUs. Choose a tensor_parallel_size that divides its attention "
            "heads.",
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
        # --- the machine
        (
            "driver",
            r"The NVIDIA driver on your system is too old|CUDA driver version is insufficient|"
            r"forward compatibility was attempted",
            "The NVIDIA driver is too old for this vLLM. Update it, or use an older vLLM.",
        ),
        (
            "no_device",
            r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver|libcuda\.so",
            "This vLLM finds no device that it was built for. Check nvidia-smi, or use the CPU build.",
        ),
        (
            "communication",
            r"NCCL error|ncclUnhandled|ncclSystemError|ncclInternalError",
            "The GPUs cannot talk to each other. Check /dev/shm and the topology (nvidia-smi topo -m); "
            "NCCL_DEBUG=INFO tells more.",
        ),
        (
            "missing_module",
            r"(?:ModuleNotFoundError|ImportError): (?:No module named '(?P<module>[^']+)')?.*|"
            r"PackageNotFoundError: .*",
            "The environment lacks a library that this model or vLLM needs. Build the environment again.",
        ),
        (
            "illegal_instruction",
            r"Illegal instruction",
            "This build of vLLM needs CPU instructions (AVX-512 or AVX2) that this machine lacks. Name another build.",
        ),
    )
)

# Exceptions that only say that another process died.
_AFTERMATH = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore (?:failed|encountered)|Worker\w* failed|"
    r"WorkerProc (?:initialization )?failed|Engine process failed to start|See root cause above|"
    r"See stack trace for root cause|KeyboardInterrupt|SystemExit|cancelled|BrokenPipeError|"
    r"leaked \w+ objects|resource_tracker"
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|NotFound)\b(?:: .+)?$")
_VALIDATION = re.compile(r"^\s*(?:Value error|Assertion failed), (.+?)(?: \[type=.*)?$")

_SIGNALS = {
    signal.SIGKILL: "vLLM was killed from outside, most likely because the machine ran out of memory. Use a smaller "
    "model or KV cache, or close other programs.",
    signal.SIGILL: "This build of vLLM needs CPU instructions that this machine lacks. Name another build.",
    signal.SIGSEGV: "vLLM crashed inside a library. Check the driver and the build, then try enforce_eager.",
    signal.SIGBUS: "vLLM crashed, most likely because /dev/shm is too small. In a container, raise --shm-size.",
    signal.SIGTERM: "vLLM was stopped from outside.",
}
_LONGEST = 600


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
    known = _first_known(grave)
    if known is not None and known.kind == "oom_loading" and read_log(messages).kv_cache is not None:
        # The cache is allocated after weights and activations found room, and before the graphs.
        known = replace(known, kind="oom_cuda_graphs", advice=_AFTER_THE_CACHE)
    if known is not None:
        return known
    exception = _first_exception(grave)
    if exception:
        return Failure("unknown", _short(exception), "It is no failure that the workbench knows.")
    if returncode is not None and returncode < 0:
        advice = _SIGNALS.get(
            signal.Signals(-returncode) if -returncode in set(signal.Signals) else None,  # type: ignore[arg-type]
            f"vLLM was ended by signal {-returncode}.",
        )
        return Failure("killed", "", advice)
    errors = [line.message.strip() for line in parsed if line.level in ("ERROR", "CRITICAL") and line.message.strip()]
    last = errors[-1] if errors else next((m.strip() for m in reversed(messages) if m.strip()), "")
    code = f" (exit code {returncode})" if returncode is not None else ""
    return Failure("unknown", _short(last), f"vLLM ended by itself{code}.")


def _first_known(messages: Sequence[str]) -> Failure | None:
    """The most specific rule that matches; of its lines, the first that is an exception, else the first."""
    for kind, sign, advice in _RULES:
        hits = [(message, match) for message in messages if (match := sign.search(message))]
        # Source lines of a traceback quote half a message ("raise ValueError("), so an exception's own line is better.
        hits.sort(key=lambda hit: 0 if _says(hit[0]) else 1)
        for message, match in hits:
            if _AFTERMATH.search(message) or _is_source(message):
                continue
            text = advice(match) if callable(advice) else _filled(advice, match)
            return Failure(kind, _short(_said(message)), text)
    return None


def _says(message: str) -> bool:
    return bool(_EXCEPTION.match(message.strip()) or _VALIDATION.match(message) or "error: " in message)


def _is_source(message: str) -> bool:
    """Whether the line is code quoted by a traceback."""
    text = message.strip()
    return text.startswith(("raise ", 'f"', '"', "File ", "assert ", "return ", "if ", "^", "~"))


def _said(message: str) -> str:
    validation = _VALIDATION.match(message)
    return validation[1] if validation else message.strip()


def _first_exception(messages: Sequence[str]) -> str:
    for message in messages:
        text = _said(message)
        validation = _VALIDATION.match(message) is not None
        if (validation or _EXCEPTION.match(text)) and not _AFTERMATH.search(text) and "ValidationError" not in text:
            return text
    return ""


def _filled(advice: str, match: re.Match[str]) -> str:
    groups = {name: value or "" for name, value in match.groupdict().items()}
    return advice.format(**groups) if groups else advice


def _opening(text: str, enough: int = 160, most: int = 320) -> str:
    """The first sentences, up to some length: the rest of such a line repeats the advice."""
    end = text.find(". ", enough)
    return text[: end + 1] if 0 <= end < most else text if len(text) <= most else text[: most - 1] + "…"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
