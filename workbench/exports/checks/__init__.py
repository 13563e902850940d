"""One file per kind of file: ``KIND``, ``check(file)`` within this process, and where a program reads it ``ask(file)``.

Both return :class:`workbench.exports.file.Check` items and raise nothing for what a file holds.
:func:`check` asks what reads a file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

from workbench.errors import UnknownName
from workbench.exports.file import Check, File


@cache
def _readers() -> dict[str, tuple[Callable[[File], list[Check]], Callable[[File], list[Check]] | None]]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            loaded = import_module(f"{__name__}.{module.name}")
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
