"""nginx.conf: directives that exist, where they may stand and with as many words as they take."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.exports.checks import _programs
from workbench.exports.file import Check, File

KIND = "nginx"
#: What stands in these are words of the file's own, not directives.
_TABLES = ("map", "geo", "split_clients", "types", "charset_map")
_INCLUDED = re.compile(r"^\s*include\s+([^\s;*?\[]+);", re.MULTILINE)


def check(file: File) -> list[Check]:
    """crossplane, nginx's own project's reader of its format; what is included is left to nginx."""
    try:
        import crossplane
        from crossplane.analyzer import DIRECTIVES
    except ImportError:
        return [Check("crossplane", "unchecked", "pip install 'llm-workbench[export]'")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        path.write_text(file.text, encoding="utf-8")
        read = crossplane.parse(str(path), single=True, catch_errors=True)
        said = [str(error["error"]).replace(f" in {path}", "") for error in read["errors"]]
    # Its own strict mode takes the words of a map for directives.
    unknown = [
        f'unknown directive "{one["directive"]}":{one["line"]}'
        for one in _directives(read["config"][0]["parsed"] if read["config"] else [])
        if one["directive"] not in DIRECTIVES
    ]
    wrong = [*said, *unknown]
    return [Check("crossplane", "fail", "; ".join(wrong[:3])) if wrong else Check("crossplane", "pass")]


def ask(file: File) -> list[Check]:
    """``nginx -t``, with empty files in the place of those that are included by name, logs in a folder of its own."""
    moved = replace(file, text=file.text.replace("/var/log/nginx/", ""))
    beside = {name: "" for name in _INCLUDED.findall(file.text) if not name.startswith("/")}
    arguments = ["-t", "-p", ".", "-c", "{}", "-g", "pid nginx.pid;"]
    said = _programs.ask(moved, "nginx", arguments, "nginx -t", beside)
    if said.outcome == "fail" and "Permission denied" in said.detail:
        return [replace(said, outcome="unchecked", detail="nginx -t opens ports and folders of its own: ask as root")]
    return [said]


def _directives(block: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in block:
        if not one["directive"].startswith("#"):
            yield one
            if one["directive"] not in _TABLES:
                yield from _directives(one.get("block", []))
