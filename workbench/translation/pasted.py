"""What was pasted, in one neutral form: settings by name, with their values and their place in the text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that was set.

    Attributes
    ----------
    name : str
        As it was written: ``--max-model-len``, ``max_model_len``, ``VLLM_USE_V1``.
    values : tuple of str
        Its values as text; none for a switch.
    start, end : int
        Where, in letters of the text.
    on : bool
        False where it was said no.
    variable : bool
        Whether it is one of the environment.
    known : bool
        False where the value stands in a variable of the text that could not be followed.
    """

    name: str
    values: tuple[str, ...] = ()
    start: int = 0
    end: int = 0
    on: bool = True
    variable: bool = False
    known: bool = True


@dataclass(frozen=True)
class Pasted:
    """One command, call or file.

    Attributes
    ----------
    form : str
        See ``result.Part``.
    program : str
        "vllm", or another tool's name.
    settings : tuple of Setting
    model : Setting or None
    start : int
        Where it begins.
    before : tuple of str
        Words that stay before the new command's: ``docker run … image``.
    words : tuple of Word
        All words of another tool's command.
    remarks : tuple of str
    """

    form: str
    program: str = "vllm"
    settings: tuple[Setting, ...] = ()
    model: Setting | None = None
    start: int = 0
    before: tuple[str, ...] = ()
    words: tuple[Any, ...] = ()
    remarks: tuple[str, ...] = ()
    named: str = field(default="")


class Lines:
    """Line numbers of places in a text, each in the logarithm of the number of lines."""

    def __init__(self, text: str) -> None:
        self._ends = [at for at, letter in enumerate(text) if letter == "\n"]

    def __getitem__(self, at: int) -> int:
        return bisect_right(self._ends, at - 1) + 1


def as_text(value: Any) -> tuple[str, ...]:
    """A value of YAML or Python as the words that a command would have.

    >>> as_text(0.9), as_text(None), as_text(["a", 1]), as_text({"a": True}), as_text("x")
    (('0.9',), ('None',), ('a', '1'), ('{"a": true}',), ('x',))
    """
    import json

    if isinstance(value, dict):
        return (json.dumps(value, ensure_ascii=False, default=str),)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(word for item in value for word in as_text(item))
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (str(value),)
