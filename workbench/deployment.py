"""What is chosen (Deployment), what arrives (Workload), what is asked (ServiceLevel)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.architecture.model import KV_BYTES
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import scheme

_DTYPES = ("auto", "bfloat16", "float16", "float32", "half", "float")


def _whole(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} is {value!r}; it must be a whole number of at least {least}")


def _number(name: str, value: Any, above: float = 0.0, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value <= most:
        limit = f"above {above:g}" + ("" if math.isinf(most) else f" and at most {most:g}")
        raise InvalidInput(f"{name} is {value!r}; it must be a number {limit}")


@dataclass(frozen=True)
class Deployment:
    """The choice: hardware, engine and the engine's own settings.

    Names are vLLM's. ``None`` takes the default of ``engine_version``; ``max_model_len`` is then the model's own,
    as vLLM does.

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

    def __post_init__(self) -> None:
        if not isinstance(self.gpu, str) or not self.gpu.strip():
            raise InvalidInput("gpu must name a card of `workbench gpus`, or 'cpu'")
        if self.engine != "vllm":
            raise UnknownName("engine", str(self.engine), ["vllm"], "vllm is the engine planned so far")
        for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
            _whole(name, getattr(self, name))
        for name in (
            "max_model_len",
            "max_num_seqs",
            "max_num_batched_tokens",
            "kv_cache_memory_bytes",
            "block_size",
        ):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name))
        if self.gpu_memory_utilization is not None:
            _number("gpu_memory_utilization", self.gpu_memory_utilization, most=1.0)
        if self.quantization is not None:
            scheme(self.quantization)
        if self.kv_cache_dtype not in ("auto", *KV_BYTES):
            raise InvalidInput(f"kv_cache_dtype {self.kv_cache_dtype!r} is not one of auto, {', '.join(KV_BYTES)}")
        if self.dtype not in _DTYPES:
            raise InvalidInput(f"dtype {self.dtype!r} is not one of {', '.join(_DTYPES)}")
        for name in ("enable_expert_parallel", "enforce_eager"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; it must be true or false")

    @property
    def gpus(self) -> int:
        """How many cards it takes."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

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
        Input and output tokens of a request.
    concurrency : int
        Requests in flight at a time.
    """

    isl: int = 1024
    osl: int = 256
    concurrency: int = 16

    def __post_init__(self) -> None:
        for name in ("isl", "osl", "concurrency"):
            _whole(name, getattr(self, name))

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

    ``None`` asks nothing.
    """

    ttft: float | None = None
    tpot: float | None = None
    output_tokens_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft", "tpot", "output_tokens_per_s"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name))
