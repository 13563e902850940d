"""What a check is, and how the files of ``items/`` become the list."""

from __future__ import annotations

import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from workbench.checklist.finding import Finding
from workbench.errors import UnknownName

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection

#: Folder of ``items/`` -> its heading, in the order of the report.
STAGES: dict[str, str] = {
    "model": "Model choice and optimisation",
    "performance": "Performance",
    "service": "Serving",
    "security": "Security and privacy",
    "monitoring": "Monitoring and operation",
    "kpis": "Key figures",
    "alerts": "Alerts",
}
#: When a check looks: many at once, while the load is measured, or last, since it exhausts the rate limit.
Turn = Literal["look", "measure", "exhaust"]
TURNS: tuple[Turn, ...] = ("look", "measure", "exhaust")

Look = Callable[["Inspection"], Awaitable[Finding]]


async def _nothing(_: Inspection) -> Finding:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Check:
    """One item of the list.

    Parameters
    ----------
    id, title : str
        Short name; what people read.
    item : str
        What the list asks.
    prove : str
        How to prove it, where nothing was given that could.
    turn : {"look", "measure", "exhaust"}
        When it looks.
    stage : str
        Its folder, set by the registry.
    look : callable
        Gathers the evidence; set by the registry from the file's function of that name.
    """

    id: str
    title: str
    item: str
    prove: str
    turn: Turn = "look"
    stage: str = ""
    look: Look = _nothing

    @property
    def name(self) -> str:
        """``stage.id``, which no two share."""
        return f"{self.stage}.{self.id}"


@cache
def checks() -> dict[str, Check]:
    """Every check by name, stage by stage: one for each file of ``items/``, in the order their stage lists them."""
    found: dict[str, Check] = {}
    for stage in STAGES:
        package = import_module(f"workbench.checklist.items.{stage}")
        modules = [import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
        order: tuple[str, ...] = package.ORDER
        listed = [replace(module.CHECK, stage=stage, look=module.look) for module in modules]
        # A file the order does not name comes last: adding a check is adding a file.
        listed.sort(key=lambda check: order.index(check.id) if check.id in order else len(order))
        found |= {check.name: check for check in listed}
    return found


def choose(names: object) -> dict[str, Check]:
    """The checks that are named: ``stage.id``, an id alone, or a whole stage; all for None.

    Raises
    ------
    UnknownName
        There is none of that name.
    """
    every = checks()
    if names is None:
        return every
    wanted = [names] if isinstance(names, str) else list(names)  # type: ignore[call-overload]
    chosen: dict[str, Check] = {}
    for name in wanted:
        match = {n: c for n, c in every.items() if name in (n, c.id, c.stage)}
        if not match:
            raise UnknownName("check", str(name), every, "`workbench readiness --list` shows all")
        chosen |= match
    return {name: check for name, check in every.items() if name in chosen}
