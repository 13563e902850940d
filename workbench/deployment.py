"""What is chosen (Deployment), what arrives (Workload), what is asked (ServiceLevel)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InvalidInput, UnknownName
from workbench.formats import scheme
from workbench.kv_formats import kv_format

_DTYPES = ("auto", "bfloat16", "float16", "float32", "half", "float")


def _whole(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} is {value!r}; it must be a whole number of at least {least}")


def _number(name: str, value: Any, most: float = math.inf, zero: bool = False) -> None:
    inside = isinstance(value, (int, float)) and (0 < value <= most or (zero and value == 0))
    if isinstance(value, bool) or not inside or math.isinf(value):
        limit = ("of at least 0" if zero else "above 0") + ("" if math.isinf(most) else f" and at most {most:g}")
        raise InvalidInput(f"{name} is {value!r}; it must be a number {limit}")


class Options(dict[str, Any]):
    """An option that an engine takes as JSON, in its own words; hashable, so not to be changed.

    >>> hash(Options(method="ngram")) == hash(Options(method="ngram"))
    True
    """

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))

    @classmethod
    def read(cls, name: str, value: Any) -> Options:
        """A mapping, or JSON text of one; InvalidInput names the field."""
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise InvalidInput(f"{name} is not JSON: {error}") from None
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise InvalidInput(f"{name} is {value!r}; it must be an object in the engine's own words")
        try:
            made: dict[str, Any] = json.loads(json.dumps(dict(value)))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{name} cannot be written as JSON: {error}") from None
        return cls(made)


#: Engines that can be planned; each has a room in ``engines/`` and a ledger in ``memory/``.
ENGINES = ("vllm", "llama.cpp", "transformers", "tensorrt-llm", "tgi", "sglang")
#: Shares of a card's memory, each of one engine.
SHARES = ("gpu_memory_utilization", "mem_fraction_static", "free_gpu_memory_fraction", "cuda_memory_fraction")
#: Fields that are on or off.
SWITCHES = (
    "enable_expert_parallel",
    "enforce_eager",
    "enable_lora",
    "fully_sharded_loras",
    "enable_eplb",
    "swa_full",
)
#: Fields that an engine takes as JSON.
OPTIONS = ("speculative_config", "kv_transfer_config")


@dataclass(frozen=True)
class Deployment:
    """The choice: hardware, engine and the engine's own settings.

    Names are vLLM's; what only another engine has bears that engine's name. ``None`` takes the default of
    ``engine_version``; ``max_model_len`` is then the model's own, as vLLM does. A field that the chosen engine does
    not have makes the plan "unsupported".

    Parameters
    ----------
    gpu : str
        A name or alias of ``wb.gpus()``; "cpu" plans a CPU.
    engine, engine_version : str
        The engine, and the version planned for.
    tensor_parallel_size, pipeline_parallel_size, data_parallel_size : int
        GPUs = their product.
    quantization : str, optional
        A scheme id of ``wb.schemes()``; None means what the checkpoint says.
    kv_cache_memory_bytes : int, optional
        An absolute KV cache [B] instead of what utilisation leaves.
    max_cudagraph_capture_size : int, optional
        Steps of more tokens run without CUDA graphs; None: vLLM's, 512 at most.
    speculative_config, kv_transfer_config : mapping, optional
        In vLLM's own words: ``{"method": "ngram", "num_speculative_tokens": 4}``.
    enable_lora, max_loras, max_lora_rank, max_cpu_loras, lora_extra_vocab_size, fully_sharded_loras
        Adapters: how many fit a batch, their largest rank, how many wait in host memory.
    cpu_offload_gb, offload_group_size, offload_num_in_group, offload_prefetch_step
        Weights kept in host memory: so many [GiB] a GPU, or some layers of every group of layers.
    kv_offloading_size, swap_space : float, optional
        Host memory for KV blocks [GiB]: of all GPUs together, of each GPU (releases before 0.18).
    enable_eplb, num_redundant_experts : bool, int
        Balance experts over GPUs, with so many copies a layer besides.
    memory_in_use : int, optional
        What other processes hold on the card before the engine starts [B]; not a flag of the engine.
    n_gpu_layers : int, optional
        llama.cpp: layers kept on the GPU, the output layer being one of them; the others stay in host memory. None
        means all.
    swa_full : bool
        llama.cpp: whether sliding-window layers cache every token.
    mem_fraction_static : float, optional
        SGLang: the share of free memory that weights and KV cache together may take.
    free_gpu_memory_fraction : float, optional
        TensorRT-LLM: the share of what is left after loading that the KV cache takes.
    cuda_memory_fraction : float, optional
        TGI: the share of the card that the server may use.

    Raises
    ------
    InvalidInput
        For a value out of range; the message names the field.
    """

    gpu: str = "L40S"
    engine: str = "vllm"
    engine_version: str | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    enable_expert_parallel: bool = False
    quantization: str | None = None
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_memory_bytes: int | None = None
    block_size: int | None = None
    enable_prefix_caching: bool | None = None
    enable_chunked_prefill: bool | None = None
    enforce_eager: bool = False
    max_cudagraph_capture_size: int | None = None
    speculative_config: Mapping[str, Any] | None = None
    kv_transfer_config: Mapping[str, Any] | None = None
    enable_lora: bool = False
    max_loras: int | None = None
    max_lora_rank: int | None = None
    max_cpu_loras: int | None = None
    lora_extra_vocab_size: int | None = None
    fully_sharded_loras: bool = False
    cpu_offload_gb: float | None = None
    offload_group_size: int | None = None
    offload_num_in_group: int | None = None
    offload_prefetch_step: int | None = None
    kv_offloading_size: float | None = None
    swap_space: float | None = None
    enable_eplb: bool = False
    num_redundant_experts: int | None = None
    memory_in_use: int | None = None
    n_gpu_layers: int | None = None
    swa_full: bool = False
    mem_fraction_static: float | None = None
    free_gpu_memory_fraction: float | None = None
    cuda_memory_fraction: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.gpu, str) or not self.gpu.strip():
            raise InvalidInput("gpu must name a card of `workbench gpus`, or 'cpu'")
        if self.engine not in ENGINES:
            raise UnknownName("engine", str(self.engine), ENGINES, f"one of {', '.join(ENGINES)}")
        for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
            _whole(name, getattr(self, name))
        for name in (
            "max_model_len",
            "max_num_seqs",
            "max_num_batched_tokens",
            "kv_cache_memory_bytes",
            "block_size",
            "max_cudagraph_capture_size",
            "max_loras",
            "max_lora_rank",
            "max_cpu_loras",
            "offload_group_size",
            "offload_num_in_group",
            "offload_prefetch_step",
        ):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name))
        for name in ("lora_extra_vocab_size", "num_redundant_experts", "memory_in_use", "n_gpu_layers"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), least=0)
        for name in ("cpu_offload_gb", "kv_offloading_size", "swap_space"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), zero=name != "kv_offloading_size")
        for name in OPTIONS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Options.read(name, getattr(self, name)))
        for name in SHARES:
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), most=1.0)
        if self.quantization is not None:
            scheme(self.quantization)
        if self.kv_cache_dtype != "auto":
            kv_format(self.kv_cache_dtype)  # whether the engine takes it is the engine's affair
        if self.dtype not in _DTYPES:
            raise InvalidInput(f"dtype {self.dtype!r} is not one of {', '.join(_DTYPES)}")
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; it must be true or false")

    @property
    def gpus(self) -> int:
        """How many cards it takes."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        fields = dataclasses.asdict(self)
        return fields | {name: dict(fields[name]) for name in OPTIONS if fields[name] is not None}

    def changed(self, **fields: Any) -> Deployment:
        """A copy with other values, checked again."""
        return dataclasses.replace(self, **fields)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Deployment:
        """Read back what :meth:`to_dict` wrote; an unknown field is an error."""
        check_fields(fields)
        return cls(**fields)


FIELDS = tuple(f.name for f in dataclasses.fields(Deployment))


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise UnknownName for a field that a Deployment does not have."""
    for name in fields:
        if name not in FIELDS:
            raise UnknownName("deployment field", name, FIELDS)


@dataclass(frozen=True)
class Workload:
    """The load: what arrives.

    Parameters
    ----------
    isl, osl : int
        Input and output tokens of a request, on average.
    concurrency : int
        Requests in flight at a time: as one ends, the next is sent. Not used where ``request_rate`` is given.
    request_rate : float, optional
        Requests that arrive in a second, at random (Poisson), whether or not others have ended.
    isl_cv, osl_cv : float
        Spread of the lengths: standard deviation ÷ mean.
    prefix_hit : float
        Share of the input tokens that the prefix cache holds already.
    acceptance : float, optional
        Share of drafted tokens that are accepted, where a deployment drafts; None: an assumption.
    streamed : bool
        Whether tokens are sent as they come, by a server; an offline batch in the engine's own process spares that.
    requests : int, optional
        Requests of the whole run, the first ``concurrency`` of them sent at once; None: the start does not count.

    Examples
    --------
    >>> Workload(2048, 512, request_rate=4.0).request_rate
    4.0
    """

    isl: int = 1024
    osl: int = 256
    concurrency: int = 16
    request_rate: float | None = None
    isl_cv: float = 0.0
    osl_cv: float = 0.0
    prefix_hit: float = 0.0
    requests: int | None = None
    acceptance: float | None = None
    streamed: bool = True

    def __post_init__(self) -> None:
        for name in ("isl", "osl", "concurrency"):
            _whole(name, getattr(self, name))
        if self.request_rate is not None:
            _number("request_rate", self.request_rate)
        for name in ("isl_cv", "osl_cv"):
            _number(name, getattr(self, name), most=10, zero=True)
        _number("prefix_hit", self.prefix_hit, most=1, zero=True)
        if self.acceptance is not None:
            _number("acceptance", self.acceptance, most=1, zero=True)
        if not isinstance(self.streamed, bool):
            raise InvalidInput(f"streamed is {self.streamed!r}; it must be true or false")
        if self.requests is not None:
            _whole("requests", self.requests, least=self.concurrency)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Workload:
        """Read back what :meth:`to_dict` wrote; an unknown field is an error."""
        names = [f.name for f in dataclasses.fields(cls)]
        for name in fields:
            if name not in names:
                raise UnknownName("workload field", name, names)
        return cls(**fields)


@dataclass(frozen=True)
class ServiceLevel:
    """What is asked of a deployment: upper bounds on times [s], a lower one on throughput [tokens/s].

    ``None`` asks nothing. Bounds on times hold for ``percentile`` of the requests; 50 asks for the middle one.
    """

    ttft: float | None = None
    tpot: float | None = None
    output_tokens_per_s: float | None = None
    percentile: float = 50.0

    def __post_init__(self) -> None:
        for name in ("ttft", "tpot", "output_tokens_per_s"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name))
        _number("percentile", self.percentile, most=99.9)
