"""Why an engine did not start: what a cause is, how it is found in a log, and those that all engines share.

A failed start prints hundreds of lines, most of them tracebacks of processes that died because another did. The cause
is printed first and is one of a few dozen; each has a sign it is known by and advice in one plain sentence. Here are
the signs of what engines are built on (PyTorch, CUDA, NCCL, Hugging Face's libraries, Uvicorn, the kernel); an engine's
own are in its ``failures.py``.

References
----------
Shared memory: vLLM 0.32.0 ``distributed/device_communicators/shm_broadcast.py`` (``check_shm_free_space``);
https://github.com/vllm-project/vllm/issues/1771 (a bus error that --shm-size ends),
https://github.com/llm-d/llm-d/issues/352 (NCCL's words).
Driver: https://github.com/vllm-project/vllm/issues/1772 (too old),
https://github.com/vllm-project/vllm/pull/28305 (PTX of a newer toolchain),
https://github.com/llm-d/llm-d/issues/706 (error 803),
https://github.com/abetlen/llama-cpp-python/issues/1436 (insufficient for the runtime).
Kernels: https://github.com/vllm-project/vllm/issues/21633 (a card newer than the build's PyTorch),
https://github.com/vllm-project/vllm/issues/19542 (an older one).
Tokenizer: https://github.com/HRNPH/AIwaifu/issues/40, https://github.com/vllm-project/vllm-ascend/issues/471.
Memory: https://github.com/abetlen/llama-cpp-python/issues/1944 (cudaMalloc),
https://github.com/ggml-org/llama.cpp/issues/8101 (host memory).
Access: transformers 5.19 ``utils/hub.py``, ``dynamic_module_utils.py``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Attributes
    ----------
    kind : str
        For programs: a plan's verdict where it is one ("oom_loading", "no_kv_cache", "max_model_len_too_large",
        "oom_cuda_graphs"), else "port_busy", "gated", "killed_for_memory" …; "unknown" where only an exception is
        known.
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


Advice = str | Callable[[re.Match[str]], str]
#: What a failure is called, the sign it is known by, and what to change. Names of groups in the sign fill {braces} of
#: the advice, where it has any.
Rule = tuple[str, re.Pattern[str], Advice]


def rules(*rows: tuple[str, str, Advice]) -> tuple[Rule, ...]:
    """Rules of kinds, patterns and advice; most specific first."""
    return tuple((kind, re.compile(sign), advice) for kind, sign, advice in rows)


def of(engine: str, shared: Sequence[Rule]) -> tuple[Rule, ...]:
    """Shared rules in the name of one engine."""
    return tuple((k, s, a.replace("ENGINE", engine) if isinstance(a, str) else a) for k, s, a in shared)


#: The machine's room: memory, shared memory, disk.
ROOM = rules(
    (
        "shared_memory",
        r"Insufficient space in /dev/shm|Error while creating shared memory segment|"
        r"out of shared memory|insufficient shared memory|No space left on device: '/(?:psm_|dev/shm|torch_)|"
        r"(?:unable to (?:open|write to|mmap|resize)\b.*|shm_open.*)</?torch_|Bus error",
        "/dev/shm, the memory that processes share, is too small. In a container raise --shm-size (or use --ipc=host); "
        "on a cluster mount a larger one.",
    ),
    (
        "oom_loading",
        r"CUDA out of memory|OutOfMemoryError|HIP out of memory|DefaultCPUAllocator: can't allocate memory|"
        r"CUDA (?:driver )?error: out of memory|cudaMalloc failed: out of memory|std::bad_alloc|^MemoryError\b|"
        r"OSError: \[Errno 12\]",
        "The memory is not enough. Quantise the model, use more GPUs (tensor_parallel_size), or lower "
        "max_num_batched_tokens, max_num_seqs and max_model_len.",
    ),
    (
        "disk_full",
        r"No space left on device|Disk quota exceeded|os error 28\b",
        "The disk (or /dev/shm in a container) is full. Free some space and start again.",
    ),
)
#: Its address.
ADDRESS = rules(
    (
        "port_busy",
        r"[Aa]ddress already in use|error while attempting to bind on address",
        "The port is taken by another program. Choose another one, or stop what listens there.",
    ),
)
#: The model and its files.
MODEL = rules(
    (
        "gated",
        r"gated repo|Access to model .* is restricted|401 Client Error|403 Client Error|awaiting a review|"
        r"Invalid user token|Invalid credentials in Authorization header",
        "The model is gated. Accept its licence on huggingface.co and set HF_TOKEN, or give a local folder.",
    ),
    (
        "remote_code",
        r"trust_remote_code=True|contains custom code which must be executed|references custom code contained in|"
        r"--trust-remote-code",
        "The model brings its own code, which the workbench does not run unasked. If you have read that code and "
        "trust it, give ENGINE --trust-remote-code; otherwise choose a model that ENGINE knows itself.",
    ),
    (
        "not_found",
        r"is not a local folder and is not a valid model identifier|RepositoryNotFoundError|"
        r"Repo id must be|Can't load the configuration of|Invalid repository ID or local directory specified|"
        r"does not appear to have a file named config\.json",
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
        r"InvalidHeaderDeserialization|Error while deserializing header|no file named .*\.safetensors",
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
        r"Can't load tokenizer|Couldn't instantiate the backend tokenizer|Tokenizer class \S+ does not exist|"
        r"Converting from SentencePiece and Tiktoken failed|Unrecognized processing class|"
        r"Unable to load vocabulary from file",
        "The model's tokenizer is missing or cannot be loaded. Put its files (tokenizer.json, tokenizer_config.json) "
        "into the folder.",
    ),
)
#: A card that the build has no kernels for.
CARD = rules(
    (
        "compute_capability",
        r"no kernel image is available for execution|CUDA error: .*kernel image|requires? compute capability|"
        r"compute capability not supported|ptxas fatal\s*: Value 'sm_\w+' is not defined|"
        r"is not compatible with the current PyTorch installation|"
        r"FlashAttention only supports \w+ GPUs or newer",
        "This ENGINE has no kernels for this GPU. Use a build for its generation, or another GPU.",
    ),
)
#: The driver, the device, the libraries.
MACHINE = rules(
    (
        "driver",
        r"The NVIDIA driver on your system is too old|CUDA driver version is insufficient|cudaErrorInsufficientDriver|"
        r"forward compatibility was attempted|unsupported display driver / cuda driver combination|"
        r"provided PTX was compiled with an unsupported toolchain",
        "The NVIDIA driver is too old for this ENGINE, or does not match its CUDA. Update it, or use an older ENGINE.",
    ),
    (
        "no_device",
        r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver|libcuda\.so",
        "This ENGINE finds no device that it was built for. Check nvidia-smi, or use the CPU build.",
    ),
    (
        "missing_module",
        r"(?:ModuleNotFoundError|ImportError): (?:No module named '(?P<module>[^']+)')?.*|"
        r"PackageNotFoundError: .*|requires `accelerate`",
        "The environment lacks a library that this model or ENGINE needs. Build the environment again.",
    ),
    (
        "illegal_instruction",
        r"Illegal instruction",
        "This build of ENGINE needs CPU instructions (AVX-512 or AVX2) that this machine lacks. Name another build.",
    ),
)

_KILLED = (
    "ENGINE was killed from outside, most likely because the machine ran out of memory. Use a smaller model or KV "
    "cache, or close other programs."
)
_KILLED_FOR_MEMORY = (
    "The system ran out of memory and killed ENGINE. Use a smaller model or KV cache, close other programs, or raise "
    "the container's memory limit."
)
_SIGNALS = {
    signal.SIGKILL: _KILLED,
    signal.SIGILL: "This build of ENGINE needs CPU instructions that this machine lacks. Name another build.",
    signal.SIGSEGV: "ENGINE crashed inside a library. Check the driver and the build.",
    signal.SIGBUS: "ENGINE crashed, most likely because /dev/shm is too small. In a container, raise --shm-size.",
    signal.SIGTERM: "ENGINE was stopped from outside.",
}

# Exceptions that only say that another process died.
_AFTERMATH = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore (?:failed|encountered)|Worker\w* failed|"
    r"WorkerProc (?:initialization )?failed|Engine process failed to start|See root cause above|"
    r"See stack trace for root cause|KeyboardInterrupt|SystemExit|cancelled|BrokenPipeError|"
    r"leaked \w+ objects|resource_tracker"
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|NotFound)\b(?:: .+)?$")
_VALIDATION = re.compile(r"^\s*(?:Value error|Assertion failed), (.+?)(?: \[type=.*)?$")
_LONGEST = 600


def known(messages: Iterable[str], table: Sequence[Rule], engine: str) -> Failure | None:
    """The most specific rule that matches; of its lines, the first that is an exception, else the first.

    Parameters
    ----------
    messages : iterable of str
        Lines of a log without their prefix, those that can be a cause of death.
    table : sequence of Rule
        Most specific first.
    engine : str
        Whose log it is.
    """
    messages = list(messages)
    for kind, sign, advice in table:
        hits = [(message, match) for message in messages if (match := sign.search(message))]
        # Source lines of a traceback quote half a message ("raise ValueError("), so an exception's own line is better.
        hits.sort(key=lambda hit: 0 if _says(hit[0]) else 1)
        for message, match in hits:
            if _AFTERMATH.search(message) or _is_source(message):
                continue
            text = advice(match) if callable(advice) else _filled(advice, match)
            return Failure(kind, short(_said(message)), text, engine)
    return None


def exception(messages: Iterable[str]) -> str:
    """The first exception that is not the aftermath of another; "" where there is none."""
    for message in messages:
        text = _said(message)
        validation = _VALIDATION.match(message) is not None
        if (validation or _EXCEPTION.match(text)) and not _AFTERMATH.search(text) and "ValidationError" not in text:
            return text
    return ""


def read(
    lines: Iterable[str], code: int | None, engine: str, table: Sequence[Rule], words: Mapping[signal.Signals, str]
) -> Failure:
    """Why an engine ended whose log has no grades: a known cause, a signal, the last exception, or its last line.

    Parameters
    ----------
    lines : iterable of str
        The log, without colours.
    code : int, optional
        Of the process.
    engine : str
        Its title.
    table : sequence of Rule
        Causes, most specific first.
    words : mapping
        Advice of its own for some signals.
    """
    said = [text for line in lines if (text := line.strip())]
    if (found := known(said, table, engine)) is not None:
        return found
    if code is not None and code < 0:
        return ended_by_signal(code, engine, words)
    last = next((text for text in reversed(said) if _EXCEPTION.match(text)), "") or (said or [""])[-1]
    ending = f" (exit code {code})" if code is not None else ""
    return Failure("unknown", short(last), f"{engine} ended by itself{ending}.", engine)


def ended_by_signal(code: int, engine: str, words: Mapping[signal.Signals, str] | None = None) -> Failure:
    """A process that a signal ended and whose log says nothing.

    Parameters
    ----------
    code : int
        As in :mod:`subprocess`: the negative of the signal's number.
    engine : str
        Its title.
    words : mapping, optional
        Advice of the engine's own for some signals.

    Examples
    --------
    >>> ended_by_signal(-15, "vLLM").advice
    'vLLM was stopped from outside.'
    """
    own = {int(number): text for number, text in {**_SIGNALS, **(words or {})}.items()}
    advice = own.get(-code, f"ENGINE was ended by signal {-code}.")
    return Failure("killed", "", advice.replace("ENGINE", engine), engine)


def killed_for_memory(failure: Failure) -> Failure:
    """The same end, once it is known that the kernel killed for want of memory meanwhile.

    A death that the log explains keeps its explanation: the kernel may have killed some other program.

    Examples
    --------
    >>> killed_for_memory(Failure("killed", "", "…")).kind
    'killed_for_memory'
    >>> killed_for_memory(Failure("port_busy", "", "…")).kind
    'port_busy'
    """
    if failure.kind not in ("killed", "unknown"):
        return failure
    return replace(failure, kind="killed_for_memory", advice=_KILLED_FOR_MEMORY.replace("ENGINE", failure.engine))


def short(text: str) -> str:
    """A line of the log, cut where it is too long to show."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _says(message: str) -> bool:
    return bool(_EXCEPTION.match(message.strip()) or _VALIDATION.match(message) or "error: " in message)


def _is_source(message: str) -> bool:
    """Whether the line is code quoted by a traceback."""
    text = message.strip()
    return text.startswith(("raise ", 'f"', '"', "File ", "assert ", "return ", "if ", "^", "~"))


def _said(message: str) -> str:
    validation = _VALIDATION.match(message)
    return validation[1] if validation else message.strip()


def _filled(advice: str, match: re.Match[str]) -> str:
    groups = {name: value or "" for name, value in match.groupdict().items()}
    return advice.format(**groups) if groups else advice


def _opening(text: str, enough: int = 160, most: int = 320) -> str:
    """The first sentences, up to some length: the rest of such a line repeats the advice."""
    end = text.find(". ", enough)
    return text[: end + 1] if 0 <= end < most else text if len(text) <= most else text[: most - 1] + "…"
