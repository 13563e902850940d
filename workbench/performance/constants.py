"""What the kernels do not explain: ``data/performance.csv``, one row an engine and generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from workbench.datafiles import read_rows
from workbench.hardware import GPU
from workbench.performance.kernels import generations


@dataclass(frozen=True, slots=True)
class Overheads:
    """How an engine differs from the sum of its kernels, and what its service adds.

    Attributes
    ----------
    gemm, moe, attention, collective : float
        Time of these kernels in the engine ÷ their time measured alone [-].
    fixed, moe_fixed, latent, state : float
        The same for what even the smallest kernel takes; of experts, latent attention and recurrences, which are
        several kernels [-].
    distinct : float
        Independent tokens that touch as many experts ÷ real ones, which resemble each other [-].
    layer, step, request : float
        Time a layer spends on small kernels, a step on scheduling and sampling, and each request in it [s].
    offline_request : float
        What a request costs a step where its tokens are not streamed: an offline batch in the engine's own process [s].
    eager_layer, eager_moe : float
        Time to launch a layer's kernels without CUDA graphs, and its experts' besides [s].
    imbalance : float
        Tokens of the GPU with the most, ÷ the mean, under expert parallelism [-].
    prefill_share : float
        Part of a prompt's time that decoding requests wait for [-].
    ttft : float
        Time to the first token that is no step: HTTP, tokenising, scheduling, streaming [s].
    spread_tpot, spread_ttft, spread_rate : float
        90 % of measurements lie within a factor 1 + spread of the estimate [-].
    basis : str
    """

    gemm: float
    moe: float
    attention: float
    collective: float
    fixed: float
    moe_fixed: float
    latent: float
    state: float
    distinct: float
    layer: float
    step: float
    request: float
    offline_request: float
    eager_layer: float
    eager_moe: float
    imbalance: float
    prefill_share: float
    ttft: float
    spread_tpot: float
    spread_ttft: float
    spread_rate: float
    basis: str


#: Constants that the table has in other units: its column's ending, and that unit in seconds.
_UNITS = {
    **dict.fromkeys(("layer", "step", "request", "offline_request", "eager_layer", "eager_moe"), ("_us", 1e-6)),
    "ttft": ("_ms", 1e-3),
}


def read(row: Mapping[str, str]) -> Overheads:
    """Constants of a row of ``data/performance.csv``."""
    values = {}
    for each in fields(Overheads):
        ending, unit = _UNITS.get(each.name, ("", 1.0))
        values[each.name] = row["basis"] if each.name == "basis" else float(row[each.name + ending]) * unit
    return Overheads(**values)  # type: ignore[arg-type]


def row(k: Overheads) -> dict[str, str]:
    """The row of ``data/performance.csv`` that :func:`read` reads back."""
    found = {}
    for each in fields(Overheads):
        ending, unit = _UNITS.get(each.name, ("", 1.0))
        value = getattr(k, each.name)
        found[each.name + ending] = value if each.name == "basis" else f"{value / unit:.3g}"
    return found


@cache
def rows() -> dict[tuple[str, str], Overheads]:
    """Every row of ``data/performance.csv``, by engine and card."""
    return {(row["engine"], row["gpu"]): read(row) for row in read_rows("performance.csv")}


@cache
def overheads(engine: str, card: GPU) -> Overheads:
    """The row of an engine and a card: its own, its generation's, any card's; vLLM's for an engine without rows."""
    known = rows()
    for who in (engine, "vllm"):
        for name in generations(card):
            if (who, name) in known:
                return known[who, name]
    raise KeyError((engine, card.name))
