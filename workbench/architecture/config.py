"""A checkpoint's ``config.json``, read field by field with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import UnsupportedModel

#: The largest integer any field may reasonably hold; more is a broken file.
_LARGEST = 10**9


class Config:
    """A configuration's fields, typed.

    Parameters
    ----------
    fields : mapping
        The parsed JSON.
    id : str
        The model's name, for messages.
    """

    def __init__(self, fields: Mapping[str, Any], id: str) -> None:
        if not isinstance(fields, Mapping):
            raise UnsupportedModel(f"{id}: config.json must hold an object, not a {type(fields).__name__}")
        self.fields = fields
        self.id = id

    def refuse(self, reason: str) -> UnsupportedModel:
        """The error to raise for something that cannot be sized."""
        return UnsupportedModel(f"{self.id}: {reason}")

    def get(self, name: str, default: Any = None) -> Any:
        """The field as it stands; a null counts as missing."""
        value = self.fields.get(name)
        return default if value is None else value

    def integer(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """The first of ``names`` present, as a whole number of at least ``least``.

        Raises
        ------
        UnsupportedModel
            If none is present and there is no default, or the value is not such a number.
        """
        for name in names:
            value = self.get(name)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST:
                raise self.refuse(f"field {name!r} is {value!r}, a whole number of at least {least} is needed")
            return value
        if default is None:
            raise self.refuse(f"field {names[0]!r} is missing from config.json")
        return default

    def flag(self, name: str, default: bool) -> bool:
        """The field as true or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(f"field {name!r} is {value!r}, true or false is needed")
        return value

    def integers(self, name: str) -> list[int]:
        """The field as a list of whole numbers; empty if missing."""
        value = self.get(name, [])
        if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, int) for v in value):
            raise self.refuse(f"field {name!r} must be a list of whole numbers")
        return value
