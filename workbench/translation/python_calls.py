"""Calls of other tools in Python that another takes the place of, by ``data/engines/moved_calls.csv``; none is run."""

from __future__ import annotations

import ast
import re
from functools import cache

from workbench.datafiles import read_rows
from workbench.translation.moved import Made
from workbench.translation.pasted import Lines
from workbench.translation.python_text import closed
from workbench.translation.result import Change, Part

#: Longer calls are none of these.
_LONGEST = 20_000


@cache
def _rows() -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in read_rows("engines", "moved_calls.csv"):
        found.setdefault(row["call"], {})[row["argument"]] = row
    return found


@cache
def _call() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in _rows())
    return re.compile(rf"(?<![\w.])({names})[ \t]*+\(")


def parts(text: str, start: int, end: int, lines: Lines, made: Made) -> list[Part]:
    """Each such call of a text in the words of what took its place.

    Parameters
    ----------
    text : str
    start, end : int
        The part that is read.
    lines : Lines
    made : Made
        What commands of the text made: a folder of an engine is the checkpoint that it came of.
    """
    found, at = [], start
    budget = 2 * (end - start) + _LONGEST  # brackets that never close would be looked for again and again
    while budget > 0 and (call := _call().search(text, at, end)) is not None:
        close = closed(text, call.end() - 1, min(end, call.end() + _LONGEST))
        budget -= (close or min(end, call.end() + _LONGEST)) - call.start()
        at = close or call.end()
        if close is not None and (part := _part(text, call, close, lines, made)) is not None:
            found.append(part)
    return found


def _part(text: str, call: re.Match[str], close: int, lines: Lines, made: Made) -> Part | None:
    try:
        tree = ast.parse(text[call.start() : close], mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    if not isinstance(tree, ast.Call):
        return None
    rows = _rows()[call[1]]
    own = rows[""]
    place = (lines[call.start()], call.start(), close)
    changes = [Change(call[1], "", own["status"], own["becomes"], own["text"], own["source"], *place)]
    positional: dict[int, str] = {}
    named: dict[str, str] = {}
    given = [(str(number), value) for number, value in enumerate(tree.args)]
    given += [(word.arg, word.value) for word in tree.keywords if word.arg]
    for name, node in given:
        value = ast.unparse(node)
        row = rows.get(name)
        if row is None:
            why = f"{own['becomes']} has no such argument"
            changes.append(Change(name, value, "unknown", "", why, own["source"], *place))
            continue
        if isinstance(node, ast.Constant) and node.value in made.folders:
            value = repr(made.folders[node.value][0])
        named_so = (name, value) if not name.isdigit() else (value, "")
        changes.append(Change(*named_so, row["status"], row["becomes"], row["text"], row["source"], *place))
        if row["becomes"].isdigit():
            positional[int(row["becomes"])] = value
        elif row["becomes"]:
            named[row["becomes"]] = value
    words = [
        *(positional[number] for number in sorted(positional)),
        *(f"{key}={value}" for key, value in named.items()),
    ]
    anew = f"{own['becomes']}({', '.join(words)})\n"
    return Part("python", own["tool"], "", tuple(changes), (), anew, line=lines[call.start()])
