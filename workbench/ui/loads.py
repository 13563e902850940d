"""Loads as a page has them: what is typed as numbers, what is chosen as Python, a result as a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from workbench.benchmark.load import LoadResult, Times
from workbench.benchmark.planned import Planned
from workbench.deployment import ServiceLevel, Workload
from workbench.serving import Server
from workbench.ui.panel import Refused

#: How requests come -> the argument of ``wb.bench``.
KINDS = ("concurrency", "request_rate")
#: Fields of a service level.
ASKED = ("ttft", "tpot", "output_tokens_per_s", "percentile")
#: Loads of one benchmark; more are a typing error.
_MOST = 50


def numbers(given: Any, kind: str) -> list[float]:
    """Loads as they are typed ("1, 2 4") or listed, each once.

    >>> numbers("1, 2 4, 2", "concurrency")
    [1, 2, 4]
    >>> numbers([0.5, 2], "request_rate")
    [0.5, 2.0]
    """
    words = re.split(r"[\s,;]+", given.strip()) if isinstance(given, str) else given
    whole = kind == KINDS[0]
    said = f"Loads are {'whole numbers' if whole else 'numbers'} with commas between them, such as 1, 2, 4."
    if not isinstance(words, list) or not any(word != "" for word in words):
        raise Refused(said, "loads")
    try:
        read = [_number(word, whole) for word in words if word != ""]
    except (TypeError, ValueError):
        raise Refused(said, "loads") from None
    if len(read) > _MOST:
        raise Refused(f"At most {_MOST} loads are put on one after the other.", "loads")
    return list(dict.fromkeys(read))


def _number(word: Any, whole: bool) -> float:
    if isinstance(word, bool) or not isinstance(word, str | int | float):
        raise TypeError
    return int(word) if whole and (isinstance(word, str) or word == int(word)) else float(word)


def service_level(chosen: Mapping[str, Any]) -> ServiceLevel | None:
    """What is asked of the server; None where nothing is."""
    asked = {name: chosen[name] for name in ASKED}
    level = ServiceLevel(**asked)
    return level if any(value is not None for name, value in asked.items() if name != "percentile") else None


def row(result: LoadResult, planned: Iterable[Planned], slo: ServiceLevel | None, within: bool) -> dict[str, Any]:
    """A load for the page: times [s], rates [1/s], and the plan by quantity."""
    level = result.level
    return {
        "load": level.label,
        "at": level.concurrency if level.request_rate is None else level.request_rate,
        "ttft": _times(result.ttft),
        "tpot": _times(result.tpot),
        "itl": _times(result.itl),
        "output_tokens_per_s": result.output_tokens_per_s,
        "requests_per_s": result.requests_per_s,
        "completed": result.completed,
        "failed": result.failed,
        "broken": result.breaks(slo) if slo is not None else "",
        "within": within,
        "plan": {each.quantity: {**asdict(each.planned), "inside": each.inside} for each in planned},
    }


def _times(times: Times | None) -> dict[str, float] | None:
    return None if times is None else {"mean": times.mean, "p95": times.p95}


def is_address(text: str) -> bool:
    """Whether it is the address of a server.

    >>> is_address("http://127.0.0.1:8000"), is_address("builtin")
    (True, False)
    """
    return text.startswith(("http://", "https://"))


def named(source: Any) -> str:
    """What is measured, for people."""
    if source is None:
        return ""
    if isinstance(source, Server):
        return f"the server on {source.url}"
    return f"{source if isinstance(source, str | Path) else source.checkpoint}, started for it and stopped"


def spoken(source: Any) -> str:
    """What is measured, in Python."""
    if isinstance(source, str | Path):
        return repr(str(source))
    return "server" if source is None or isinstance(source, Server) else "plan"


def written(value: Any) -> str:
    """An argument of ``wb.bench`` as Python; of what has defaults, what differs from them.

    >>> written(Workload(64, 32, concurrency=4)), written([1, 2])
    ('wb.Workload(isl=64, osl=32)', '[1, 2]')
    """
    if not isinstance(value, Workload | ServiceLevel):
        return repr(value)
    said = {each.name: getattr(value, each.name) for each in fields(value) if each.name != "concurrency"}
    always = ("isl", "osl")
    default = type(value)()
    told = [f"{name}={each!r}" for name, each in said.items() if name in always or each != getattr(default, name)]
    return f"wb.{type(value).__name__}({', '.join(told)})"


def of(result: LoadResult, planned: Sequence[Planned]) -> tuple[Planned, ...]:
    """The plan beside one load, of a benchmark's."""
    return tuple(each for each in planned if each.load == result.level.label)
