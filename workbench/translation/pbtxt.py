"""Text of protocol buffers, as Triton's ``config.pbtxt`` holds it: read into fields, written again.

A field that is there several times is so in the list of fields, too: nothing is known here of what may repeat.

References
----------
https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<blank>(?:\s|\#[^\n]*)++)|(?P<text>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+')"""
    r"""|(?P<mark>[{}\[\]<>:,;])|(?P<word>[\w.+-]++)""",
    re.DOTALL,
)
_OPEN, _CLOSE = {"{": "}", "<": ">"}, "}>"
#: Messages nested deeper than this are no configuration's.
_DEEPEST = 50


@dataclass(frozen=True)
class Field:
    """A field, as it was written.

    Attributes
    ----------
    name : str
    value : str or tuple of Field or tuple of these
        A scalar as its text, quotes included; a message as its fields; a list as a tuple of values in ``items``.
    start, end : int
        Where, in letters of the text.
    items : bool
        Whether it is a list in brackets.
    """

    name: str
    value: Value
    start: int
    end: int
    items: bool = False

    @property
    def plain(self) -> str:
        """The text of a scalar without its quotes; "" of a message."""
        if not isinstance(self.value, str):
            return ""
        return self.value[1:-1] if self.value[:1] in ("'", '"') else self.value


Value = str | tuple["Field", ...] | tuple["Value", ...]


class NotText(ValueError):
    """It is no text of a protocol buffer."""


def read(text: str, start: int = 0) -> tuple[Field, ...]:
    """The fields of a text.

    Raises
    ------
    NotText
        It is none.

    Examples
    --------
    >>> [(field.name, field.plain) for field in read('name: "m" max_batch_size: 8  # eight')]
    [('name', 'm'), ('max_batch_size', '8')]
    """
    return _Reader(text, start).message(0, "")


class _Reader:
    def __init__(self, text: str, start: int) -> None:
        self._tokens = list(_tokens(text, start))
        self._at = 0

    def message(self, depth: int, close: str) -> tuple[Field, ...]:
        """Fields until a closing mark, or the end."""
        if depth > _DEEPEST:
            raise NotText("nested too deep")
        found = []
        while self._kind() != "end" and self._now() != close:
            if self._now() in (",", ";"):
                self._at += 1
                continue
            found.append(self._field(depth))
        if close:
            self._take(close)
        return tuple(found)

    def _field(self, depth: int) -> Field:
        if self._kind() != "word":
            raise NotText(f"{self._now()!r} is no field")
        name, start = self._now(), self._tokens[self._at][2]
        self._at += 1
        colon = self._now() == ":"
        self._at += colon
        if not colon and self._now() not in ("{", "<", "["):
            raise NotText(f"{name} has no value")
        items = self._now() == "["
        value = self._value(depth)
        return Field(name, value, start, self._tokens[self._at - 1][3], items)

    def _value(self, depth: int) -> Value:
        kind, word = self._kind(), self._now()
        if word in _OPEN:
            self._at += 1
            return self.message(depth + 1, _OPEN[word])
        if word == "[":
            self._at += 1
            found: list[Value] = []
            while self._now() != "]":
                if self._kind() == "end":
                    raise NotText("a list never closes")
                if self._now() == ",":
                    self._at += 1
                else:
                    found.append(self._value(depth + 1))
            self._at += 1
            return tuple(found)
        if kind not in ("text", "word"):
            raise NotText(f"{word!r} is no value")
        self._at += 1
        return word

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else "end"

    def _now(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, mark: str) -> None:
        if self._now() != mark:
            raise NotText(f"a {mark} is missing")
        self._at += 1


def _tokens(text: str, start: int) -> Iterator[tuple[str, str, int, int]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotText(f"{text[at]!r} has no place in it")
        if found.lastgroup != "blank":
            yield str(found.lastgroup), found[0], start + found.start(), start + found.end()
        at = found.end()


def written(fields: Sequence[Field], indent: int = 0) -> str:
    """Fields as text, two blanks a level.

    >>> print(written(read('a { b: 1 } c: ["x"]')), end="")
    a {
      b: 1
    }
    c: [ "x" ]
    """
    return "".join(_line(field, indent) for field in fields)


def _line(field: Field, indent: int) -> str:
    blank = "  " * indent
    if field.items:
        values = [_inside(value, indent + 1) for value in field.value]
        long = any("\n" in value for value in values)
        joint = f",\n{blank}  ".join(values) if long else ", ".join(values)
        return (
            f"{blank}{field.name}: [\n{blank}  {joint}\n{blank}]\n" if long else f"{blank}{field.name}: [ {joint} ]\n"
        )
    if isinstance(field.value, str):
        return f"{blank}{field.name}: {field.value}\n"
    return f"{blank}{field.name} {_inside(field.value, indent)}\n"


def _inside(value: object, indent: int) -> str:
    if isinstance(value, str):
        return value
    fields = [field for field in value if isinstance(field, Field)] if isinstance(value, tuple) else []
    return "{\n" + written(fields, indent + 1) + "  " * indent + "}"
