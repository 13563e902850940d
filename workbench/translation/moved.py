"""Programs whose place another takes: their options in its words, and what one step makes for the next.

Engines that were converted, built and then run are served from the checkpoint today: what each step made is the
checkpoint that it began with, so the last command says all that the steps before it said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from workbench.datafiles import read_rows
from workbench.translation.pasted import Lines
from workbench.translation.programs import Given, given, options
from workbench.translation.result import Change
from workbench.translation.shell import Word

_RANKS = "https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html"


@dataclass
class Made:
    """What steps of a text made so far: folder -> the model it came of, and the options said on the way."""

    folders: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Moved:
    """A command in the words of what took its program's place.

    Attributes
    ----------
    words : tuple of str
    changes : tuple of Change
        Of its options.
    remarks : tuple of str
    """

    words: tuple[str, ...]
    changes: tuple[Change, ...]
    remarks: tuple[str, ...] = ()


@cache
def _rows() -> dict[str, dict[str, list[dict[str, str]]]]:
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in read_rows("engines", "moved_programs.csv"):
        found.setdefault(row["program"], {}).setdefault(row["option"], []).append(row)
    return found


def is_moved(name: str) -> bool:
    """Whether another program takes a program's place."""
    return name in _rows()


def image(name: str) -> dict[str, str] | None:
    """The row of the image that has what took a program's place; None where any will do."""
    return next(iter(_rows()[name].get("image", [])), None)


def anew(name: str, words: Sequence[Word], ranks: int, made: Made, lines: Lines) -> Moved:
    """A command's options in the words of what took its program's place.

    Parameters
    ----------
    name : str
        The program's name in ``data/engines/moved_programs.csv``.
    words : sequence of Word
        What follows its name.
    ranks : int
        Processes that it was started in, by ``mpirun``.
    made : Made
        What the steps before made; what this one makes is added.
    lines : Lines
    """
    rows = _rows()[name]
    start = rows[""][0]["becomes"].split()
    changes: list[Change] = []
    said: dict[str, tuple[str, ...]] = {}
    model, makes = "", ""
    for item in given(words, {}):
        row, value = _row(rows, item), " ".join(item.values)
        place = (lines[item.words[0].start], item.words[0].start, item.words[-1].end)
        if row is None:
            text, source = f"nothing stands for it in {' '.join(start)}", rows[""][0]["source"]
            changes.append(Change(item.name or value, value if item.name else "", "removed", "", text, source, *place))
            continue
        becomes, status = row["becomes"], row["status"]
        if becomes == "MADE":
            makes, becomes = value, ""
        elif becomes == "MODEL":
            model, before = made.folders.get(value, (value, {}))
            said = {**before, **said}
            becomes = model
        elif becomes:
            said |= _said(becomes, item.values)
            becomes = " ".join(next(iter(_said(becomes, item.values).values())))
        changes.append(Change(item.name, value, status, becomes, row["text"], row["source"], *place))
    if ranks > 1 and start == ["trtllm-serve"]:
        said.setdefault("--tp_size", ("--tp_size", str(ranks)))
    if makes:
        made.folders[makes] = (model, said)
    positional = [model] if model else []
    anew = [*start[:2], *positional, *start[2:]] if start[0] == "workbench" else [*start, *positional]
    remarks = []
    if ranks > 1 and start == ["trtllm-serve"]:
        remarks.append(f"its processes are its own: --tp_size {ranks} in the place of mpirun -n {ranks} ({_RANKS})")
    if not model and any(row["becomes"] == "MODEL" for group in rows.values() for row in group):
        remarks.append(f"no model is named: put it after {' '.join(start[:2] if start[0] == 'workbench' else start)}")
    return Moved((*anew, *(word for words in said.values() for word in words)), tuple(changes), tuple(remarks))


def _row(rows: dict[str, list[dict[str, str]]], item: Given) -> dict[str, str] | None:
    """What the table says of an option with this value, before what it says of any."""
    found = rows.get(item.name, []) if item.name else []
    value = " ".join(item.values)
    return next((row for row in found if row["value"] in (value, "")), None)


def _said(becomes: str, values: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """New words by what they set: ``--set bits=`` takes its value in the same word."""
    *before, last = becomes.split()
    if last.endswith("="):
        return {becomes: (*before, last + " ".join(values))}
    if before:  # the value is written in the table
        return {before[0]: (*before, last)}
    return {last: (last, *values)}


def ranks(words: Sequence[Word]) -> int:
    """How many processes ``mpirun`` starts; 1 without it.

    >>> ranks([Word("mpirun", 0, 6), Word("-n", 7, 9), Word("2", 10, 11)])
    2
    """
    texts = [word.text for word in words]
    if not texts or texts[0].rsplit("/", 1)[-1] not in ("mpirun", "mpiexec"):
        return 1
    for name, value in pairwise(texts):
        if name in ("-n", "-np", "--n") and re.fullmatch(r"\d{1,4}", value):
            return int(value)
    return 1


def unread(words: Sequence[str]) -> list[str]:
    """What the new program would not take of its words, by its own table; sentences."""
    program = words[1] if words[0] == "python" else words[0]
    known = options(program)
    if not known:
        return []
    found = []
    for item in given([Word(word, 0, 0) for word in words[2 if words[0] == "python" else 1 :]], known):
        if item.name and item.option is None:
            found.append(f"{program} has no {item.name}")
        elif item.option and item.values and (why := item.option.wrong(item.values[0])):
            found.append(f"{item.name}: {why}")
    return found
