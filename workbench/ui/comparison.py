"""Planned beside reported, as a table to look at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import traitlets

from workbench.comparison import alarm, comparisons
from workbench.ui.panel import Panel

if TYPE_CHECKING:
    from workbench.planner import Plan
    from workbench.serving import Server

NAMES = {
    "weights_bytes": "Weights",
    "activation_peak_bytes": "Activations",
    "non_torch_bytes": "Outside PyTorch",
    "cuda_graphs_bytes": "CUDA graphs",
    "kv_cache_bytes": "KV cache",
    "kv_cache_tokens": "KV cache, tokens",
    "max_concurrency": "Requests of full length at once",
    "ttft": "Time to first token",
    "tpot": "Time per output token",
    "output_tokens_per_s": "Output tokens per second",
}


class ComparisonPanel(Panel):
    """What a plan said beside what the running engine says of itself.

    Parameters
    ----------
    plan : Plan
    server : Server or MemoryReport
        Ready, and best after a smoke test, whose speed is compared too.

    Attributes
    ----------
    rows : list of dict
    drift : str
        What to be warned of; empty where the engine does what its constants say.
    """

    script = "comparison.js"

    rows = traitlets.List(read_only=True).tag(sync=True)
    drift = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, plan: Plan, server: Server) -> None:
        super().__init__()
        self.show(plan, server)

    def show(self, plan: Plan, server: Server) -> None:
        """Compare again, or something else."""
        found = list(comparisons(plan, server))
        self.set_trait("drift", alarm(plan, server, found))
        self.set_trait("rows", [_row(each.row()) for each in found])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return {**plain, "inside": bool(row["inside"]), "name": NAMES.get(row["quantity"], row["quantity"])}
