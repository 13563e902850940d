"""How many replicas of which deployment serve a load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.architecture.model import Model
from workbench.deployment import Deployment, ServiceLevel, Workload
from workbench.hardware import GPU
from workbench.planner.search import search
from workbench.quantities import Estimate, show_seconds

if TYPE_CHECKING:
    import pandas as pd

#: Requests in flight at one replica that are tried for a load given as a rate.
_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
#: Replicas that are tried for a load given as requests in flight, as a multiple of the fleet.
_BEYOND = 4


@dataclass(frozen=True, slots=True)
class Option:
    """A deployment, and how many replicas of it serve a load.

    Attributes
    ----------
    replicas : int
        With the spare ones.
    blocks : tuple of int
        GPUs that must lie in one node, for every replica after the other.
    concurrency : int
        Requests in flight at each replica.
    ttft, tpot, output_tokens_per_s : Estimate
        Of one replica [s, s, tokens/s].
    """

    card: GPU
    deployment: Deployment
    replicas: int
    blocks: tuple[int, ...]
    concurrency: int
    ttft: Estimate
    tpot: Estimate
    output_tokens_per_s: Estimate

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return sum(self.blocks)

    @property
    def cost(self) -> tuple[int, float]:
        """What ranks options: GPUs, then list price [USD/h], nothing where none is known."""
        usd = self.card.usd_per_hour
        return self.gpus, self.gpus * usd.value if usd else 0.0


def options(
    model: Model,
    workload: Workload,
    slo: ServiceLevel | None,
    cards: Sequence[GPU],
    pools: Mapping[str, Sequence[int]],
    fields: Mapping[str, Any],
    spare: int = 0,
) -> tuple[list[Option], str]:
    """The fewest replicas of every deployment that serve a load, and why there is none.

    A load given as requests in flight is divided evenly: r replicas have ceil(concurrency / r) each. One given as a
    rate λ takes λ × OSL output tokens a second, and a replica serves as many as it does at the largest concurrency at
    which it still meets its service level; arrivals are taken as even. Either way a replica holds its requests in its
    cache at once: queues are not what a plan should count on.

    Parameters
    ----------
    workload, slo
        Of the whole load.
    pools : mapping
        Card -> GPUs of each node.
    fields : mapping
        Fields of a deployment, each a value or a list.
    spare : int
        Replicas besides.

    Returns
    -------
    list of Option
        At most one for each card and number of GPUs a replica.
    str
        A sentence where the list is empty.
    """
    largest = max(max(sizes) for sizes in pools.values())
    grid = {"tensor_parallel_size": [2**n for n in range(largest.bit_length()) if 2**n <= largest], **fields}
    total = sum(sum(sizes) for sizes in pools.values())
    steps = _STEPS if workload.request_rate else _shares(workload.concurrency, _BEYOND * total)
    each = [replace(workload, request_rate=None, requests=None, concurrency=step) for step in steps]
    bounds = replace(slo, output_tokens_per_s=None) if slo else None
    table = search(model, list(cards), workload=each, slo=bounds, **grid)
    if not len(table):
        return [], _none_starts(table)
    table = table.assign(holds=table["kv_cache_tokens"] >= table["concurrency"] * (workload.isl + workload.osl / 2))
    least = slo.output_tokens_per_s or 0.0 if slo else 0.0
    best: dict[tuple[str, int], Option] = {}
    whole = False  # whether any deployment's tensor-parallel group fits a node
    by_name = {card.name: card for card in cards}
    for deployment, rows in _by_deployment(table, grid):
        blocks = _blocks(deployment, max(pools[deployment.gpu]))
        if blocks is None:
            continue
        whole = True
        served = _served(rows, workload, least)
        if served is None:
            continue
        replicas, row = served
        option = Option(
            card=by_name[deployment.gpu],
            deployment=deployment,
            replicas=replicas + spare,
            blocks=blocks * (replicas + spare),
            concurrency=int(row["concurrency"]),
            ttft=_estimate(row, "ttft"),
            tpot=_estimate(row, "tpot"),
            output_tokens_per_s=_estimate(row, "output_tokens_per_s"),
        )
        key = (deployment.gpu, deployment.gpus)
        if key not in best or (option.gpus, option.tpot.value) < (best[key].gpus, best[key].tpot.value):
            best[key] = option
    return list(best.values()), "" if best else _none_serves(table, slo, whole)


def _shares(concurrency: int, most: int) -> list[int]:
    """Requests in flight at each of 1, 2, 3 ... replicas, every number once."""
    return list(dict.fromkeys(math.ceil(concurrency / count) for count in range(1, min(concurrency, most) + 1)))


def _by_deployment(table: pd.DataFrame, grid: Mapping[str, Any]) -> Iterator[tuple[Deployment, pd.DataFrame]]:
    """Rows of each deployment, fewest requests in flight first."""
    names = ["gpu", *grid]
    keys = table[names].astype(str).agg("|".join, axis=1)
    for _, rows in table.groupby(keys, sort=False):
        fields = {name: _original(rows.iloc[0][name], grid.get(name)) for name in names}
        yield Deployment(**fields), rows.sort_values("concurrency")


def _original(value: Any, given: Any) -> Any:
    """A value as it was given: a table turns whole numbers into floats where one is missing."""
    if given is None or isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        return value if given is None else given
    for candidate in given:
        if candidate is None and (value is None or value != value):  # NaN is not itself
            return None
        if candidate is not None and candidate == value:
            return candidate
    return value


def _blocks(deployment: Deployment, largest: int) -> tuple[int, ...] | None:
    """GPUs of one replica that must lie in one node; None if a tensor-parallel group does not fit any."""
    if deployment.gpus <= largest:
        return (deployment.gpus,)
    size = deployment.tensor_parallel_size
    return (size,) * (deployment.gpus // size) if size <= largest else None


def _served(rows: pd.DataFrame, workload: Workload, least: float) -> tuple[int, dict[Any, Any]] | None:
    """Replicas of one deployment, and the row they work at; None if no number of them meets the service level."""
    good = [row for row in rows.to_dict("records") if row["meets_slo"] and row["holds"]]
    if not good:
        return None
    if workload.request_rate:
        asked = max(workload.request_rate * workload.osl, least)
        most = max(row["output_tokens_per_s"] for row in good)
        replicas = max(1, math.ceil(asked / most - 1e-9))
        return replicas, next(row for row in good if row["output_tokens_per_s"] * replicas >= asked * (1 - 1e-9))
    for row in reversed(good):  # most requests in flight, so fewest replicas, first
        replicas = math.ceil(workload.concurrency / row["concurrency"])
        if replicas * row["output_tokens_per_s"] >= least:
            return replicas, row
    return None


def _estimate(row: Mapping[Any, Any], name: str) -> Estimate:
    return Estimate(float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"]), str(row["basis"]))


def _none_starts(table: pd.DataFrame) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in table.attrs["rejected"].items())
    return f"none of the {table.attrs['evaluated']} deployments tried starts ({counts})"


def _none_serves(table: pd.DataFrame, slo: ServiceLevel | None, whole: bool) -> str:
    if not whole:
        return "its tensor-parallel group is larger than any node"
    bounds = [
        f"{name.upper()} at most {show_seconds(most)} (best {show_seconds(table[name].min())})"
        for name in ("ttft", "tpot")
        if slo is not None and (most := getattr(slo, name)) is not None
    ]
    if slo is not None and slo.output_tokens_per_s is not None:
        bounds.append(f"{slo.output_tokens_per_s:g} tokens/s")
    if not table["holds"].any():
        return "no deployment that starts holds even one request in its cache"
    return f"no deployment that starts meets {' and '.join(bounds)}" if bounds else "no deployment serves it"
