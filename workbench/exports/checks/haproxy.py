"""haproxy.cfg. No library owns the format: within this process only its frame is looked at."""

from __future__ import annotations

import re
import shlex

from workbench.exports.checks import _programs
from workbench.exports.file import Check, File

KIND = "haproxy"
_READER = "frame (our own look; haproxy -c reads it whole)"
_SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "cache", "http-errors")
_FILES = re.compile(r"\bmap(?:_[a-z]+)?\(([^,()]+)")


def check(file: File) -> list[Check]:
    """Whether quotes close, lines stand in sections, backends that are named are there, and all have their timeouts."""
    wrong: list[str] = []
    sections: dict[tuple[str, str], list[list[str]]] = {}
    here: list[list[str]] | None = None
    for number, line in enumerate(file.text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
            continue
        if not words:
            continue
        if line[0] not in " \t":
            if words[0] not in _SECTIONS:
                wrong.append(f"line {number}: {words[0]} is no section")
            here = sections.setdefault((words[0], words[1] if len(words) > 1 else ""), [])
        elif here is None:
            wrong.append(f"line {number}: stands in no section")
        else:
            here.append(words)
    known = {name for kind, name in sections if kind in ("backend", "listen")}
    for (kind, name), lines in sections.items():
        named = {words[1] for words in lines if words[0] in ("default_backend", "use_backend") and len(words) > 1}
        wrong += [f"{kind} {name}: there is no backend {other}" for other in sorted(named - known)]
        if kind in ("frontend", "listen") and not any(words[0] == "bind" for words in lines):
            wrong.append(f"{kind} {name}: nothing is bound")
    timeouts = {words[1] for lines in sections.values() for words in lines if words[0] == "timeout" and len(words) > 1}
    wrong += [f"timeout {name} is not set" for name in ("client", "connect", "server") if name not in timeouts]
    return [Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")]


def ask(file: File) -> list[Check]:
    """``haproxy -c``, with empty files in the place of its maps."""
    beside = {name: "" for name in _FILES.findall(file.text) if not name.startswith("/")}
    return [_programs.ask(file, "haproxy", ["-c", "-f", "{}"], "haproxy -c", beside)]
