"""What vLLM's log says: how far it has come, and what memory it found and took.

The wordings are those of vLLM 0.2 to 0.33, on GPUs and on CPUs; where a release changed one, every form is
kept, because logs outlive the release that wrote them. Sizes are printed with two to four decimals, so a size read
here is right to half of the last digit; ``/metrics`` (:mod:`workbench.engines.vllm.metrics`) is exact where it
has the quantity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from workbench.quantities import GIB

# In the order in which a start passes them. "environment" is ours: vLLM is not running yet; what it needs is made.
STAGES: dict[str, str] = {
    "environment": "preparing",
    "starting": "starting vLLM",
    "downloading": "downloading the model",
    "loading": "loading the weights",
    "compiling": "compiling the model",
    "profiling": "profiling memory",
    "capturing": "capturing CUDA graphs",
    "listening": "opening the API",
    "ready": "ready",
}

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PREFIX = re.compile(
    r"^\s*(?:\((?P<process>[^()]*?pid=\d+[^()]*)\) ?)?"
    r"(?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):?\s+"
    r"(?:\d\d-\d\d \d\d:\d\d:\d\d\s+)?(?:\[?[\w./<>-]+:\d+\] ?)?)?"
)


def strip_ansi(text: str) -> str:
    """Text without terminal colours; of a progress bar redrawn with carriage returns, what was last drawn.

    Examples
    --------
    >>> strip_ansi("\\x1b[1;36m(EngineCore pid=7)\\x1b[0;0m INFO ready\\n")
    '(EngineCore pid=7) INFO ready'
    """
    text = _ANSI.sub("", text).rstrip("\r\n")
    return text.rsplit("\r", 1)[-1]


@dataclass(frozen=True)
class Line:
    """One log line taken apart: what printed it, how grave it is, and what it says."""

    message: str
    level: str = ""
    process: str = ""


def parse_line(text: str) -> Line:
    """Take a log line apart; what has no prefix of vLLM's is all message.

    Examples
    --------
    >>> parse_line("(EngineCore pid=7) INFO 11-21 01:02:03 [core.py:12] Hello")
    Line(message='Hello', level='INFO', process='EngineCore pid=7')
    >>> parse_line("INFO 01-30 03:18:12 gpu_model_runner.py:848] Hello").message
    'Hello'
    """
    text = strip_ansi(text)
    match = _PREFIX.match(text)
    if match is None:  # the pattern is all optional, so this is for the type checker
        return Line(text.strip())
    return Line(text[match.end() :].rstrip(), match["level"] or "", match["process"] or "")


# --- stages -------------------------------------------------------------------------------------------------------

_STAGE_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (stage, re.compile(pattern))
    for stage, pattern in (
        ("ready", r"Application startup complete|Uvicorn running on"),
        ("listening", r"Starting vLLM (?:API )?server|Supported[_ ]tasks|Started server process"),
        ("capturing", r"Capturing (?:the model for )?(?:CUDA|cuda)|Capturing cudagraphs|Graph capturing"),
        (
            "profiling",
            r"Memory profiling|(?:Available|reserved) .*KV cache memory|KV [Cc]ache (?:size|on node)|"
            r"Available KV cache memory|(?:Explicitly|Auto) set .* for KV cache|# \w+ blocks:|"
            r"Initial free memory|Estimated CUDA graph memory|Profiling CUDA graph",
        ),
        (
            "compiling",
            r"Warming up model for the compilation|Dynamo bytecode|torch\.compile t(?:ook|akes)|Compiling a graph",
        ),
        (
            "loading",
            r"Starting to load model|Loading (?:model )?weights|Loading \w+ checkpoint shards|"
            r"Model loading took|Checkpoint size",
        ),
        ("downloading", r"^Fetching \d+ files:|^Downloading (?:shards|weights)|^[\w.-]+\.safetensors:\s+\d+%"),
        ("starting", r"vLLM (?:API )?server version|Initializing an? (?:V\d )?LLM engine"),
    )
)
_SHARE = re.compile(
    r"(?:Loading \w+ checkpoint shards|Fetching \d+ files|Downloading \w+|[\w.-]+\.safetensors|"
    r"Capturing CUDA graphs?[^:]*|Capturing cudagraphs[^:]*):\s+(\d+)%"
)


def stage_of(message: str) -> str | None:
    """The stage that a line announces, or None: one of :data:`STAGES`.

    Examples
    --------
    >>> stage_of("Starting to load model /models/llama...")
    'loading'
    >>> stage_of("Using CPU_ATTN backend.") is None
    True
    """
    return next((stage for stage, sign in _STAGE_SIGNS if sign.search(message)), None)


def share_of(message: str) -> float | None:
    """How far a progress bar in the line is, from 0 to 1 [-], or None.

    Examples
    --------
    >>> share_of("Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]")
    0.56
    """
    match = _SHARE.search(message)
    return int(match[1]) / 100 if match else None


# --- the memory report --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemoryReport:
    """What an engine said of itself; None is "it did not say".

    Sizes are bytes of one GPU (or of the CPU's memory node). Where ranks differ, the largest of what was used and
    the smallest of what was left for the KV cache, since that is what binds.
    """

    version: str | None = None
    device: str | None = None  #: "GPU" or "CPU"
    capacity: int | None = None  #: the card's (or memory node's) total [bytes]
    utilization: float | None = None  #: gpu_memory_utilization as used [-]
    requested: int | None = None  #: capacity × utilisation [bytes]
    checkpoint: int | None = None  #: size of the files of weights, all ranks together [bytes]
    weights: int | None = None  #: [bytes]
    consumed: int | None = None  #: weights and non-torch together, as newer releases print them [bytes]
    non_torch: int | None = None  #: [bytes]
    activation_peak: int | None = None  #: [bytes]
    cuda_graphs: int | None = None  #: taken by capturing [bytes]
    cuda_graphs_estimate: int | None = None  #: what newer releases set aside for them beforehand [bytes]
    kv_cache: int | None = None  #: [bytes]
    kv_cache_tokens: int | None = None  #: [tokens]
    kv_cache_blocks: int | None = None
    block_size: int | None = None  #: [tokens]
    max_model_len: int | None = None  #: [tokens]
    max_concurrency: float | None = None  #: requests of max_model_len that fit at once
    cache_dtype: str | None = None
    rounding: float = 0.005 * GIB  #: half of the last digit of a size that the log prints [bytes]: vLLM's has GiB

    def filled_from(self, other: MemoryReport) -> MemoryReport:
        """This report, with what it does not say taken from ``other``."""
        missing = {k: v for k, v in vars(other).items() if getattr(self, k) is None and v is not None}
        return replace(self, **missing)


_N = r"(-?[\d,]*\.?\d+)"  # a number as printed: 79.19, 524,288; -2.28 where nothing is left for the cache
_G = _N + r" ?G(?:i)?B"  # releases before 0.7 print "GB" and mean GiB


def _gib(text: str) -> int:
    return round(float(text.replace(",", "")) * GIB)


def _whole(text: str) -> int:
    return int(float(text.replace(",", "")))


def _real(text: str) -> float:
    return float(text.replace(",", ""))


def _text(text: str) -> str:
    return text.strip().rstrip(",;.")


_Value = int | float | str
_Read = Callable[[str], _Value]

# (pattern, what each group holds, how exact it is: a more exact line replaces a less exact one)
_FACTS: tuple[tuple[re.Pattern[str], tuple[tuple[str, _Read], ...], int], ...] = tuple(
    (re.compile(pattern), fields, rank)
    for pattern, fields, rank in (
        (r"vLLM (?:API )?server version v?(\d\S*)", (("version", _text),), 2),
        (r"Initializing an? (?:V\d )?LLM engine \(v([^)]+)\)", (("version", _text),), 1),
        (r"█ {2}version (\d\S*)", (("version", _text),), 1),
        (rf"Checkpoint size: {_G}", (("checkpoint", _gib),), 0),
        # weights: 0.2–0.7, then 0.8 on
        (rf"Loading model weights took {_G}", (("weights", _gib),), 1),
        (rf"Model loading took {_G}", (("weights", _gib),), 1),
        # profiling: 0.6, 0.7–0.8 (V0), 0.9 on (debug), 0.10 on (info, at the end of the start)
        (
            rf"total_gpu_memory={_G}.* non_torch_memory={_G} kv_cache_size={_G} gpu_memory_utilization={_N}",
            (("capacity", _gib), ("non_torch", _gib), ("kv_cache", _gib), ("utilization", _real)),
            0,
        ),
        (
            rf"total_gpu_memory \({_G}\) x gpu_memory_utilization \({_N}\) = {_G}",
            (("capacity", _gib), ("utilization", _real), ("requested", _gib)),
            0,
        ),
        (
            rf"model weights take {_G}; non_torch_memory takes {_G}; PyTorch activation peak memory takes {_G}; "
            rf"the rest of the memory reserved for KV Cache is {_G}",
            (("weights", _gib), ("non_torch", _gib), ("activation_peak", _gib), ("kv_cache", _gib)),
            0,
        ),
        # 0.6.5 printed the same as a list, a line each
        (rf"^total_gpu_memory\s+{_G}", (("capacity", _gib),), 0),
        (rf"^gpu_memory_utilization\s+{_N}", (("utilization", _real),), 0),
        (rf"^model weights take\s+{_G}", (("weights", _gib),), 0),
        (rf"^non_torch_memory\s+{_G}", (("non_torch", _gib),), 0),
        (rf"^PyTorch activation peak memory\s+{_G}", (("activation_peak", _gib),), 0),
        (rf"^available_kv_cache_memory\s+{_G}", (("kv_cache", _gib),), 0),
        (rf"torch peak memory increase: {_G}", (("activation_peak", _gib),), 0),
        (rf"non-torch forward increase memory: {_G}", (("non_torch", _gib),), 0),
        (rf"total consumed \(from mem_get_info\): {_G}", (("consumed", _gib),), 0),
        (rf"weights memory: {_G}", (("weights", _gib),), 0),
        (
            rf"Free memory on device (?:\S+ )?\({_N}/{_N} GiB\) on startup",
            (("", _gib), ("capacity", _gib)),
            0,
        ),
        (
            rf"Desired GPU memory utilization is \({_N}, {_N} GiB\)",
            (("utilization", _real), ("requested", _gib)),
            0,
        ),
        (rf"Actual usage is {_N} GiB for weight", (("weights", _gib),), 0),
        (rf"Actual usage is {_N} GiB for consumed memory", (("consumed", _gib),), 1),
        (rf"{_N} GiB for peak activation", (("activation_peak", _gib),), 1),
        (rf"{_N} GiB for non-torch memory", (("non_torch", _gib),), 1),
        (rf"{_N} GiB for CUDAGraph memory", (("cuda_graphs", _gib),), 1),
        # CUDA graphs
        (rf"Graph capturing finished in \d+ secs?, took {_G}", (("cuda_graphs", _gib),), 0),
        (rf"Estimated CUDA graph memory: {_G}", (("cuda_graphs_estimate", _gib),), 0),
        (rf"CUDA graph pool memory: {_N} GiB \(actual\)", (("cuda_graphs", _gib),), 0),
        # the cache: size
        (rf"Available KV cache memory: {_G}", (("kv_cache", _gib),), 0),
        (rf"reserved {_G} memory for KV Cache as specified", (("kv_cache", _gib),), 0),
        (rf"KV cache memory reduced to {_G}", (("kv_cache", _gib),), 1),
        (
            rf"(?:Explicitly|Auto) set \({_N}/{_N}\) GiB for KV cache on node",
            (("kv_cache", _gib), ("capacity", _gib)),
            0,
        ),
        (r"Current kv cache memory in use is (\d+) bytes", (("kv_cache", _whole),), 2),
        # the cache: tokens
        (
            r"(\w+)(?: \+ host)? KV cache size: ([\d,]+) tokens",
            (("device", _text), ("kv_cache_tokens", _whole)),
            0,
        ),
        (r"# (?:GPU|cuda|cpu) blocks: (\d+)", (("kv_cache_blocks", _whole),), 0),
        (r"^# CPU blocks: (\d+)", (("kv_cache_blocks", _whole),), -1),
        (
            rf"Maximum concurrency for ([\d,]+) tokens per request: {_N}x",
            (("max_model_len", _whole), ("max_concurrency", _real)),
            0,
        ),
    )
)
_SMALLEST_BINDS = frozenset({"kv_cache", "kv_cache_tokens", "kv_cache_blocks", "max_concurrency"})
_BLOCK_SIZES = (1, 8, 16, 32, 64, 128, 256, 512)


@dataclass
class LogReader:
    """Reads a log line by line: :attr:`stage`, :attr:`share` of that stage, and :meth:`report`.

    Examples
    --------
    >>> reader = LogReader()
    >>> for line in (
    ...     "INFO 11-21 01:02:03 [gpu_worker.py:760] Available KV cache memory: 56.21 GiB",
    ...     "INFO 11-21 01:02:03 [kv_cache_utils.py:2327] GPU KV cache size: 460,496 tokens, "
    ...     "Maximum concurrency for 131,072 tokens per request: 3.51x",
    ... ):
    ...     _ = reader.feed(line)
    >>> reader.stage, reader.report().kv_cache_tokens, reader.report().max_concurrency
    ('profiling', 460496, 3.51)
    """

    stage: str = "starting"
    share: float | None = None
    _facts: dict[str, tuple[int, _Value]] = field(default_factory=dict)

    def feed(self, text: str) -> bool:
        """Take in one line; True where the stage or its share moved."""
        message = parse_line(text).message
        self._note(message)
        stage, share = stage_of(message), share_of(message)
        order = list(STAGES)
        # A stage never goes back: ranks write in any order, and workers repeat what others have said. But vLLM says
        # that it loads before it looks whether there is something to load.
        fetches = stage == "downloading" and self.stage == "loading"
        if stage is not None and (fetches or order.index(stage) > order.index(self.stage)):
            self.stage, self.share = stage, share
            return True
        if share is not None and stage == self.stage and share != self.share:
            self.share = share
            return True
        return False

    def _note(self, message: str) -> None:
        for pattern, fields, rank in _FACTS:
            match = pattern.search(message)
            if match is None:
                continue
            for (name, read), text in zip(fields, match.groups(), strict=True):
                if name:
                    self._keep(name, read(text), rank)

    def _keep(self, name: str, value: _Value, rank: int) -> None:
        known = self._facts.get(name)
        if known is not None and known[0] == rank and isinstance(value, int | float):
            other = known[1]
            if isinstance(other, int | float):
                value = min(value, other) if name in _SMALLEST_BINDS else max(value, other)
        elif known is not None and known[0] > rank:
            return
        self._facts[name] = (rank, value)

    def report(self) -> MemoryReport:
        """What has been said up to now."""
        facts = {name: value for name, (_, value) in self._facts.items()}
        report = MemoryReport(**facts)  # type: ignore[arg-type]
        if report.weights is not None and report.consumed is not None and report.non_torch is None:
            report = replace(report, non_torch=max(report.consumed - report.weights, 0))
        return _tokens_from_blocks(report)


def _tokens_from_blocks(report: MemoryReport) -> MemoryReport:
    # Before 0.8 the log gives blocks and concurrency, and leaves the block size to be worked out.
    blocks, length, concurrency = report.kv_cache_blocks, report.max_model_len, report.max_concurrency
    if report.kv_cache_tokens is not None or not blocks or not length or not concurrency:
        return report
    block = min(_BLOCK_SIZES, key=lambda size: abs(concurrency * length / blocks / size - 1))
    return replace(report, block_size=block, kv_cache_tokens=blocks * block)


def read_log(lines: Iterable[str]) -> MemoryReport:
    """The memory report of a whole log.

    Parameters
    ----------
    lines : iterable of str
        As vLLM printed them, terminal colours and all.
    """
    reader = LogReader()
    for line in lines:
        reader.feed(line)
    return reader.report()
