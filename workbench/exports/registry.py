"""All targets: one for each file of ``targets/*/``."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module

from workbench.errors import UnknownName
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
