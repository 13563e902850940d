"""Options of other tools' programs, from the tables in ``data/engines/programs/``, and what a command gives of them.

Each table was taken from what the tool's own parser reads; it names the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from workbench.datafiles import data_path, read_rows
from workbench.translation.shell import Word

#: Words for yes and no, as Triton and click take them.
_SAID = frozenset({"true", "false", "on", "off", "1", "0", "yes", "no"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a program.

    Attributes
    ----------
    name : str
        Its long name.
    takes : str
        "" (a switch), "word", "int", "number", "bool", "choice" or "pair" (two words).
    choices : tuple of str
        The only values; empty where any will do.
    """

    name: str
    takes: str
    choices: tuple[str, ...] = ()

    def wrong(self, value: str) -> str:
        """Why it does not take a value; "" where it does, or where a variable of a shell stands in it.

        >>> Option("--port", "int").wrong("many"), Option("--port", "int").wrong("80")
        ("it takes a whole number, not 'many'", '')
        """
        if "$" in value:
            return ""
        if self.takes == "choice" and value not in self.choices:
            return f"it takes {', '.join(self.choices)}, not {value[:60]!r}"
        if self.takes == "bool" and value.casefold() not in _SAID:
            return f"it takes true or false, not {value[:60]!r}"
        kinds = {"int": int, "number": float}
        if self.takes in kinds:
            try:
                kinds[self.takes](value)
            except ValueError:
                return f"it takes a {'whole ' if self.takes == 'int' else ''}number, not {value[:60]!r}"
        return ""


@cache
def _tables() -> dict[str, dict[str, Option]]:
    found: dict[str, dict[str, Option]] = {}
    for path in sorted(data_path("engines", "programs").glob("*.csv")):
        for row in read_rows("engines", "programs", path.name):
            option = Option(row["option"], row["takes"], tuple(row["choices"].split()))
            for program in row["program"].split("|"):
                for name in (row["option"], *row["also"].split()):
                    found.setdefault(program, {})[name] = option
    return found


def options(program: str) -> Mapping[str, Option]:
    """Options of a program by every name they have; empty for a program of which there is no table.

    >>> options("llama-server")["-c"].name, len(options("none"))
    ('--ctx-size', 0)
    """
    return _tables().get(program, {})


@dataclass(frozen=True, slots=True)
class Given:
    """An option of a command, or a word that is none (``name`` is then "").

    Attributes
    ----------
    name : str
        As it was written, without its value.
    values : tuple of str
    words : tuple of Word
        The words that say it.
    option : Option or None
        None where the program has none of that name.
    joined : bool
        Whether it was written ``--name=value``.
    """

    name: str
    values: tuple[str, ...]
    words: tuple[Word, ...]
    option: Option | None = None
    joined: bool = False


def given(words: Sequence[Word], known: Mapping[str, Option]) -> Iterator[Given]:
    """What a command's words after the program's name give, in their order.

    An option that is not known takes the word after it for its value, unless that begins with a dash.
    """
    at = 0
    while at < len(words):
        text = words[at].text
        if not _is_option(text):
            yield Given("", (text,), (words[at],))
            at += 1
            continue
        name, equals, value = text.partition("=")
        option = known.get(name)
        if equals:
            yield Given(name, (value,), (words[at],), option, joined=True)
            at += 1
            continue
        follow = _follows(words, at, option)
        taken = words[at + 1 : at + 1 + follow]
        yield Given(name, tuple(word.text for word in taken), (words[at], *taken), option)
        at += 1 + follow


def _is_option(text: str) -> bool:
    return text.startswith("-") and text != "-" and not text[1:].replace(".", "", 1).isdigit()


def _follows(words: Sequence[Word], at: int, option: Option | None) -> int:
    """How many words after an option's name are its values."""
    if option is not None:
        return min({"": 0, "pair": 2}.get(option.takes, 1), len(words) - at - 1)
    return int(at + 1 < len(words) and not _is_option(words[at + 1].text))
