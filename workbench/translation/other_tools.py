"""Commands of other engines and tools: what they are called now, from ``data/engines/renamed_tools.csv``.

Of these no parser is bundled, so only what the table names is said, and nothing of the rest is checked.
"""

from __future__ import annotations

import shlex
from functools import cache

import yaml

from workbench.datafiles import read_rows
from workbench.translation.pasted import Lines, Pasted
from workbench.translation.result import Change, Part
from workbench.translation.shell import Word


@cache
def _rows(kind: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_rows("engines", "renamed_tools.csv"):
        if row["kind"] == kind:
            found.setdefault(row["old"], []).append(row)
    return found


def part(pasted: Pasted, lines: Lines) -> Part | None:
    """What became of another tool's command; None of one that no table knows."""
    words = list(pasted.words)
    told = _told(pasted, words)
    if told is None:
        return None
    row, at = told
    changes, made = [], [word.text for word in words]
    if at is not None:
        made[at] = _renamed(words[at].text, row)
        changes.append(_change(words[at], made[at], row, lines))
    elif row["kind"] == "image":
        word = Word(pasted.named, pasted.start, pasted.start + len(pasted.named))
        changes.append(_change(word, _renamed(word.text, row), row, lines))
    for place in range((at or 0) + (at is not None), len(words)):
        option = _option(words[place].text, row["tool"])
        if option is None:
            continue
        made[place] = option["becomes"]
        if option["kind"] == "form":
            made[place] = " ".join(words[place].text.split("=", 1))
        elif option["becomes"]:
            made[place] = words[place].text.replace(option["old"], option["becomes"], 1)
        changes.append(_change(words[place], made[place], option, lines))
    kept = [piece for word in made for piece in _pieces(word)]
    if at is None:
        image = {"image": _renamed(pasted.named, row), "args": kept}
        text = yaml.safe_dump(image, sort_keys=False, allow_unicode=True)
        return Part(pasted.form, row["tool"], "", tuple(changes), (), text, line=lines[pasted.start])
    text = shlex.join(kept) + "\n" if row["status"] in ("kept", "renamed") else ""
    return Part(
        pasted.form, row["tool"], "", tuple(changes), tuple(kept) if text else (), text, line=lines[pasted.start]
    )


def unmistakable(program: str) -> bool:
    """Whether a name can be no word of a sentence: an image that the table has, a program with a hyphen in it."""
    name = program.rsplit("/", 1)[-1]
    return _untagged(program) in _rows("image") or ("-" in name and name in _rows("program"))


def _untagged(image: str) -> str:
    image = image.split("@")[0]
    return image.rpartition(":")[0] if ":" in image.rsplit("/", 1)[-1] else image


def _pieces(word: str) -> list[str]:
    """An option and its value that were one word."""
    return word.split(" ", 1) if word.startswith("--") and " " in word else [word] if word else []


def _told(pasted: Pasted, words: list[Word]) -> tuple[dict[str, str], int | None] | None:
    """What the table says of a command's program, and which word names it."""
    for at, word in enumerate(words[:12]):
        name = word.text.rsplit("/", 1)[-1]
        if (
            at == 0
            and (rows := _rows("program").get(name))
            and (name != "server" or "/" in word.text or len(words) > 1)
        ):
            if name == "mpirun" and not any(_is_script(other.text) for other in words):
                return None
            if name == "make" and not any(other.text.startswith("llama-") or other.text == "LLAMA" for other in words):
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


def _is_script(text: str) -> bool:
    return text.rsplit("/", 1)[-1] in _rows("script")


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
    return Change(word.text, "", row["status"], becomes, row["text"], row["source"], *place)
