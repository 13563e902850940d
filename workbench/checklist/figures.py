"""The figures that decide: by profile from ``data/readiness.csv``, changed by a file or by arguments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workbench.checklist.finding import Evidence, bad, doubt, good
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName

#: Workloads that targets are known for; columns of the table.
PROFILES = ("chat", "batch")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One figure that decides.

    Parameters
    ----------
    name, unit : str
        Its name, and its unit.
    better : {"low", "high"}
        On which side of it all is well.
    value : float
        The figure itself.
    margin : float
        How far it may be missed with a warning only, as a ratio; 1 means not at all.
    doc, source : str
        What it is, and where it comes from.
    """

    name: str
    unit: str
    better: str
    value: float
    margin: float
    doc: str
    source: str

    @property
    def words(self) -> str:
        """As people read it.

        >>> Threshold("ttft", "s", "low", 0.5, 2.0, "", "").words
        'at most 500 ms'
        """
        return f"at {'most' if self.better == 'low' else 'least'} {show(self.value, self.unit)}"

    def judge(self, asked: str, measured: float, mend: str, *, said: str = "") -> Evidence:
        """Evidence for or against, from a measured value [in the threshold's unit]."""
        if not math.isfinite(measured):
            return bad(asked, f"no figure came out of it, {self.words} is asked", mend)
        text = f"{said or show(measured, self.unit)}, {self.words} is asked"
        ratio = measured / self.value if self.better == "low" else self.value / max(measured, 1e-12)
        if ratio <= 1:
            return good(asked, text)
        return doubt(asked, text, mend) if ratio <= self.margin else bad(asked, text, mend)


def show(value: float, unit: str) -> str:
    """A figure with its unit.

    >>> show(0.0123, "s"), show(0.92, "share"), show(1000, "tokens/s")
    ('12.3 ms', '92 %', '1,000 tokens/s')
    """
    if unit == "s" and value < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "share":
        return f"{value * 100:.4g} %"
    text = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


class Thresholds(Mapping[str, Threshold]):
    """All figures of a profile, by name."""

    def __init__(self, profile: str, rows: Mapping[str, Threshold]) -> None:
        self.profile = profile
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> Threshold:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def value(self, name: str) -> float:
        """The figure itself, in its unit."""
        return self._rows[name].value


@cache
def _defaults(profile: str) -> dict[str, Threshold]:
    return {
        row["name"]: Threshold(
            row["name"], row["unit"], row["better"], float(row[profile]), float(row["margin"]), row["doc"],
            row["source"],
        )
        for row in read_rows("readiness.csv")
    }  # fmt: skip


def thresholds(
    profile: str = "chat",
    changes: Mapping[str, Any] | None = None,
    file: str | Path | None = None,
) -> Thresholds:
    """The figures of a profile, changed first by a file and then by arguments.

    Parameters
    ----------
    profile : {"chat", "batch"}
        Kind of workload.
    changes : mapping, optional
        Name to value, in the table's unit.
    file : path, optional
        The same as YAML or JSON.

    Raises
    ------
    UnknownName
        There is no such profile or figure.
    InvalidInput
        A value is no positive number, or the file is no mapping.
    """
    from workbench.checklist.subject import read_documents

    if profile not in PROFILES:
        raise UnknownName("profile", str(profile), PROFILES, f"one of {', '.join(PROFILES)}")
    rows = dict(_defaults(profile))
    given: dict[str, Any] = {}
    if file:
        documents = read_documents(Path(file).expanduser())
        if len(documents) != 1 or not isinstance(documents[0], dict):
            raise InvalidInput(f"{file} is not one mapping of a threshold's name to its value")
        given |= documents[0]
    given |= dict(changes or {})
    for name, value in given.items():
        if name not in rows:
            raise UnknownName("threshold", str(name), rows, "`workbench readiness --list` shows all")
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise InvalidInput(f"the threshold {name} is {value!r}; a number is needed") from None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InvalidInput(f"the threshold {name} is {value!r}; a number above 0 is needed [{rows[name].unit}]")
        before = rows[name]
        rows[name] = Threshold(name, before.unit, before.better, float(value), before.margin, before.doc, "given")
    return Thresholds(profile, rows)
