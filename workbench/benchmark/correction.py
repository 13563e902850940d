"""``wb.correct``: what was measured on this machine, used for the next plans, and what that changes, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import cpu, processor
from workbench.benchmark.bench import Benchmark
from workbench.benchmark.planned import Planned, beside
from workbench.calibration.here import LearnedHere, learn_here
from workbench.errors import InvalidInput
from workbench.performance.here import keep

if TYPE_CHECKING:
    from workbench.planner import Plan

#: Of what is planned beside a load, what a correction is told by.
_TOLD = ("ttft", "tpot", "output_tokens_per_s")


@dataclass(frozen=True)
class Correction:
    """What :func:`correct` learned and changed.

    Attributes
    ----------
    learned : LearnedHere
        The constants, and how well they explain loads they were not learned from.
    kept : Path
        The user's own table, which every later plan reads.
    before, now : tuple of Planned
        The plan beside each load, before and with the constants; empty without a plan.
    """

    learned: LearnedHere
    kept: Path
    before: tuple[Planned, ...] = ()
    now: tuple[Planned, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was learned, and where it is kept."""
        here = self.learned.here
        return (
            *self.learned.sentences,
            f"Kept in {self.kept}: later plans for {here.engine} on {here.gpu} rest on it.",
        )

    @property
    def changes(self) -> tuple[str, ...]:
        """What the plan says now of the loads that were measured, in words."""
        pairs = zip(self.before, self.now, strict=True)
        return tuple(now.since(then) for then, now in pairs if now.quantity in _TOLD)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **self.learned.to_dict(),
            "kept": str(self.kept),
            "planned_before": [each.row() for each in self.before],
            "planned_now": [each.row() for each in self.now],
            "sentences": list(self.sentences),
            "changes": list(self.changes),
        }


def correct(found: Benchmark, plan: Plan | None = None) -> Correction:
    """Learn an engine's overheads on this machine from a benchmark's folder, and keep them for later plans.

    The same as ``workbench calibrate here FILE``: all loads of that engine in the folder are learned from, also
    those of other days. What is kept lies in the user's own tables, or where ``WORKBENCH_DATA`` says.

    Parameters
    ----------
    found : Benchmark
        What :func:`workbench.bench` returned when it was given ``out``.
    plan : Plan, optional
        The plan that was measured, to be told what changes of it.

    Returns
    -------
    Correction

    Raises
    ------
    InvalidInput
        There is no table, or too little in it.

    Examples
    --------
    >>> import workbench as wb
    >>> found = wb.bench("builtin", concurrency=[1, 2, 4], out="measured")     # doctest: +SKIP
    >>> print(*wb.correct(found).sentences, sep="\\n")                         # doctest: +SKIP
    """
    if found.table is None:
        raise InvalidInput(
            "there is no table to learn from: it takes a folder (out), loads at a concurrency, and the plan that the "
            "server was started by"
        )
    for each in found.results:
        if cpu.is_cpu(each.target.gpu) and each.tool.machine.get("node") and not processor.is_this(each.tool.machine):
            raise InvalidInput(
                f"the processor of {each.tool.machine['node']} was measured, which says nothing of this machine's; "
                "learn from its loads there"
            )
    before = _planned(found, plan)
    learned = learn_here(found.table, engine=found.results[0].target.engine)
    kept = keep(learned.here)
    return Correction(learned, kept, before, _planned(found, plan))


def _planned(found: Benchmark, plan: Plan | None) -> tuple[Planned, ...]:
    return () if plan is None else tuple(each for result in found.results for each in beside(plan, result))
