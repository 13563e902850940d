"""How a computed value becomes a verdict: the only place where that is decided.

Numbers. A guide's figure within 5 % of the computed one is correct; within 25 % it is right in its order and
"approximately" so; else it is wrong (:data:`ROUGH`). What is defined, printed on a datasheet or follows from a formula
is right or it is not: 1 % (:data:`EXACT`). Two claims have limits of their own, each with its reason: :data:`ONE_CARD`,
:data:`OTHER_MODEL`. Where a claim gives several figures, the worst of them decides; where it gives a range for one
figure, the middle of the range is compared.

Statements. What holds is correct, what holds with something to add is "approximately" so, the rest is wrong
(:func:`statement`). A number of cards is right if it is the fewest that hold the model, "approximately" right if fewer
would do or if more than the engine's usual share of memory is needed, and wrong if they do not hold it (:func:`cards`).

Options, metrics and programs are judged by what the workbench's translation makes of them: :func:`advice`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """What the workbench computes for a claim.

    Attributes
    ----------
    value : str
        As it is shown.
    number : float or None
        The figure, where it is one.
    verdict : str
        What follows for the claim, by the rules above.
    told : float or None
        The guide's figure in the same unit.
    """

    value: str
    number: float | None
    verdict: str
    told: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a guide's figure may lie from the computed one, as a share of it, and why so far."""

    correct: float
    approximately: float
    because: str

    def __post_init__(self) -> None:
        assert 0 < self.correct <= self.approximately
        assert self.because


ROUGH = Limits(0.05, 0.25, "guides round")
EXACT = Limits(0.01, 0.01, "definitions, datasheets and formulas leave no room")
ONE_CARD = Limits(0.05, 0.10, "12 % less than it takes decides whether one L40S holds the model")
OTHER_MODEL = Limits(0.05, 0.15, "sizes given to 0.1 GB for a model by name, which are another model's")

#: From best to worst; the worst of several decides.
_ORDER = ("correct", "approximately", "outdated", "wrong")
#: What is said of a word that a release is given (``translation.result.STATUSES``), as a verdict on who advises it.
_OF_STATUS = {
    "kept": "correct",
    "default": "outdated",
    "renamed": "outdated",
    "removed": "outdated",
    "wrong": "wrong",
    "unknown": "wrong",
}


def apart(told: float, found: float) -> float:
    """How far a figure lies from the computed one, as a share of it.

    >>> round(apart(7.0, 3.889), 2)
    0.8
    """
    if not (math.isfinite(told) and math.isfinite(found)):
        return math.inf
    return abs(told - found) / abs(found) if found else (0.0 if told == 0 else math.inf)


def number(told: float, found: float, unit: str = "", *, limits: Limits = ROUGH, shown: str = "") -> Found:
    """A figure beside the computed one.

    Examples
    --------
    >>> number(14, 13.477, "GB")
    Found(value='13.5 GB', number=13.477, verdict='correct', told=14)
    >>> number(8.0, 8.5, "bits", limits=EXACT).verdict
    'wrong'
    """
    distance = apart(told, found)
    verdict = "wrong"
    if distance <= limits.correct:
        verdict = "correct"
    elif distance <= limits.approximately:
        verdict = "approximately"
    return Found(shown or f"{found:.3g} {unit}".strip(), float(found), verdict, told)


def worst(parts: Sequence[Found], shown: str = "", *, number: float | None = None) -> Found:
    """Several of one claim: the worst decides, and its figure is the claim's.

    >>> worst([Found("2.0 GB", 2.0, "correct"), Found("3 GB", 3.0, "wrong")])
    Found(value='2.0 GB, 3 GB', number=3.0, verdict='wrong', told=None)
    """
    last = max(parts, key=lambda part: _ORDER.index(part.verdict))
    text = shown or ", ".join(part.value for part in parts)
    return Found(text, last.number if number is None else number, last.verdict, last.told)


def middle(told: tuple[float, float], found: float, unit: str = "", *, shown: str = "") -> Found:
    """A range told for one figure: its middle is compared.

    >>> middle((3, 4), 2.08, "times").verdict
    'wrong'
    """
    judged = number((told[0] + told[1]) / 2, found, unit, shown=shown)
    return Found(judged.value, judged.number, judged.verdict, told[0])


def among(told: float, values: Mapping[str, float], unit: str = "") -> Found:
    """A figure for a name that several things bear: right for all, for one of them, or for none.

    >>> among(1935, {"PCIe": 1935, "SXM": 2039}, "GB/s").verdict
    'approximately'
    """
    right = [apart(told, value) <= ROUGH.correct for value in values.values()]
    verdict = "correct" if all(right) else "approximately" if any(right) else "wrong"
    return Found(", ".join(f"{value:.4g} {unit} ({name})" for name, value in values.items()), None, verdict, told)


def statement(right: bool, shown: str, *, but: bool = False, number: float | None = None) -> Found:
    """What is said holds, holds with something to add, or does not hold.

    >>> statement(True, "one card", but=True).verdict
    'approximately'
    """
    verdict = ("approximately" if but else "correct") if right else "wrong"
    return Found(shown, number, verdict)


def cards(told: int, fewest: int | None, shown: str = "", *, stretched: bool = False) -> Found:
    """A number of cards beside the fewest that hold the model.

    Parameters
    ----------
    told : int
    fewest : int or None
        None where no number does.
    stretched : bool
        Whether it takes more than the engine's usual share of memory.

    Examples
    --------
    >>> cards(4, 1).verdict, cards(2, 4).verdict, cards(4, 4).verdict
    ('approximately', 'wrong', 'correct')
    """
    right = fewest is not None and told >= fewest
    text = shown or ("does not fit" if fewest is None else f"{fewest} card{'s' * (fewest != 1)}")
    judged = statement(right, text, but=stretched or told != fewest, number=None if fewest is None else float(fewest))
    return Found(judged.value, judged.number, judged.verdict, float(told))


def advice(statuses: Sequence[str], shown: str) -> Found:
    """Words of a command, query or file, by what a release makes of them: what is not simply kept is outdated or wrong.

    >>> advice(["kept", "renamed"], "vllm serve").verdict
    'outdated'
    """
    verdict = max((_OF_STATUS[status] for status in statuses), key=_ORDER.index)
    return Found(shown, None, verdict)
