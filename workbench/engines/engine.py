"""What an engine is to the planner: its defaults, the fields it has, its words. Its ledger lies in ``memory/``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.formats import Scheme, effective_scheme
from workbench.hardware import GPU
from workbench.kv_formats import kv_format

Floats = npt.NDArray[np.float64]


class Release(Protocol):
    """The constants that hold for a version of an engine; each engine has more of its own."""

    @property
    def version(self) -> str:
        """The version asked for."""
        ...

    @property
    def since(self) -> str:
        """The version of the table's row, which may be older."""
        ...

    @property
    def newer_than_known(self) -> bool:
        """Whether it is newer than the table."""
        ...


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an engine takes for numbers that a deployment leaves out; scalars, or arrays over the rows.

    NaN where the engine has no such number.
    """

    max_num_seqs: float = 1.0
    max_num_batched_tokens: float | Floats = np.nan
    gpu_memory_utilization: float = np.nan
    kv_cache_memory_bytes: float = np.nan
    block_size: float = 1.0


#: Fields that say what is planned rather than how an engine is set; every engine has them.
COMMON = frozenset({"gpu", "engine", "engine_version", "quantization", "dtype", "memory_in_use"})
#: Fields of one engine alone, which are no field of vLLM's.
OTHERS = frozenset(
    {"n_gpu_layers", "swa_full", "mem_fraction_static", "free_gpu_memory_fraction", "cuda_memory_fraction"}
)


def scheme_of(model: Model, deployment: Deployment) -> Scheme:
    """The scheme a deployment runs in, where the engine loads checkpoints as they are."""
    return effective_scheme(model, deployment.quantization, engine=deployment.engine, version=deployment.engine_version)


def kv_element_bytes(model: Model, deployment: Deployment, width: int) -> float:
    """Bytes of a cached value in the engine's own format; "auto" is the model's ``width`` [B].

    Raises
    ------
    InvalidInput
        If the engine does not take that format.
    """
    if deployment.kv_cache_dtype == "auto":
        return width
    return kv_format(deployment.kv_cache_dtype, deployment.engine).element_bytes


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    Parameters
    ----------
    name, title : str
        A Deployment's word; the name people read.
    version : str
        The version planned for unless a deployment says otherwise.
    fields : frozenset of str
        Deployment fields it has, :data:`COMMON` apart.
    release : callable
        Version or None -> its constants.
    defaults : callable
        Constants, card, model, lengths of the rows -> :class:`Defaults`.
    command : callable
        Deployment, checkpoint, model, whether the checkpoint says how it is quantised -> words; empty where there is
        no simple line.
    scheme, kv_element_bytes : callable
        How weights and cached values are stored.
    cpu_cache : float, optional
        KV cache that a CPU plan always states [B].
    instead : mapping
        Field it does not have -> what does the same there.
    preempts : bool
        Whether it lets requests in for the tokens they have and sends one back where blocks run out (vLLM, SGLang);
        else for all they may have, so that none is ever sent back (TensorRT-LLM's GUARANTEED_NO_EVICT).
    speed_basis : str
        The best that an estimate of speed can rest on: what the constants were fitted to is vLLM's.
    speed_spread : float
        By how much wider than vLLM's the interval of a speed is.
    """

    name: str
    title: str
    version: str
    fields: frozenset[str]
    release: Callable[[str | None], Any]
    defaults: Callable[[Any, GPU, Model, Floats], Defaults]
    command: Callable[[Deployment, str, Model, bool], list[str]]
    scheme: Callable[[Model, Deployment], Scheme] = scheme_of
    kv_element_bytes: Callable[[Model, Deployment, int], float] = kv_element_bytes
    cpu_cache: float | None = None
    instead: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    preempts: bool = True
    speed_basis: str = "roofline"
    speed_spread: float = 2.0

    def lacks(self, name: str) -> str | None:
        """Why a field cannot be asked of this engine; None if it can."""
        if name in COMMON or name in self.fields:
            return None
        other = self.instead.get(name)
        return f"{self.title} has no {name}; " + (f"its own is {other}" if other else "leave it out")

    def unknown_field(self, deployment: Deployment) -> str | None:
        """Why a deployment cannot be asked of this engine: a field is set that it does not have."""
        for known in dataclasses.fields(deployment):
            if getattr(deployment, known.name) != known.default and (reason := self.lacks(known.name)):
                return reason
        return None
