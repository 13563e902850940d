"""A grid of deployments, evaluated at once, as a ranked table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.architecture.model import Model
from workbench.choices import Choices, explicit
from workbench.deployment import ServiceLevel, Workload
from workbench.planner.capacity import meets, met
from workbench.planner.evaluate import evaluate
from workbench.planner.plan import as_model

if TYPE_CHECKING:
    import pandas as pd

_QUANTITIES = ("ttft", "tpot", "output_tokens_per_s")


def pareto(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Rows that no other row beats in both columns (smaller is better); costs of shape (rows, 2).

    A row that is not finite is never on the front.

    >>> pareto(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]]))
    array([ True,  True, False])
    """
    order = np.lexsort((costs[:, 1], costs[:, 0]))
    order = order[np.isfinite(costs[order]).all(axis=1)]
    first, second = costs[order, 0], costs[order, 1]
    new = np.r_[True, first[1:] != first[:-1]][: len(order)]
    best = np.minimum.accumulate(second)  # the least second cost so far
    start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))  # where rows of this first cost begin
    before = np.where(start > 0, best[np.maximum(start - 1, 0)], np.inf)
    kept = np.zeros(len(costs), dtype=bool)
    kept[order] = (second < before) & (second == second[start] if len(order) else new)
    return kept


def search(
    model: Model | str | Path | Mapping[str, Any],
    gpu: Any = "L40S",
    *,
    workload: Workload | Sequence[Workload] | None = None,
    slo: ServiceLevel | None = None,
    **deployment: Any,
) -> pd.DataFrame:
    """Cross the values of any fields and rank what fits.

    Parameters
    ----------
    model
        As for :func:`plan`.
    gpu
        A card, or a list of cards.
    workload : Workload or sequence of Workload
        Every workload is a row of its own for each deployment.
    slo : ServiceLevel, optional
        Rows that meet it come first.
    **deployment
        Fields of a Deployment; each may be a list.

    Returns
    -------
    pandas.DataFrame
        A row per deployment that fits and workload: the fields given, ``gpus``, ``isl``, ``osl``, ``concurrency``,
        times [s] and rates with ``_low`` and ``_high``, ``usd_per_hour``, ``usd_per_million_tokens``,
        ``kv_cache_tokens``, ``saturation`` [requests/s], ``tight``, ``meets_slo`` (at the expected values, for the
        percentile asked), ``probability`` of meeting it, ``pareto``; ranked. ``attrs["evaluated"]`` counts the
        deployments, ``attrs["rejected"]`` those that do not fit, by verdict.
    """
    import pandas as pd

    workloads = [workload or Workload()] if isinstance(workload, Workload) or workload is None else list(workload)
    choices = Choices(as_model(model), explicit({"gpu": gpu, **deployment}))
    evaluation = evaluate(choices)
    rejected = Counter(v for v in evaluation.verdict.tolist() if v != "starts")
    frames = []
    for load in workloads:
        for part, service in evaluation.services(load):
            keep = np.flatnonzero(evaluation.verdict[part.rows] == "starts")
            if not keep.size:
                continue
            rows = part.rows[keep]
            columns: dict[str, Any] = {name: choices.column(name, rows) for name in choices.values}
            card, count = part.setup.card, part.setup.deployment.gpus
            columns |= {"gpus": count, "isl": load.isl, "osl": load.osl, "concurrency": load.concurrency}
            if load.request_rate:
                columns["request_rate"] = load.request_rate
            for name in _QUANTITIES:
                interval = getattr(service, name)
                columns[name] = interval.value[keep]
                columns[f"{name}_low"], columns[f"{name}_high"] = interval.low[keep], interval.high[keep]
            price = card.usd_per_hour.value * count if card.usd_per_hour else np.nan
            columns["usd_per_hour"] = price
            columns["usd_per_million_tokens"] = price / (columns["output_tokens_per_s"] * 3600) * 1e6
            columns["meets_slo"] = meets(service, slo or ServiceLevel())[keep]
            columns["probability"] = met(service, slo or ServiceLevel())[keep]
            columns["saturation"] = service.saturation[keep]
            columns["kv_cache_tokens"] = part.ledger.kv_cache_tokens.value[keep]
            columns["max_concurrency"] = part.ledger.max_concurrency.value[keep]
            columns["tight"] = evaluation.tight[rows]
            columns["basis"] = service.basis
            frames.append(pd.DataFrame(columns))
    table = _ranked(pd.concat(frames, ignore_index=True)) if frames else pd.DataFrame()
    table.attrs["evaluated"] = choices.size
    table.attrs["rejected"] = dict(rejected)
    return table


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    cost = table["usd_per_million_tokens"].to_numpy(dtype=float)
    per_gpu = table["gpus"].to_numpy(dtype=float) / table["output_tokens_per_s"].to_numpy(dtype=float)
    cost = np.where(np.isnan(cost), per_gpu, cost) if np.isnan(cost).all() else cost
    table["pareto"] = False
    for rows in table.groupby(["isl", "osl", "concurrency"]).indices.values():
        costs = np.column_stack([cost[rows], table["tpot"].to_numpy(dtype=float)[rows]])
        table.loc[table.index[rows], "pareto"] = pareto(costs)
    order = ["isl", "osl", "concurrency", "meets_slo", "usd_per_million_tokens", "tpot"]
    ranked = table.sort_values(order, ascending=[True, True, True, False, True, True], ignore_index=True)
    return ranked
