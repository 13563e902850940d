"""One sample of calibration data: a text, or a conversation that the model's chat template turns into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages as chat APIs write them.

    Parameters
    ----------
    messages : tuple of mapping
        ``role`` and ``content`` of each; ``tool_calls``, ``name`` and the like stay as they are.
    place : str
        File and line, or data set and row, for whoever has to mend it.
    """

    messages: tuple[Mapping[str, Any], ...]
    place: str

    @property
    def text(self) -> str:
        """What is said, without the words of a template."""
        return "\n".join(str(message.get("content") or "") for message in self.messages)


#: What a method is calibrated on.
Sample = str | Conversation


def sample(value: Any, place: str, column: str | None = None) -> Sample | None:
    """What a row or line holds: its conversation, its text, or None if that is blank.

    Parameters
    ----------
    value : Any
        A text, or a mapping with ``messages`` or ``text``.
    place : str
        Where it stands, for messages.
    column : str, optional
        The only field looked at, whatever it is called: a text or a list of messages.

    Raises
    ------
    InvalidInput
        If it holds neither.
    """
    if isinstance(value, Mapping):
        names = (column,) if column else ("messages", "text")
        name = next((n for n in names if value.get(n) is not None), None)
        if name is None:
            wanted = f"no {column!r}" if column else 'no text: {"text": "…"}, {"messages": […]} or "…" is needed'
            raise InvalidInput(f"{place} has {wanted}")
        value = value[name]
        if name == "messages" and isinstance(value, str):  # in a table a list is written as JSON
            value = parsed(value, f"{place}, messages,") if value.strip() else []
    elif column:
        raise InvalidInput(f"{place} has no {column!r}")
    if isinstance(value, str):
        _writable(value, place)
        return value.strip() or None
    if isinstance(value, list):
        return Conversation(tuple(_message(m, place) for m in value), place) if value else None
    if column:
        raise InvalidInput(f"{place}: {column!r} is neither a text nor a list of messages")
    raise InvalidInput(f'{place} has no text: {{"text": "…"}}, {{"messages": […]}} or "…" is needed')


def parsed(text: str, place: str) -> Any:
    """A line of JSON.

    Raises
    ------
    InvalidInput
        If it is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{place} is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{place} is not JSON of any use: it is nested too deeply") from None


def _message(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str) or not value["role"].strip():
        raise InvalidInput(f'{place} has a message without a role: {{"role": "user", "content": "…"}} is needed')
    message = {name: part for name, part in value.items() if part is not None}  # a table fills what is missing
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return {**message, "content": ""}
    if not isinstance(content, str):
        raise InvalidInput(f"{place} has a message of {value['role']!r} whose content is no text")
    _writable(content, place)
    return message


def _writable(text: str, place: str) -> None:
    """JSON can name half a character (a lone surrogate), which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{place} holds half a character (\\u{ord(text[error.start]):04x}); mend its text") from None
