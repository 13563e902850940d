"""What was planned beside what a running engine reports: ``wb.compare``.

The test that a plan has to pass: each quantity of the memory ledger against the engine's own words, and the speed of
one request against the plan for one request of that length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.deployment import Workload
from workbench.engines.vllm.logs import MemoryReport
from workbench.errors import InvalidInput
from workbench.evidence.drift import drift
from workbench.quantities import Estimate, show_bytes, show_count, show_seconds

if TYPE_CHECKING:
    import pandas as pd

    from workbench.planner import Plan
    from workbench.serving import Server, SmokeResult

#: Columns of the table, in order.
COLUMNS = ("quantity", "unit", "planned", "low", "high", "basis", "reported", "error", "inside", "source")

# Quantity -> (attribute of plan.memory, attribute of the engine's report, unit)
_MEMORY: dict[str, tuple[str, str, str]] = {
    "weights_bytes": ("weights", "weights", "B"),
    "activation_peak_bytes": ("activation_peak", "activation_peak", "B"),
    "non_torch_bytes": ("non_torch", "non_torch", "B"),
    "cuda_graphs_bytes": ("cuda_graphs", "cuda_graphs", "B"),
    "kv_cache_bytes": ("kv_cache", "kv_cache", "B"),
    "kv_cache_tokens": ("kv_cache_tokens", "kv_cache_tokens", "tokens"),
    "max_concurrency": ("max_concurrency", "max_concurrency", "requests"),
}
# A log prints sizes and concurrency rounded: half of the last digit decides nothing. The cache's size and tokens come
# exact from /metrics, or as whole numbers.
_ROUNDED = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graphs_bytes")
_CONCURRENCY_ROUNDING = 0.005

_SHOW: dict[str, Callable[[float], str]] = {
    "B": show_bytes,
    "tokens": show_count,
    "requests": lambda n: f"{n:,.2f}",
    "s": show_seconds,
    "tokens/s": lambda n: f"{n:,.1f}",
}


@dataclass(frozen=True)
class Comparison:
    """One quantity, planned and reported.

    Attributes
    ----------
    quantity, unit : str
        What, and in which unit planned and reported are.
    planned : Estimate
        With its interval and what it rests on.
    reported : float
        As the engine said or the smoke test saw.
    source : str
        "engine" for what vLLM says of itself, "smoke test" for what one request at a time saw.
    tolerance : float
        How exactly the reported value is known.
    """

    quantity: str
    unit: str
    planned: Estimate
    reported: float
    source: str
    tolerance: float = 0.0

    @property
    def error(self) -> float:
        """(planned − reported) / reported [-]; 0 where both are 0, NaN where only the reported one is."""
        if self.reported == 0:
            return 0.0 if self.planned.value == 0 else math.nan
        return (self.planned.value - self.reported) / self.reported

    @property
    def inside(self) -> bool:
        """Whether the reported value lies in the planned interval, as exactly as it is known."""
        return self.planned.low - self.tolerance <= self.reported <= self.planned.high + self.tolerance

    def show(self, value: float) -> str:
        """A value of this quantity as people read it.

        >>> Comparison("kv_cache_bytes", "B", Estimate.exact(0), 0, "engine").show(2**29)
        '512.0 MiB'
        """
        return _SHOW[self.unit](value)

    def row(self) -> dict[str, Any]:
        """As a row of the table, keys :data:`COLUMNS`."""
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "planned": self.planned.value,
            "low": self.planned.low,
            "high": self.planned.high,
            "basis": self.planned.basis,
            "reported": self.reported,
            "error": self.error,
            "inside": self.inside,
            "source": self.source,
        }


def compare(plan: Plan, server: Server | MemoryReport, smoke: SmokeResult | None = None) -> pd.DataFrame:
    """Planned beside reported.

    Parameters
    ----------
    plan : Plan
        What was planned.
    server : Server or MemoryReport
        A ready server, or what an engine said of its memory (``logs.read_log`` of any vLLM's log).
    smoke : SmokeResult, optional
        By default the server's last smoke test, if there was one; its speed is compared with the plan for one request
        at a time of the same lengths.

    Returns
    -------
    pandas.DataFrame
        A row per quantity that both know, columns :data:`COLUMNS`: ``planned``, ``low``, ``high`` and ``reported`` in
        ``unit`` [B, tokens, requests, s, tokens/s], ``error`` relative to the reported value, ``inside`` whether the
        90 % interval holds it. ``attrs["missing"]`` names what the engine does not report; ``attrs["drift"]`` warns
        where the engine no longer does what its constants say, and is empty otherwise.

    Raises
    ------
    InvalidInput
        The plan has no ledger, or the engine has said nothing yet.
    """
    import pandas as pd

    found = list(comparisons(plan, server, smoke))
    table = pd.DataFrame([item.row() for item in found], columns=list(COLUMNS))
    table.attrs["missing"] = [name for name in _MEMORY if name not in {item.quantity for item in found}]
    table.attrs["drift"] = alarm(plan, server, found)
    return table


def alarm(plan: Plan, server: Server | MemoryReport, found: Iterable[Comparison]) -> str:
    """What to be warned of, see :func:`workbench.evidence.drift.drift`."""
    version = server.version or plan.deployment.engine_version
    return drift(plan.deployment.engine, version, {each.quantity: each.inside for each in found})


def comparisons(plan: Plan, server: Server | MemoryReport, smoke: SmokeResult | None = None) -> Iterator[Comparison]:
    """The rows of :func:`compare`, one by one."""
    if isinstance(server, MemoryReport):
        report = server
    else:
        report = server.report
        smoke = smoke or server.smoke_result
    if plan.memory is None:
        raise InvalidInput(f"the plan says nothing to compare with: {' '.join(plan.reasons)}")
    if report.kv_cache is None and report.kv_cache_tokens is None:
        raise InvalidInput(
            "the engine has said nothing of its memory: wait until it is ready; one that was started elsewhere says it "
            "in /metrics (vLLM) or in its log"
        )
    yield from _memory_rows(plan, report)
    if smoke is not None:
        yield from _speed_rows(plan, smoke)


def _memory_rows(plan: Plan, report: MemoryReport) -> Iterator[Comparison]:
    for quantity, (planned, reported, unit) in _MEMORY.items():
        value = getattr(report, reported)
        if value is not None:
            tolerance = report.rounding if quantity in _ROUNDED else 0.0
            if quantity == "max_concurrency":
                tolerance = _CONCURRENCY_ROUNDING
            yield Comparison(quantity, unit, getattr(plan.memory, planned), value, "engine", tolerance)


def _speed_rows(plan: Plan, smoke: SmokeResult) -> Iterator[Comparison]:
    if not smoke.prompt_tokens or not smoke.completion_tokens:
        return
    expected = plan.performance(Workload(smoke.prompt_tokens, smoke.completion_tokens, concurrency=1))
    if expected is None:
        return
    seen = (
        ("ttft", "s", expected.ttft, smoke.engine_ttft or smoke.ttft),
        ("tpot", "s", expected.tpot, smoke.engine_tpot or smoke.tpot),
        ("output_tokens_per_s", "tokens/s", expected.output_tokens_per_s, smoke.tokens_per_s),
    )
    for quantity, unit, planned, value in seen:
        if value is not None:
            yield Comparison(quantity, unit, planned, value, "smoke test")
