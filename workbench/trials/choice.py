"""What is tried: a method with its parameters, and how that is written in a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers import Method, find, methods


@dataclass(frozen=True)
class Choice:
    """A method and the parameters that differ from its defaults.

    Parameters
    ----------
    method : str
        One of ``workbench.quantizers.methods()``.
    parameters : mapping
        The library's own.

    Raises
    ------
    UnknownName, InvalidInput
        For a method, parameter or value that there is not.

    Examples
    --------
    >>> Choice("awq", {"q_group_size": 64, "w_bit": 4}).word
    'awq:q_group_size=64'
    >>> Choice("awq").title
    'AWQ, 4-bit weights'
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        how = find(self.method)
        values = how.check(self.parameters)
        defaults = {p.name: p.default for p in how.parameters}
        changed = {name: values[name] for name in values if name in self.parameters and values[name] != defaults[name]}
        object.__setattr__(self, "parameters", changed)

    def __hash__(self) -> int:
        return hash(self.word)

    @property
    def word(self) -> str:
        """As it is written on a command line, and what it is known by."""
        if not self.parameters:
            return self.method
        told = ",".join(f"{name}={shown(value)}" for name, value in sorted(self.parameters.items()))
        return f"{self.method}:{told}"

    @property
    def how(self) -> Method:
        """The method."""
        return find(self.method)

    @property
    def parameters_in_full(self) -> dict[str, Any]:
        """All parameters, defaults too."""
        return self.how.check(self.parameters)

    @property
    def title(self) -> str:
        """As people read it."""
        told = ", ".join(f"{name} {shown(value)}" for name, value in sorted(self.parameters.items()))
        return find(self.method).title + (f" ({told})" if told else "")

    @property
    def folder(self) -> str:
        """A folder's name for what it makes."""
        return re.sub(r"[^\w.-]+", "-", self.word).strip(".-")[:100]

    @classmethod
    def parse(cls, word: str) -> Choice:
        """Read a word: a method, or a method and its parameters.

        Raises
        ------
        InvalidInput, UnknownName
            If it cannot be read.

        Examples
        --------
        >>> Choice.parse("gptq:bits=8,sym=false").parameters
        {'bits': 8, 'sym': False}
        """
        method, _, told = word.strip().partition(":")
        given: dict[str, str] = {}
        # A comma in a list is followed by no name and equals sign.
        for part in re.split(r",(?=\s*\w+=)", told) if told else []:
            name, sign, value = part.partition("=")
            if not sign or not name.strip():
                raise InvalidInput(f"{word!r}: METHOD:NAME=VALUE,NAME=VALUE is needed")
            given[name.strip()] = value
        return cls(method, given)


def shown(value: Any) -> str:
    """A parameter's value as it is written on a command line.

    >>> shown(None), shown(True), shown(["lm_head", "gate"])
    ('none', 'true', 'lm_head,gate')
    """
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def every() -> list[Choice]:
    """Every method, with the parameters it is usually tried with."""
    return [Choice(method.id, parameters) for method in methods().values() for parameters in method.variants]


def read(wanted: str | Iterable[str | Choice]) -> list[Choice]:
    """Choices by their words; "all" is :func:`every`.

    Raises
    ------
    InvalidInput
        If there are none, or one twice.
    """
    if wanted == "all":
        return every()
    words = [wanted] if isinstance(wanted, str) else list(wanted)
    found = [choice if isinstance(choice, Choice) else Choice.parse(choice) for choice in words]
    if not found:
        raise InvalidInput("choose at least one method")
    twice = [choice.word for number, choice in enumerate(found) if choice in found[:number]]
    if twice:
        raise InvalidInput(f"{twice[0]} is chosen twice")
    return found
