"""What was planned beside what a load measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.benchmark.load import LoadResult
from workbench.quantities import Estimate, show_seconds

if TYPE_CHECKING:
    from workbench.planner import Plan


@dataclass(frozen=True)
class Planned:
    """One quantity of one load.

    Attributes
    ----------
    load, quantity, unit : str
        The load in words; "ttft", "tpot" … in seconds, "output_tokens_per_s" in tokens/s.
    planned : Estimate
    measured : float
    """

    load: str
    quantity: str
    unit: str
    planned: Estimate
    measured: float

    @property
    def inside(self) -> bool:
        """Whether the planned 90 % interval holds what was measured."""
        return self.planned.low <= self.measured <= self.planned.high

    @property
    def error(self) -> float:
        """(planned − measured) / measured [-]."""
        return (self.planned.value - self.measured) / self.measured

    @property
    def sentence(self) -> str:
        """In words.

        >>> Planned("2 at a time", "tpot", "s", Estimate(0.01, 0.008, 0.015, "roofline"), 0.02).sentence
        'TPOT at 2 at a time: planned 10 ms (8 ms to 15 ms), measured 20 ms: outside the interval, slower than planned.'
        """
        show = self.show
        if self.inside:
            verdict = "inside the interval"
        else:
            above = self.measured > self.planned.high
            verdict = f"outside the interval, {'slower' if above == (self.unit == 's') else 'faster'} than planned"
        seen = f"measured {show(self.measured)}: {verdict}"
        return f"{self.title} at {self.load}: planned {show(self.planned.value)} {self._interval}, {seen}."

    def since(self, before: Planned) -> str:
        """What a correction changed, in words.

        >>> then = Planned("2 at a time", "tpot", "s", Estimate(0.01, 0.008, 0.015, "roofline"), 0.02)
        >>> replace(then, planned=Estimate(0.019, 0.018, 0.022, "measured here")).since(then)
        'TPOT at 2 at a time: planned 10 ms before and 19 ms (18 ms to 22 ms) now, measured 20 ms.'
        """
        show = self.show
        now = f"{show(self.planned.value)} {self._interval}"
        then = show(before.planned.value)
        return f"{self.title} at {self.load}: planned {then} before and {now} now, measured {show(self.measured)}."

    @property
    def title(self) -> str:
        """The quantity as people call it."""
        return _TITLES[self.quantity]

    def show(self, value: float) -> str:
        """A value of this quantity as people read it."""
        return show_seconds(value) if self.unit == "s" else f"{value:,.1f} {self.unit}"

    @property
    def _interval(self) -> str:
        return f"({self.show(self.planned.low)} to {self.show(self.planned.high)})"

    def row(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "load": self.load,
            "quantity": self.quantity,
            "unit": self.unit,
            "planned": self.planned.value,
            "low": self.planned.low,
            "high": self.planned.high,
            "basis": self.planned.basis,
            "measured": self.measured,
            "error": self.error,
            "inside": self.inside,
            "sentence": self.sentence,
        }


_TITLES = {
    "ttft": "TTFT",
    "tpot": "TPOT",
    "output_tokens_per_s": "Throughput",
    "ttft_p95": "95th percentile of TTFT",
    "tpot_p95": "95th percentile of TPOT",
    "itl_p99": "99th percentile of ITL",
}


def beside(plan: Plan, result: LoadResult) -> Iterator[Planned]:
    """The plan's speed under the load that really came: its lengths as measured, its prefix hits as asked for.

    Nothing comes of a plan that says nothing of speed.
    """
    lengths = {"isl": max(round(result.isl), 1), "osl": max(round(result.osl), 1)}
    expected = plan.performance(replace(result.level.planned(), **lengths))  # type: ignore[arg-type,unused-ignore]
    if expected is None:
        return
    seen = (
        ("ttft", "s", result.ttft.mean),
        ("tpot", "s", result.tpot.mean if result.tpot else None),
        ("output_tokens_per_s", "tokens/s", result.output_tokens_per_s),
        ("ttft_p95", "s", result.ttft.p95),
        ("tpot_p95", "s", result.tpot.p95 if result.tpot else None),
        ("itl_p99", "s", result.itl.p99 if result.itl else None),
    )
    for quantity, unit, measured in seen:
        estimate: Estimate | None = getattr(expected, quantity)
        if estimate is not None and measured is not None:
            yield Planned(result.level.label, quantity, unit, estimate, measured)


def agreement(figures: Sequence[Planned]) -> str:
    """How many figures of a plan held, in words; empty where none was planned.

    >>> then = Planned("2 at a time", "tpot", "s", Estimate(0.01, 0.008, 0.015, "roofline"), 0.02)
    >>> agreement([then, replace(then, measured=0.01)])
    '1 of 2 planned figures lies inside its 90 % interval.'
    """
    if not figures:
        return ""
    held = sum(each.inside for each in figures)
    lie = "lies inside its" if held == 1 else "lie inside their"
    return f"{held} of {len(figures)} planned figures {lie} 90 % interval{'' if held == 1 else 's'}."
