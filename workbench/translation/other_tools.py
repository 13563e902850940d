"""Commands of other engines and tools: what they are called now, and whether their own parsers would take them.

Names come from ``data/engines/renamed_tools.csv``, options from ``data/engines/programs/``; of a program without a
table only the first is said.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache
from typing import Any

import yaml

from workbench import __version__
from workbench.datafiles import read_rows
from workbench.translation import described, moved, tool_rules
from workbench.translation.moved import Made
from workbench.translation.pasted import Lines, Pasted
from workbench.translation.programs import Given, given, options
from workbench.translation.result import LOST, Change, Part
from workbench.translation.shell import Word

#: The program that an image starts, by its tool.
_IN_IMAGE = {"TGI": "text-generation-launcher", "llama.cpp": "llama-server"}
#: What else a program's options are called by, where its first word says what it does.
_COMMANDS = ("ollama",)


@cache
def _rows(kind: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_rows("engines", "renamed_tools.csv"):
        if row["kind"] == kind:
            found.setdefault(row["old"], []).append(row)
    return found


def part(pasted: Pasted, lines: Lines, made: Made | None = None) -> Part | None:
    """What became of another tool's command; None of one that no table knows.

    Parameters
    ----------
    pasted : Pasted
    lines : Lines
    made : Made, optional
        What commands before it in the same text made.
    """
    words = list(pasted.words)
    told = _told(pasted, words)
    if told is None:
        return None
    row, at = told
    if at is not None and moved.is_moved(name := row["old"]):
        return _moved(pasted, name, row, at, lines, made or Made())
    return _same(pasted, row, at, lines)


def _moved(pasted: Pasted, name: str, row: dict[str, str], at: int, lines: Lines, made: Made) -> Part:
    """A command whose program has no successor of its own: its options in the words of what is used instead."""
    words = list(pasted.words)
    anew = moved.anew(name, words[at + 1 :], moved.ranks(words), made, lines)
    program = _change(words[at], " ".join(anew.words[:1]), row, lines)
    changes = [program, *anew.changes]
    known, fields = _described(anew.words)
    text = shlex.join(anew.words) + "\n"
    if pasted.form == "kubernetes":
        image = moved.image(name)
        container: dict[str, Any] = {"image": pasted.named}
        if image is not None:
            container["image"] = image["becomes"].format(version=__version__)
            word = Word(pasted.named, pasted.start, pasted.start + len(pasted.named))
            changes.insert(0, _change(word, container["image"], image, lines))
        container |= {"command": list(anew.words[:2]), "args": list(anew.words[2:])}
        text = yaml.safe_dump(container, sort_keys=False, allow_unicode=True)
    return Part(
        pasted.form,
        row["tool"],
        "",
        tuple(changes),
        anew.words,
        text,
        (*anew.remarks, *moved.unread(anew.words)),
        known,
        fields,
        lines[pasted.start],
    )


def _described(words: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """Model and fields of a command in today's words."""
    if not words:
        return None, {}
    program = words[0].rsplit("/", 1)[-1]
    rest = list(words[1:])
    if program in _COMMANDS and rest:
        program, rest = f"{program} {rest[0]}", rest[1:]
    known = options(program)
    items = list(given([Word(word, 0, 0) for word in rest], known))
    named = {item.option.name: item.values for item in items if item.option}
    return described.fields(program, named, [item.values[0] for item in items if not item.name])


def _same(pasted: Pasted, row: dict[str, str], at: int | None, lines: Lines) -> Part:
    """A command whose program is still there, under whatever name."""
    words = list(pasted.words)
    begins = 0 if at is None else at + 1
    before = [word.text for word in words[:begins]]
    changes = []
    if at is not None:
        before[at] = _renamed(words[at].text, row)
        changes.append(_change(words[at], before[at], row, lines))
    elif row["kind"] == "image":
        word = Word(pasted.named, pasted.start, pasted.start + len(pasted.named))
        changes.append(_change(word, _renamed(word.text, row), row, lines))
    program = _IN_IMAGE.get(row["tool"], "") if row["kind"] == "image" else before[-1].rsplit("/", 1)[-1]
    rest = words[begins:]
    if program in _COMMANDS and rest:
        program, before, rest = f"{program} {rest[0].text}", [*before, rest[0].text], rest[1:]
    items = list(given(rest, options(program)))
    verdicts = tool_rules.verdicts(program, items)
    kept: list[str] = []
    for place, item in enumerate(items):
        change, new = _judged(item, program, row["tool"], verdicts.get(place), lines)
        kept += new
        if change is not None:
            changes.append(change)
    remarks = tuple(tool_rules.remarks(program, items))
    known, fields = _described([program, *kept] if " " not in program else [*program.split(), *kept])
    if at is None:
        image = {"image": _renamed(pasted.named, row), "args": kept}
        text = yaml.safe_dump(image, sort_keys=False, allow_unicode=True)
        line = (program, *kept) if fields else ()
        return Part(
            pasted.form, row["tool"], "", tuple(changes), line, text, remarks, known, fields, lines[pasted.start]
        )
    made = [word for word in (*before, *kept) if word] if row["status"] in ("kept", "renamed") else []
    text = shlex.join(made) + "\n" if made else row["becomes"] and row["becomes"] + "\n"
    return Part(
        pasted.form, row["tool"], "", tuple(changes), tuple(made), text, remarks, known, fields, lines[pasted.start]
    )


def _judged(
    item: Given, program: str, tool: str, verdict: tool_rules.Verdict | None, lines: Lines
) -> tuple[Change | None, list[str]]:
    """What is said of one option or word, and the words that stand for it."""
    texts = [word.text for word in item.words]
    place = (lines[item.words[0].start], item.words[0].start, item.words[-1].end)
    value = " ".join(item.values)
    if verdict is not None:
        name = item.name or value
        becomes = list(verdict.becomes)
        said = Change(
            name, value if item.name else "", verdict.status, " ".join(becomes), verdict.text, verdict.source, *place
        )
        return said, becomes
    row = _option(texts[0], tool)
    if row is not None:
        new = _in_row(item, row)
        return Change(texts[0], "", row["status"], " ".join(new), row["text"], row["source"], *place), new
    if not item.name or not options(program):
        return None, texts
    if item.option is None:
        text = f"{program} has no such option"
        return Change(item.name, value, "unknown", "", text, _table(program), *place), []
    if item.values and (why := item.option.wrong(item.values[0])):
        return Change(item.name, value, "wrong", "", why, _table(program), *place), []
    return Change(item.name, value, "kept", value, "", _table(program), *place), texts


def _in_row(item: Given, row: dict[str, str]) -> list[str]:
    """An option as the table has it now."""
    if row["kind"] == "form":
        return [item.name, *item.values]
    if not row["becomes"]:
        return []
    first = item.words[0].text.replace(row["old"], row["becomes"], 1)
    return [first, *(word.text for word in item.words[1:])]


def _table(program: str) -> str:
    return f"the parser of {program}, data/engines/programs"


def unmistakable(program: str) -> bool:
    """Whether a name can be no word of a sentence: an image that the table has, a program with a hyphen in it."""
    name = program.rsplit("/", 1)[-1]
    return _untagged(program) in _rows("image") or ("-" in name and name in _rows("program"))


def _untagged(image: str) -> str:
    image = image.split("@")[0]
    return image.rpartition(":")[0] if ":" in image.rsplit("/", 1)[-1] else image


def _told(pasted: Pasted, words: list[Word]) -> tuple[dict[str, str], int | None] | None:
    """What the table says of a command's program, and which word names it."""
    for at, word in enumerate(words[:12]):
        name = word.text.rsplit("/", 1)[-1]
        if (
            at == 0
            and (rows := _rows("program").get(name))
            and (name != "server" or "/" in word.text or len(words) > 1)
        ):
            if name in ("mpirun", "mpiexec"):
                continue  # what it starts is told
            if name == "make" and not _builds_llama(pasted, words):
                return None
            return rows[0], at
        if at and words[at - 1].text == "-m" and (rows := _rows("module").get(word.text)):
            return rows[0], at
        if at and words[at - 1].text.rsplit("/", 1)[-1].startswith("python") and (rows := _rows("script").get(name)):
            return rows[0], at
        if rows := _rows("image").get(_untagged(word.text)):
            return rows[0], at
    rows = _rows("image").get(_untagged(pasted.named))
    return (rows[0], None) if rows else None


def _builds_llama(pasted: Pasted, words: Sequence[Word]) -> bool:
    return pasted.named == "llama.cpp" or any(
        word.text.startswith("llama-") or word.text == "LLAMA" for word in words[1:]
    )


def _renamed(text: str, row: dict[str, str]) -> str:
    return text.replace(row["old"], row["becomes"], 1) if row["becomes"] else ""


def _option(text: str, tool: str) -> dict[str, str] | None:
    """What the table says of one of a tool's options."""
    if not text.startswith("-"):
        return None
    name = text.split("=", 1)[0]
    for old, rows in _rows("option").items():
        for row in rows:
            if row["tool"] == tool and (name == old or ("=" in old and text.startswith(old))):
                return row
    forms = _rows("form").get("--name=value", [])
    return next((row for row in forms if row["tool"] == tool and text.startswith("--") and "=" in text), None)


def _change(word: Word, becomes: str, row: dict[str, str], lines: Lines) -> Change:
    place = (lines[word.start], word.start, word.end)
    text = row["text"] if row["status"] in (*LOST, "renamed") or row["text"] else ""
    return Change(word.text, "", row["status"], becomes, text, row["source"], *place)
