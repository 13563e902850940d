"""Many deployments of one model, as columns: what memory and performance compute on.

A plan is one row. Rows that share everything but plain numbers (lengths, batch sizes, utilisation) form a group,
whose objects (card, scheme, division) are looked up once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench import cpu
from workbench.architecture.model import Model
from workbench.deployment import OPTIONS, Deployment, Options, check_fields
from workbench.division import Division, float_bytes
from workbench.engines.registry import engine
from workbench.errors import InvalidInput
from workbench.formats import Scheme
from workbench.hardware import GPU, gpu

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

#: Fields that stay columns of numbers; every other field distinguishes groups.
NUMBERS = (
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "block_size",
    "enforce_eager",
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the rows of a group share.

    Attributes
    ----------
    version
        The constants of the engine's version: an :class:`~workbench.engines.engine.Release` of the engine's own class,
        which its ledger knows.
    """

    model: Model
    card: GPU
    deployment: Deployment
    version: Any
    scheme: Scheme
    division: Division
    float_bytes: int
    kv_element_bytes: float
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A setup is looked up many times for each row; its parts are large.
        parts = (getattr(self, each.name) for each in fields(self) if each.compare)
        object.__setattr__(self, "_hash", hash(tuple(parts)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def on_cpu(self) -> bool:
        """Whether this plans a CPU."""
        return self.card.name == cpu.NAME


@dataclass(frozen=True, slots=True)
class Numbers:
    """Columns of a group, defaults filled in; arrays of shape (rows,). ``kv_cache_memory_bytes`` is NaN if unset."""

    max_model_len: Floats
    max_num_seqs: Floats
    max_num_batched_tokens: Floats
    gpu_memory_utilization: Floats
    kv_cache_memory_bytes: Floats
    block_size: Floats
    enforce_eager: npt.NDArray[np.bool_]


class Choices:
    """A grid of deployments of one model.

    Parameters
    ----------
    model : Model
    fields : mapping
        Deployment field -> a value, or a list of values to cross with the others. ``gpu`` also takes
        :class:`~workbench.hardware.GPU` objects.

    Raises
    ------
    InvalidInput
        For an unknown field or a value out of range.
    """

    def __init__(self, model: Model, fields: Mapping[str, Any]) -> None:
        check_fields(fields)
        self.model = model
        self.values: dict[str, list[Any]] = {name: _as_list(name, value) for name, value in fields.items()}
        self.cards = {}
        if "gpu" in self.values:
            found = [cpu.card() if cpu.is_cpu(value) else gpu(value) for value in self.values["gpu"]]
            self.cards = {card.name: card for card in found}
            self.values["gpu"] = list(self.cards)
        shape = [len(values) for values in self.values.values()]
        self.size = int(np.prod(shape)) if shape else 1
        codes = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((0, 1), dtype=int)
        self.codes = dict(zip(self.values, codes, strict=True))
        for combination in _one_each(self.values):
            Deployment(**combination)  # each value is checked once, not each row

    def deployment(self, row: int) -> Deployment:
        """The deployment of a row."""
        return Deployment(**{name: values[self.codes[name][row]] for name, values in self.values.items()})

    def column(self, name: str, rows: Rows) -> list[Any]:
        """A field's value in some rows."""
        values = self.values[name]
        return [values[code] for code in self.codes[name][rows].tolist()]

    def card(self, name: str) -> GPU:
        """The card a name of the grid means."""
        return self.cards[name] if name in self.cards else gpu(name)

    def groups(self) -> Iterator[tuple[Rows, Setup | InvalidInput, Numbers]]:
        """Rows that share a setup, the setup (or why there is none), and their numbers."""
        names = [name for name in self.values if name not in NUMBERS]
        shape = [len(self.values[name]) for name in names]
        if names:
            flat = np.ravel_multi_index([self.codes[name] for name in names], shape)
        else:
            flat = np.zeros(self.size, dtype=int)
        order = np.argsort(flat, kind="stable")
        starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            shared = {name: self.values[name][self.codes[name][rows[0]]] for name in names}
            deployment = Deployment(**shared)
            card = self.card(deployment.gpu)
            setup: Setup | InvalidInput
            try:
                setup = _setup(self.model, card, deployment)
            except InvalidInput as error:
                setup = error
            yield rows, setup, self._numbers(rows, card, deployment)

    def stated(self, name: str, rows: Rows) -> npt.NDArray[np.bool_]:
        """In which of some rows a field is set."""
        if name not in self.values:
            return np.zeros(len(rows), dtype=bool)
        values = np.array([value is not None and value is not False for value in self.values[name]])
        return np.asarray(values[self.codes[name][rows]])

    def _numbers(self, rows: Rows, card: GPU, deployment: Deployment) -> Numbers:
        known = engine(deployment.engine)
        length = self._number("max_model_len", rows, self.model.max_model_len)
        default = known.defaults(known.release(deployment.engine_version), card, self.model, length)
        chunk = self._number("max_num_batched_tokens", rows, np.nan)
        return Numbers(
            max_model_len=length,
            max_num_seqs=self._number("max_num_seqs", rows, default.max_num_seqs),
            max_num_batched_tokens=np.where(np.isnan(chunk), default.max_num_batched_tokens, chunk),
            gpu_memory_utilization=self._number("gpu_memory_utilization", rows, default.gpu_memory_utilization),
            kv_cache_memory_bytes=self._number("kv_cache_memory_bytes", rows, default.kv_cache_memory_bytes),
            block_size=self._number("block_size", rows, default.block_size),
            enforce_eager=self._number("enforce_eager", rows, 0.0).astype(bool),
        )

    def _number(self, name: str, rows: Rows, default: float) -> Floats:
        if name not in self.values:
            return np.full(len(rows), float(default))
        values = np.array([default if v is None else v for v in self.values[name]], dtype=float)
        column: Floats = values[self.codes[name][rows]]
        return column


def _as_list(name: str, value: Any) -> list[Any]:
    if isinstance(value, (str, GPU)) or not isinstance(value, Sequence):
        value = value.tolist() if isinstance(value, np.ndarray) else [value]
    if name in OPTIONS:
        value = [None if one is None else Options.read(name, one) for one in value]
    values = list(dict.fromkeys(value))
    if not values:
        raise InvalidInput(f"{name} has no value to choose from")
    return values


def _one_each(values: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Combinations in which every value occurs at least once, as few as possible."""
    longest = max((len(v) for v in values.values()), default=1)
    for i in range(longest):
        yield {name: v[min(i, len(v) - 1)] for name, v in values.items()}


def _setup(model: Model, card: GPU, deployment: Deployment) -> Setup:
    known = engine(deployment.engine)
    if reason := known.unknown_field(deployment):
        raise InvalidInput(reason)
    scheme = known.scheme(model, deployment)
    width = float_bytes(model, deployment.dtype, scheme)
    release = known.release(deployment.engine_version)
    return Setup(
        model=model,
        card=card,
        deployment=deployment,
        version=release,
        scheme=scheme,
        division=Division(
            deployment.tensor_parallel_size,
            deployment.pipeline_parallel_size,
            deployment.data_parallel_size,
            deployment.enable_expert_parallel,
            deployment.num_redundant_experts or 0,
            getattr(release, "gives_last_stage_the_rest", False),
        ),
        float_bytes=width,
        kv_element_bytes=known.kv_element_bytes(model, deployment, width),
    )


def explicit(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a deployment with what a plan for a CPU always states: its cache, where the engine keeps one."""
    wanted = fields.get("engine", "vllm")
    cache = engine(wanted).cpu_cache if isinstance(wanted, str) else None
    if cpu.is_cpu(fields.get("gpu")) and cache is not None and fields.get("kv_cache_memory_bytes") is None:
        return {**fields, "kv_cache_memory_bytes": int(cache)}
    return dict(fields)
