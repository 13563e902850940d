"""What is asked of a server and what came back: a load, its result, and all that repeating it needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from workbench.deployment import ServiceLevel, Workload
from workbench.errors import InvalidInput, UnknownName
from workbench.quantities import show_seconds

#: Written into every result; read back only by who knows it.
SCHEMA_VERSION = 1
#: Percentiles that are kept of every time.
PERCENTILES = (50, 90, 95, 99)


def _fields(cls: type, given: Any) -> dict[str, Any]:
    """The fields of a dataclass out of JSON; one that it does not have is an error."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{cls.__name__} is {given!r}; it must be an object")
    known = [each.name for each in dataclasses.fields(cls)]
    for name in given:
        if name not in known:
            raise UnknownName(f"field of {cls.__name__}", str(name), known)
    return dict(given)


@dataclass(frozen=True)
class LoadLevel:
    """One load put on a server.

    Parameters
    ----------
    workload : Workload
        Lengths, their spread, and how requests come: so many in flight at a time (``concurrency``), or so many a second
        at random (``request_rate``).
    requests : int
        How many are measured.
    warmups : int
        How many are sent before and not counted.
    seed : int
        Of the prompts, the lengths and the times of arrival.

    Raises
    ------
    InvalidInput
        For no requests, or fewer than are to be in flight.
    """

    workload: Workload
    requests: int
    warmups: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("requests", 1), ("warmups", 0), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(f"{name} is {value!r}; it must be a whole number of at least {least}")
        if self.concurrency is not None and self.requests < self.concurrency:
            raise InvalidInput(
                f"{self.requests} requests never fill a concurrency of {self.concurrency}; ask for more requests"
            )

    @property
    def concurrency(self) -> int | None:
        """Requests in flight at a time; None where they come at a rate."""
        return None if self.workload.request_rate is not None else self.workload.concurrency

    @property
    def request_rate(self) -> float | None:
        """Requests that arrive in a second; None where a number of them is kept in flight."""
        return self.workload.request_rate

    @property
    def label(self) -> str:
        """In words.

        >>> LoadLevel(Workload(128, 32, 4), 16).label
        '4 at a time'
        """
        if self.request_rate is None:
            return f"{self.concurrency:,} at a time"
        return f"{self.request_rate:g} a second"

    def planned(self) -> Workload:
        """The workload as a plan takes it, with the start of a run that keeps a number in flight."""
        if self.concurrency is None:
            return self.workload
        return dataclasses.replace(self.workload, requests=self.requests)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**_plain(self), "workload": self.workload.to_dict()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_json` wrote."""
        fields = _fields(cls, data)
        return cls(**{**fields, "workload": Workload.from_dict(fields["workload"])})


@dataclass(frozen=True)
class Times:
    """A time over the requests of a run: mean and percentiles [s]."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float

    def at(self, percentile: float) -> float:
        """One of :data:`PERCENTILES` [s].

        Raises
        ------
        InvalidInput
            For another one: it is not kept.
        """
        if percentile not in PERCENTILES:
            kept = ", ".join(map(str, PERCENTILES))
            raise InvalidInput(f"percentile {percentile:g} of a benchmark is not kept; ask for one of {kept}")
        return float(getattr(self, f"p{percentile:g}"))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what ``dataclasses.asdict`` wrote."""
        return cls(**{name: float(value) for name, value in _fields(cls, data).items()})


@dataclass(frozen=True)
class Served:
    """What the engine's own ``/metrics`` said while the load was on; None where it has no such figure.

    Attributes
    ----------
    kv_cache_usage : float or None
        The fullest the KV cache was seen, 0 to 1 [-].
    running, waiting : float or None
        The most requests that were seen in the batch, and waiting for it.
    preemptions : float or None
        Times a request was sent back for want of KV cache.
    prefix_hit : float or None
        Share of the prompts' tokens that the prefix cache held [-].
    acceptance : float or None
        Share of drafted tokens that were accepted [-].
    generated : float or None
        Tokens it counts as generated; more than the load's own were asked for by somebody else.
    """

    kv_cache_usage: float | None = None
    running: float | None = None
    waiting: float | None = None
    preemptions: float | None = None
    prefix_hit: float | None = None
    acceptance: float | None = None
    generated: float | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what ``dataclasses.asdict`` wrote."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True)
class Target:
    """What was measured: a server, its engine, its model, the hardware it runs on.

    Attributes
    ----------
    url : str
        Its address, without key.
    model : str
        As requests name it.
    engine, engine_version : str
        In a Deployment's words; empty where it is not known.
    config : str
        A bundled model, or the name of the configuration that goes with it: how a row of measurements names a model.
    quant : str
        Its format, in the words of :mod:`workbench.evidence.schemes`; empty: as the configuration says.
    gpu : str
        A name of ``data/gpus.csv``, or "cpu"; empty where it is not known.
    n_gpu, tensor_parallel_size, pipeline_parallel_size, data_parallel_size : int
        How many, and how the model is divided over them.
    """

    url: str
    model: str
    engine: str = ""
    engine_version: str = ""
    config: str = ""
    quant: str = ""
    gpu: str = ""
    n_gpu: int = 1
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what ``dataclasses.asdict`` wrote."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True)
class Tool:
    """What put the load on, and where.

    Attributes
    ----------
    name, version : str
    command : tuple of str
        What repeats it; the key is not in it.
    machine : mapping
        Where the tool ran: ``processor``, ``cores``, ``memory`` [B], ``system``, and ``busy``: the share of its
        processor that was at work just before; ``node``, its address, where that is the server's own node of a cluster.
    started : str
        When the load began, ISO 8601 in UTC.
    """

    name: str
    version: str
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    started: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what ``dataclasses.asdict`` wrote."""
        fields = _fields(cls, data)
        return cls(**{**fields, "command": tuple(fields["command"])})


@dataclass(frozen=True)
class LoadResult:
    """What came back of one load; only what was really measured is in it.

    Attributes
    ----------
    level : LoadLevel
        What was asked.
    target : Target
        Who was asked.
    tool : Tool
        What asked.
    completed, failed : int
        Answers that came whole, and requests that got none.
    short : int
        Whole answers that were shorter than asked for: the server ended them by itself.
    seconds : float
        From the first request to the last answer [s].
    input_tokens, output_tokens : int
        As the server counts them; where it does not tell, as the tokenizer does.
    ttft, tpot, itl, e2e : Times or None
        Time to the first token, time per output token after it (a mean per request), gap between two pieces of a
        stream, whole request [s]. None where answers of one token have none.
    served : Served or None
        What the engine said of itself; None where it has no ``/metrics``.
    remarks : tuple of str
        What to know before the numbers are used.
    """

    level: LoadLevel
    target: Target
    tool: Tool
    completed: int
    failed: int
    short: int
    seconds: float
    input_tokens: int
    output_tokens: int
    ttft: Times
    tpot: Times | None
    itl: Times | None
    e2e: Times
    served: Served | None = None
    remarks: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.completed < 1 or self.output_tokens < 1:
            raise InvalidInput("no request was answered, so there is no result")
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise InvalidInput(f"seconds is {self.seconds!r}; a load takes time")

    @property
    def requests_per_s(self) -> float:
        """Requests answered in a second [1/s]."""
        return self.completed / self.seconds

    @property
    def output_tokens_per_s(self) -> float:
        """Of the whole server [tokens/s]."""
        return self.output_tokens / self.seconds

    @property
    def total_tokens_per_s(self) -> float:
        """Prompts read and answers written [tokens/s]."""
        return (self.input_tokens + self.output_tokens) / self.seconds

    @property
    def failed_share(self) -> float:
        """Share of the requests that got no answer [-]."""
        return self.failed / (self.completed + self.failed)

    @property
    def isl(self) -> float:
        """Input tokens of a request, on average."""
        return self.input_tokens / self.completed

    @property
    def osl(self) -> float:
        """Output tokens of a request, on average."""
        return self.output_tokens / self.completed

    def breaks(self, slo: ServiceLevel) -> str:
        """Which bound of a service level is not held, in words; empty where all are.

        Raises
        ------
        InvalidInput
            For a percentile that is not kept.
        """
        for name, bound in (("ttft", slo.ttft), ("tpot", slo.tpot)):
            times: Times | None = getattr(self, name)
            if bound is None or times is None:
                continue
            value = times.at(slo.percentile)
            if value > bound:
                return f"{name.upper()} p{slo.percentile:g} {show_seconds(value)} is above {show_seconds(bound)}"
        if slo.output_tokens_per_s is not None and self.output_tokens_per_s < slo.output_tokens_per_s:
            return f"{self.output_tokens_per_s:,.1f} tokens/s are below {slo.output_tokens_per_s:,.1f}"
        return ""

    def to_json(self) -> dict[str, Any]:
        """As plain data, with what follows from it beside."""
        return {
            "schema_version": SCHEMA_VERSION,
            **_plain(self),
            "level": self.level.to_json(),
            "requests_per_s": self.requests_per_s,
            "output_tokens_per_s": self.output_tokens_per_s,
            "total_tokens_per_s": self.total_tokens_per_s,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_json` wrote.

        Raises
        ------
        InvalidInput
            If it is of another schema or incomplete.
        """
        given = dict(data)
        if (version := given.pop("schema_version", None)) != SCHEMA_VERSION:
            raise InvalidInput(f"a benchmark of schema {version!r} cannot be read here; this is {SCHEMA_VERSION}")
        for name in ("requests_per_s", "output_tokens_per_s", "total_tokens_per_s"):
            given.pop(name, None)
        fields = _fields(cls, given)
        try:
            made = {
                **fields,
                "level": LoadLevel.from_json(fields["level"]),
                "target": Target.from_json(fields["target"]),
                "tool": Tool.from_json(fields["tool"]),
                "served": Served.from_json(fields["served"]) if fields.get("served") is not None else None,
                "remarks": tuple(fields.get("remarks", ())),
            }
            for name in ("ttft", "tpot", "itl", "e2e"):
                made[name] = Times.from_json(fields[name]) if fields[name] is not None else None
            return cls(**made)
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"the benchmark is incomplete: {error}") from error


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: tuples become lists."""
    return {name: _listed(each) for name, each in dataclasses.asdict(value).items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value
