"""One file per engine: a ``SERVER`` (:class:`workbench.exports.server.Server`); :func:`server` finds it."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from workbench.errors import UnknownName
from workbench.exports.server import Server


@cache
def _all_servers() -> dict[str, Server]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    found = (import_module(f"{__name__}.{name}").SERVER for name in names)
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
