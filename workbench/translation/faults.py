"""A fault of a manifest: where it stands, what becomes of it, and why, from ``data/engines/kubernetes_faults.csv``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from workbench.datafiles import read_rows

#: Keys and numbers that lead to a place in a document.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a manifest says and what is said of it.

    Attributes
    ----------
    path : tuple of str and int
        Where in the document; what is missing is told of what should hold it.
    given, value, becomes : str
    rule : str
        Its row in the table.
    detail : str
        What the row's sentence says ``{}`` of.
    """

    path: Path
    given: str
    value: str
    becomes: str
    rule: str
    detail: str = ""

    @property
    def status(self) -> str:
        """See ``result.STATUSES``."""
        return _rows()[self.rule]["status"]

    @property
    def text(self) -> str:
        """Why."""
        return _rows()[self.rule]["text"].replace("{}", self.detail)

    @property
    def source(self) -> str:
        """What says so."""
        return _rows()[self.rule]["source"]


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in read_rows("engines", "kubernetes_faults.csv")}
