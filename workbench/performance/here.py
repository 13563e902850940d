"""Constants learned on this machine: the user's own ``performance.csv``, kept by ``workbench calibrate here``.

They hold for the engine's release and the models they were learned on. For another release or model they are the better
guess, and no more certain than the table's.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from workbench.datafiles import own_path, rows_as_text, write_whole
from workbench.deployment import Deployment
from workbench.errors import InvalidInput
from workbench.hardware import GPU
from workbench.performance.constants import Overheads, overheads, read, row

TABLE = "performance.csv"
#: What such constants rest on.
BASIS = "measured here"


@dataclass(frozen=True, slots=True)
class Here:
    """What was learned of an engine on a card of this machine.

    Attributes
    ----------
    engine, gpu : str
        As a Deployment says them.
    engine_version : str
        The release that was measured.
    parameters : frozenset of int
        Sizes of the models that were measured.
    overheads : Overheads
        The constants, basis :data:`BASIS`.
    source : str
        What it was learned from.
    """

    engine: str
    gpu: str
    engine_version: str
    parameters: frozenset[int]
    overheads: Overheads
    source: str

    def applied(self, general: Overheads, version: str | None, parameters: int) -> Overheads:
        """The constants for a release and a model.

        What was measured is certain as it was measured; for another release or model the spreads and the basis are
        at least the table's.
        """
        same = version is None or _series(version) == _series(self.engine_version)
        if same and parameters in self.parameters:
            return self.overheads
        names = ("spread_tpot", "spread_ttft", "spread_rate")
        wider = {name: max(getattr(self.overheads, name), getattr(general, name)) for name in names}
        return replace(self.overheads, **wider, basis=general.basis)

    def row(self) -> dict[str, str]:
        """As the table has it."""
        sizes = " ".join(str(each) for each in sorted(self.parameters))
        known = {"engine": self.engine, "gpu": self.gpu, "engine_version": self.engine_version, "parameters": sizes}
        return {**known, **row(self.overheads), "source": self.source}


def _series(version: str) -> tuple[str, ...]:
    """The release without its last number: fixes change no constant.

    >>> _series("0.32.1") == _series("0.32.0")
    True
    """
    return tuple(version.split("+")[0].split(".")[:2])


def constants(deployment: Deployment, card: GPU, parameters: int) -> Overheads:
    """What is known of an engine on a card: learned on this machine, if anything was, else the table's.

    Parameters
    ----------
    deployment : Deployment
        Its engine and release; a release that is not stated is the one that runs here.
    card : GPU
    parameters : int
        The model's size, by which it is known again whatever it is called.
    """
    general = overheads(deployment.engine, card)
    here = learned(deployment.engine, card.name)
    return general if here is None else here.applied(general, deployment.engine_version, parameters)


def learned(engine: str, gpu: str) -> Here | None:
    """What is known of an engine on a card of this machine; None where nothing was learned."""
    return _rows().get((engine, gpu))


def keep(found: Here) -> Path:
    """Add to the user's own table, in place of what it had of that engine and card.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    InvalidInput
        If it cannot be written.
    """
    return _write({**_rows(), (found.engine, found.gpu): found})


def forget(engine: str, gpu: str) -> bool:
    """Take one row out of the user's own table; whether there was one."""
    rows = dict(_rows())
    gone = rows.pop((engine, gpu), None)
    if gone is not None:
        _write(rows)
    return gone is not None


def _rows() -> dict[tuple[str, str], Here]:
    path = own_path(TABLE)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:  # nothing was ever learned here
        return {}
    return _read(path, stamp)


@cache
def _read(path: Path, stamp: int) -> dict[tuple[str, str], Here]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                Here(
                    each["engine"],
                    each["gpu"],
                    each["engine_version"],
                    frozenset(int(size) for size in each["parameters"].split()),
                    read(each),
                    each["source"],
                )
                for each in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is damaged ({error}); remove it and calibrate again") from error
    return {(each.engine, each.gpu): each for each in rows}


def _write(rows: dict[tuple[str, str], Here]) -> Path:
    path = own_path(TABLE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error
    write_whole(path, rows_as_text([each.row() for each in rows.values()]))
    return path
