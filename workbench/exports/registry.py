"""All targets and servers: one for each file of ``targets/*/`` and ``servers/``."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module

from workbench.errors import UnknownName
from workbench.exports import checks as _checks
from workbench.exports import servers as _servers
from workbench.exports.file import Check, File
from workbench.exports.server import Server
from workbench.exports.target import Target

#: Folder of ``targets/`` -> its heading, in the order of the bundle.
GROUPS = {
    "engine": "The engine alone",
    "client": "Clients",
    "docker": "Docker",
    "kubernetes": "Kubernetes",
    "cluster": "Several machines",
    "proxy": "In front of it",
    "monitoring": "Monitoring",
}


@cache
def targets() -> dict[str, Target]:
    """Every target by its id, group by group."""
    found: dict[str, Target] = {}
    for group in GROUPS:
        package = import_module(f"workbench.exports.targets.{group}")
        names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
        made: list[Target] = [import_module(f"{package.__name__}.{name}").TARGET for name in names]
        for target in sorted(made, key=lambda target: target.instead):
            found[target.id] = replace(target, group=group)
    return found


def find(ids: Iterable[str]) -> list[Target]:
    """Targets by their ids or groups, in the order of the bundle.

    Raises
    ------
    UnknownName
        For an id that there is not.
    """
    known, asked = targets(), list(ids)
    for id in asked:
        if id not in known and id not in GROUPS:
            raise UnknownName("target", id, [*known, *GROUPS])
    return [target for target in known.values() if target.id in asked or target.group in asked]


@cache
def _all_servers() -> dict[str, Server]:
    names = (module.name for module in pkgutil.iter_modules(_servers.__path__))
    found = (import_module(f"{_servers.__name__}.{name}").SERVER for name in names)
    return {server.engine: server for server in found}


def server(engine: str) -> Server:
    """An engine's server.

    Raises
    ------
    UnknownName
        For an engine that nothing is exported for.
    """
    if engine not in _all_servers():
        raise UnknownName("engine to export", engine, _all_servers())
    return _all_servers()[engine]


@cache
def _readers() -> dict[str, tuple[Callable[[File], list[Check]], Callable[[File], list[Check]] | None]]:
    found = {}
    for module in pkgutil.iter_modules(_checks.__path__):
        if not module.name.startswith("_"):
            loaded = import_module(f"{_checks.__name__}.{module.name}")
            found[loaded.KIND] = (loaded.check, getattr(loaded, "ask", None))
    return found


def check(file: File, *, programs: bool = False) -> list[Check]:
    """What the readers of a file's kind say of it.

    Parameters
    ----------
    programs : bool
        Whether programs of this machine are asked besides (``nginx -t``, ``promtool``), where they are installed.

    Raises
    ------
    UnknownName
        For a kind that nothing reads.
    """
    if file.kind not in _readers():
        raise UnknownName("kind of file", file.kind, _readers())
    inside, outside = _readers()[file.kind]
    return [*inside(file), *(outside(file) if programs and outside else [])]
