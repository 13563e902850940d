"""Learn an engine's overheads on this machine from a few loads that were put on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.calibration.overheads import PRIORS, Floats, errors, fit, samples
from workbench.errors import InvalidInput
from workbench.evidence import latency
from workbench.evidence.rows import cell, read_rows
from workbench.performance.constants import Overheads, overheads
from workbench.performance.here import BASIS, Here

#: Fewer say nothing about how well they explain one another.
FEWEST = 3
#: By what factor the table's constants may be wrong (one sigma, as a logarithm) where they are orders of magnitude.
_UNKNOWN = 1.0
#: How many measurements a belief weighs: little, for what is measured here is this machine.
_STRENGTH = 0.1
#: Measurements are never explained better than they can be repeated.
_REPEATABLE = 0.02


@dataclass(frozen=True)
class LearnedHere:
    """What was learned, and what it mends.

    Attributes
    ----------
    here : Here
    before, after : dict
        "tpot" and "ttft" -> median absolute relative error of the table's constants, and of the new ones with each load
        left out in turn [-].
    rows : int
        Loads it was learned from.
    level : float
        Share of further loads that the spreads are to hold [-].
    """

    here: Here
    before: dict[str, float]
    after: dict[str, float]
    rows: int
    level: float = 0.9

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was learned, in words."""
        here = self.here
        engine = f"{here.engine} {here.engine_version}".rstrip()  # only vLLM says its release
        said = [f"{engine} on {here.gpu}, learned from {self.rows} loads."]
        for name in ("tpot", "ttft"):
            factor = 1 + getattr(here.overheads, f"spread_{name}")
            said.append(
                f"{name.upper()}: {self.before[name]:.0%} off (median) before, {self.after[name]:.0%} with each load "
                f"left out; {self.level:.0%} of further loads within a factor {factor:.2f}."
            )
            if self.after[name] > self.before[name]:
                said.append(f"{name.upper()} is foretold worse than before: measure more loads, and learn again.")
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"row": self.here.row(), "before": self.before, "after": self.after, "rows": self.rows}


def learn_here(
    rows: str | Path | Sequence[dict[str, str]],
    models: str | Path | None = None,
    *,
    engine: str = "",
    level: float = 0.9,
) -> LearnedHere:
    """Fit an engine's overheads on one card of this machine.

    The spreads are those within which a load that was not learned from lies with probability ``level``: each load is
    left out in turn, and its errors are taken for Student's t, since there are few.

    Parameters
    ----------
    rows : path or sequence of dict
        Loads with the columns of serving benchmarks, as ``workbench bench --out`` keeps them; of one card, and of one
        engine unless ``engine`` says which.
    models : path, optional
        Configurations besides the bundled ones, as for ``workbench validate latency``; by default the folder
        ``models`` beside the file, where ``workbench bench`` keeps them.
    engine : str
        In a Deployment's word.
    level : float

    Returns
    -------
    LearnedHere

    Raises
    ------
    InvalidInput
        If the rows are too few, or of several engines or cards.

    Notes
    -----
    The half-width is t·s·√(1 + 1/n) in logarithms, with n loads and s the root of their mean squared error: the
    prediction interval of one more observation (Hahn and Meeker, Statistical Intervals, 1991, section 4.7).
    """
    from scipy.stats import t as student  # type: ignore[import-untyped,unused-ignore]

    given = read_rows(rows) if isinstance(rows, str | Path) else list(rows)
    if models is None and isinstance(rows, str | Path) and (beside := Path(rows).parent / "models").is_dir():
        models = beside
    given = [row for row in given if not engine or latency.engine_of(row) == engine]
    which = _one(given, "engine", [latency.engine_of(row) for row in given])
    held = [sample for row in given for sample in samples([row], models, which)]
    if len(held) < FEWEST:
        raise InvalidInput(
            f"{len(held)} of {len(given)} loads can be planned; at least {FEWEST} are needed to learn from"
        )
    cards = {sample.setup.card.name: sample.setup.card for sample in held}
    card = cards[_one(held, "card", [sample.setup.card.name for sample in held])]
    versions = [cell(row, "engine_version") for row in given]
    start = overheads(which, card)
    believed = _believed(start)
    found = fit(held, start, believed, strength=_STRENGTH)
    left_out: dict[str, list[Floats]] = {"tpot": [], "ttft": []}
    for at, sample in enumerate(held):
        others = fit([*held[:at], *held[at + 1 :]], start, believed, strength=_STRENGTH, guess=found)
        for name, each in errors([sample], others).items():
            left_out[name].append(each)
    missed = {name: _finite(each) for name, each in left_out.items()}
    spreads = {name: _spread(each, level, student) for name, each in missed.items()}
    constants = replace(
        found,
        spread_tpot=spreads["tpot"],
        spread_ttft=spreads["ttft"],
        spread_rate=max(spreads.values()),  # of a rate, both times count
        basis=BASIS,
    )
    sizes = frozenset(sample.setup.model.parameters for sample in held)
    name = Path(rows).name if isinstance(rows, str | Path) else "loads"
    here = Here(which, card.name, max(versions), sizes, constants, f"{name}: {len(held)} loads")
    before = errors(held, start)
    return LearnedHere(
        here,
        {name: _median(_finite([each])) for name, each in before.items()},
        {name: _median(each) for name, each in missed.items()},
        len(held),
        level,
    )


def _believed(start: Overheads) -> dict[str, tuple[float, float]]:
    """The table's constants, and how far off each may be: on a card nobody measured, all of them."""
    wide = start.basis not in ("measured", "calibrated")
    return {
        name: (getattr(start, name), max(sigma, _UNKNOWN) if wide else sigma) for name, (_, sigma) in PRIORS.items()
    }


def _one(of: Sequence[Any], what: str, names: Sequence[str]) -> str:
    found = sorted(set(names))
    if not of:
        raise InvalidInput("there are no loads to learn from")
    if len(found) > 1:
        raise InvalidInput(f"the loads are of several {what}s ({', '.join(found)}); give those of one")
    return found[0]


def _finite(each: Sequence[Floats]) -> Floats:
    joined = np.concatenate(each)
    return joined[np.isfinite(joined)]


def _spread(missed: Floats, level: float, student: Any) -> float:
    """1 + spread is the factor that one more measurement lies within."""
    n = missed.size
    if n < 2:
        return math.inf
    deviation = max(float(np.sqrt(np.mean(missed**2))), _REPEATABLE)
    return float(np.expm1(student.ppf(0.5 + level / 2, n - 1) * deviation * math.sqrt(1 + 1 / n)))


def _median(missed: Floats) -> float:
    return float(np.median(np.abs(np.expm1(missed)))) if missed.size else math.nan
