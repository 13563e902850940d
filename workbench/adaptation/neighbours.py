"""Deployments that differ from the present one in a few settings, and how each would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.cpu import is_cpu
from workbench.deployment import ServiceLevel, Workload
from workbench.formats import checkpoint_scheme
from workbench.planner import Plan, search
from workbench.planner.needs import FLOORS, FORMATS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

#: Settings that are turned.
FIELDS = ("quantization", "kv_cache_dtype", "max_num_seqs", "tensor_parallel_size")
#: A cache fuller than this preempts as soon as an answer is longer than usual. A judgement of ours, as is SPARE.
FULL = 0.9
#: What takes back quality or GPUs must stay below this share of each bound.
SPARE = 0.8


def neighbours(
    planned: Plan, load: Workload, slo: ServiceLevel, floor: str, gpus: int, checkpoints: Mapping[str, str] | None
) -> pd.DataFrame:
    """The deployments that could take its place, as a search has them."""
    own = planned.deployment
    allowed = list(FLOORS)[: list(FLOORS).index(floor) + 1]
    quantised = checkpoint_scheme(planned.model) is not None  # then its format is what it is
    passing = [(kind, name) for (kind, name), level in FORMATS.items() if level in allowed]
    schemes = {own.quantization, None} | {name for kind, name in passing if kind == "weights"}
    if checkpoints is not None:
        schemes = {own.quantization} | {name for name in schemes if name is None or name in checkpoints}
    caches = {own.kv_cache_dtype} | {name for kind, name in passing if kind == "kv"}
    seats = {own.max_num_seqs}
    if load.request_rate is None and slo.ttft is not None:  # fewer places make steps shorter and the queue longer
        seats |= {max(load.concurrency // 2, 1), load.concurrency}
    sizes = {own.tensor_parallel_size} | {size for size in (1, 2, 4, 8) if size <= gpus // own.pipeline_parallel_size}
    fields = {**own.to_dict(), "quantization": sorted({own.quantization} if quantised else schemes, key=str)}
    fields["kv_cache_dtype"] = sorted(caches, key=str)
    fields["max_num_seqs"] = sorted(seats, key=lambda n: n or 0)
    fields["tensor_parallel_size"] = [own.tensor_parallel_size] if is_cpu(own.gpu) else sorted(sizes)
    return search(planned.model, workload=load, slo=slo, **fields)


def judge(
    table: pd.DataFrame,
    present: Mapping[str, Any],
    load: Workload,
    slo: ServiceLevel,
    corrections: Mapping[str, float],
) -> pd.DataFrame:
    """The search's rows with what decides.

    Returns
    -------
    pandas.DataFrame
        With ``changed`` (fields), ``loss`` (place in the floors), ``excess`` (the largest share of a bound or of the
        cache that is used), ``room`` in the cache, ``holds``, and ``spare``: it holds with room to spare.
    """
    order = list(FLOORS)
    alike = {name: [same(value, present[name]) for value in table[name]] for name in FIELDS}
    changed = sum((~np.array(each) for each in alike.values()), np.zeros(len(table), dtype=int))
    loss = [
        max(order.index(FORMATS.get(("weights", none(w)), "any")), order.index(FORMATS.get(("kv", str(k)), "any")))
        for w, k in zip(table["quantization"], table["kv_cache_dtype"], strict=True)
    ]
    shares = [np.zeros(len(table))]
    shares += [
        table[name].to_numpy(dtype=float) * corrections.get(name, 1.0) / bound
        for name in ("ttft", "tpot")
        if (bound := getattr(slo, name)) is not None
    ]
    if slo.output_tokens_per_s is not None:
        rate = table["output_tokens_per_s"].to_numpy(dtype=float) / corrections.get("tpot", 1.0)
        shares.append(slo.output_tokens_per_s / rate)
    share = np.maximum.reduce(shares)
    seats, tokens = table["max_num_seqs"].to_numpy(dtype=float), table["kv_cache_tokens"].to_numpy(dtype=float)
    filled = filled_share(seats, tokens, load) * corrections.get("kv_cache", 1.0)
    return table.assign(
        changed=changed, loss=loss, excess=np.maximum(share, filled / FULL), room=filled <= FULL,
        holds=(share <= 1) & (filled <= FULL), spare=(share <= SPARE) & (filled <= SPARE * FULL),
    )  # fmt: skip


def filled_share(seats: Floats, kv_cache_tokens: Floats, load: Workload) -> Floats:
    """Share of the KV cache that a load fills, every request at its full length [-]; shape (rows,).

    Parameters
    ----------
    seats : ndarray
        ``max_num_seqs``; NaN where it is left to the engine.
    kv_cache_tokens : ndarray
        Tokens the cache holds.
    load : Workload
        A load at a rate counts one request where the seats are not known.

    Examples
    --------
    >>> filled_share(np.array([np.nan, 8.0]), np.array([8000.0, 8000.0]), Workload(700, 100, 16)).tolist()
    [1.6, 0.8]
    """
    in_flight = float(load.concurrency) if load.request_rate is None else np.inf
    running = np.minimum(np.where(np.isnan(seats), np.inf, seats), in_flight)
    return np.asarray(np.where(np.isfinite(running), running, 1.0) * (load.isl + load.osl) / kv_cache_tokens)


def none(value: Any) -> str | None:
    """A cell of a table as a Deployment has it: None where it is empty."""
    return None if value is None or value != value else str(value)


def same(value: Any, other: Any) -> bool:
    """Whether a cell says what a Deployment says."""
    return none(value) == none(other) or value == other
