"""Workloads to start from, each with its source: ``data/workloads.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from workbench.datafiles import read_rows
from workbench.deployment import Workload
from workbench.errors import UnknownName

#: What makes requests alike; how many are in flight is the reader's own to set.
SHAPE = ("isl", "osl", "isl_cv", "osl_cv", "prefix_hit")


@dataclass(frozen=True, slots=True)
class Preset:
    """A workload with a name.

    Attributes
    ----------
    id, title : str
        The name in tables and the name people read.
    workload : Workload
    assumed : tuple of str
        Fields of the workload that no source gives.
    origin : str
        Where the others come from, in a few words.
    source, date : str
        The same so that it can be looked up, and when it was read.
    """

    id: str
    title: str
    workload: Workload
    assumed: tuple[str, ...]
    origin: str
    source: str
    date: str


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by id, in the table's order.

    >>> list(presets())
    ['chat', 'rag', 'code', 'agents', 'batch']
    """
    return MappingProxyType({row["id"]: _preset(row) for row in read_rows("workloads.csv")})


def preset(name: str) -> Preset:
    """One preset.

    Raises
    ------
    UnknownName
        If there is none of that id.

    Examples
    --------
    >>> preset("chat").workload.isl
    1155
    """
    if name not in presets():
        raise UnknownName("workload", name, presets())
    return presets()[name]


def matching(workload: Workload) -> Preset | None:
    """The preset whose requests are the same; None for a workload of one's own.

    >>> matching(Workload(2048, 28, 5, isl_cv=0.96, osl_cv=2.15)).id
    'code'
    """
    for each in presets().values():
        if all(getattr(workload, name) == getattr(each.workload, name) for name in SHAPE):
            return each
    return None


def longest_request(workload: Workload) -> int:
    """Tokens that hold nearly every request: mean and two standard deviations of its input and output.

    >>> longest_request(Workload(1000, 200, isl_cv=0.5, osl_cv=1.0))
    2600
    """
    isl, osl = workload.isl * (1 + 2 * workload.isl_cv), workload.osl * (1 + 2 * workload.osl_cv)
    return round(isl + osl)


def _preset(row: Mapping[str, str]) -> Preset:
    workload = Workload(
        isl=int(row["isl"]),
        osl=int(row["osl"]),
        concurrency=int(row["concurrency"]),
        isl_cv=float(row["isl_cv"]),
        osl_cv=float(row["osl_cv"]),
        prefix_hit=float(row["prefix_hit"]),
    )
    assumed = tuple(row["assumed"].split())
    return Preset(row["id"], row["title"], workload, assumed, row["origin"], row["source"], row["date"])
