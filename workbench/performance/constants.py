"""The speed model's few constants: ``data/performance.csv``, one row a GPU generation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from workbench.datafiles import read_rows
from workbench.hardware import GPU


@dataclass(frozen=True, slots=True)
class Constants:
    """Achieved fractions, overheads [s] and 90 % half-widths of one generation."""

    bandwidth_fraction: float
    expert_bandwidth_fraction: float
    compute_fraction: float
    layer: float
    moe_layer: float
    collective: float
    collective_bandwidth_fraction: float
    step: float
    prefill_share: float
    ttft: float
    ttft_prefills: float
    spread_tpot: float
    spread_ttft: float
    basis: str


@cache
def _rows() -> dict[str, Constants]:
    found = {}
    for row in read_rows("performance.csv"):
        micro = {name: float(row[f"{name}_us"]) * 1e-6 for name in ("layer", "moe_layer", "collective", "step")}
        plain = (
            "bandwidth_fraction", "expert_bandwidth_fraction", "compute_fraction", "collective_bandwidth_fraction",
            "prefill_share", "ttft_prefills", "spread_tpot", "spread_ttft",
        )  # fmt: skip
        numbers = {name: float(row[name]) for name in plain}
        ttft = float(row["ttft_ms"]) * 1e-3
        found[row["generation"].casefold()] = Constants(**micro, **numbers, ttft=ttft, basis=row["basis"])
    return found


def constants(card: GPU) -> Constants:
    """The row of the card's generation ("hopper", "blackwell", …), else the default row."""
    rows = _rows()
    if card.name == "cpu":
        return rows["cpu"]
    architecture = card.architecture.casefold()
    return next((row for name, row in rows.items() if name in architecture), rows["default"])
