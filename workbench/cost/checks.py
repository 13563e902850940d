"""Arguments that must be numbers within bounds."""

from __future__ import annotations

import math

from workbench.errors import InvalidInput


def positive(**named: float) -> None:
    """Raise InvalidInput unless every value is finite and above zero."""
    for name, value in named.items():
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"{name} is {value!r}; it must be a number above 0")


def not_negative(**named: float) -> None:
    """Raise InvalidInput unless every value is finite and at least zero."""
    for name, value in named.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name} is {value!r}; it must be a number of at least 0")


def share(**named: float) -> None:
    """Raise InvalidInput unless every value lies between 0 and 1."""
    for name, value in named.items():
        if not 0 <= value <= 1:
            raise InvalidInput(f"{name} is {value!r}; it must be between 0 and 1")


def count(least: int = 1, **named: int) -> None:
    """Raise InvalidInput unless every value is a whole number of at least ``least``."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidInput(f"{name} is {value!r}; it must be a whole number of at least {least}")
