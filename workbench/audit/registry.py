"""Which function computes which claim.

A function of ``computed/`` is written once for a kind of claim and named for each of its claims::

    @computes("C000-025", model="meta-llama/Llama-2-7b-hf", scheme="fp16", told=14)
    @computes("C000-026", model="meta-llama/Llama-2-7b-hf", scheme="awq", told=7)
    def size(model: str, scheme: str, told: float) -> Found:
        ...

To compute one more claim, write it there; nothing else is to be done.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import ParamSpec

from workbench.audit.rules import Found
from workbench.errors import UnknownName

P = ParamSpec("P")

_MAKERS: dict[str, Callable[[], Found]] = {}


def computes(*ids: str, **given: object) -> Callable[[Callable[P, Found]], Callable[P, Found]]:
    """Name the claims that a function computes, and what it is given for them."""

    def named(maker: Callable[P, Found]) -> Callable[P, Found]:
        for id in ids:
            if id in _MAKERS:
                raise ValueError(f"two functions compute {id}")
            _MAKERS[id] = partial(maker, **given)  # type: ignore[arg-type]
        return maker

    return named


@cache
def computable() -> Mapping[str, Callable[[], Found]]:
    """What computes each claim that is computed, by its id."""
    from workbench.audit import computed

    for module in sorted(info.name for info in pkgutil.iter_modules(computed.__path__)):
        importlib.import_module(f"{computed.__name__}.{module}")
    return MappingProxyType(dict(sorted(_MAKERS.items())))


@cache
def found(id: str) -> Found:
    """What the workbench computes for a claim; once in a process.

    Raises
    ------
    UnknownName
        For a claim that is cited, or that there is not.

    Examples
    --------
    >>> found("C002-027").value
    '131 kB'
    """
    try:
        make = computable()[id]
    except KeyError:
        raise UnknownName("computed claim", id, computable()) from None
    return make()


def found_all() -> dict[str, Found]:
    """Every computed claim; some seconds the first time."""
    return {id: found(id) for id in computable()}
