"""Vector's configuration: how its parts hang together, and each program in Vector's own language."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from workbench.exports.checks import _programs, yaml
from workbench.exports.file import Check, File

KIND = "vector"
_READER, _LANGUAGE = "frame (our own look; vector validate reads it whole)", "VRL, compiled by pyvrl"


def check(file: File) -> list[Check]:
    """Parts have types, inputs are there, everything is sent somewhere; programs compile."""
    readable = yaml.readable(file)
    if readable.outcome != "pass":
        return [readable]
    said = yaml.documents(file.text)[0]
    if not isinstance(said, dict):
        return [readable, Check(_READER, "fail", "it is no mapping")]
    wrong = list(_wrong(said))
    frame = Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")
    programs = {
        name: str(part.get("source", ""))
        for name, part in (said.get("transforms") or {}).items()
        if part.get("type") == "remap"
    }
    return [readable, frame, _compiled(programs)]


def _wrong(said: dict[str, Any]) -> Iterator[str]:
    sources, transforms, sinks = (said.get(name) or {} for name in ("sources", "transforms", "sinks"))
    if not sources or not sinks:
        yield "it needs sources and sinks"
    known, used = {*sources, *transforms}, set()
    for name, part in {**sources, **transforms, **sinks}.items():
        if not part.get("type"):
            yield f"{name} has no type"
    for name, part in {**transforms, **sinks}.items():
        inputs = part.get("inputs") or []
        used |= set(inputs)
        if not inputs:
            yield f"{name} has no inputs"
        yield from (f"{name}: there is no {other}" for other in inputs if other not in known)
    yield from (f"nobody takes what {name} gives" for name in sorted(known - used))


def _compiled(programs: dict[str, str]) -> Check:
    try:
        import pyvrl  # noqa: F401
    except ImportError:
        return Check(_LANGUAGE, "unchecked", "pip install 'llm-workbench[export]'")
    for name, program in programs.items():
        if wrong := _compile(program):
            return Check(_LANGUAGE, "fail", f"{name}: {wrong}")
    return Check(_LANGUAGE, "pass")


@cache
def _compile(program: str) -> str:
    """What is wrong with a program; "" if nothing is."""
    from pyvrl import Transform

    try:
        Transform(program)
    except ValueError as error:
        return " ".join(str(error).split())[:300]
    return ""


def ask(file: File) -> list[Check]:
    """``vector validate``, without asking whether what it reads and writes to is there."""
    return [_programs.ask(file, "vector", ["validate", "--no-environment", "{}"], "vector validate")]
