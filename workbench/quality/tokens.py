"""Text and conversations as a model's token ids and back, with whatever library the environment has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput, MissingPart

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]
Messages = Sequence[Mapping[str, Any]]

#: Roles that chat templates know by convention; any other must be named in the template.
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


def tokenizer(folder: Path) -> tuple[Encode, Decode]:
    """The tokenizer of a checkpoint: text to ids, with the special tokens the model is used to, and back.

    transformers reads every kind; where it is not installed, ``tokenizers`` reads a ``tokenizer.json``.
    """
    if find_spec("transformers"):
        from transformers import AutoTokenizer

        reader = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return lambda text: list(reader(text, verbose=False).input_ids), lambda ids: str(reader.decode(list(ids)))
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.no_truncation()
    return lambda text: list(fast.encode(text).ids), lambda ids: str(fast.decode(list(ids), skip_special_tokens=False))


def has_chat_template(folder: Path) -> bool:
    """Whether a checkpoint brings a chat template, in one of the three files it may lie in."""
    if (folder / "chat_template.jinja").is_file():
        return True
    for name in ("tokenizer_config.json", "chat_template.json"):
        try:
            fields = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(fields, dict) and fields.get("chat_template"):
            return True
    return False


def without_template(folder: Path) -> InvalidInput:
    """What to say of a model that has no chat template."""
    return InvalidInput(
        f"{folder.name} has no chat template, so a conversation has no form it knows; give plain text, or a model that "
        "was trained to chat"
    )


def chat_tokenizer(folder: Path) -> Callable[[Messages], list[int]]:
    """Conversations to ids, by the chat template of a checkpoint.

    Raises
    ------
    MissingPart
        If transformers, which reads templates, is not installed here.
    InvalidInput
        If the checkpoint has no template; from what is returned, if the template refuses or leaves out a message.
    """
    if not find_spec("transformers"):
        raise MissingPart(
            "conversations need transformers, which reads chat templates and which this method's environment lacks; "
            "give plain text"
        )
    from jinja2.exceptions import TemplateError
    from transformers import AutoTokenizer

    reader = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not reader.chat_template:
        raise without_template(folder)
    template = reader.chat_template if isinstance(reader.chat_template, str) else json.dumps(reader.chat_template)

    def ids(messages: Messages) -> list[int]:
        for message in messages:
            if message["role"] not in ROLES and message["role"] not in template:
                raise InvalidInput(f"the chat template knows no role {message['role']!r}")
        try:
            text = reader.apply_chat_template([dict(m) for m in messages], tokenize=False)
        except (TemplateError, TypeError) as error:  # the latter from a field of another type than the template expects
            raise InvalidInput(f"the chat template refuses it: {error}") from None
        for message in messages:
            # An assistant's thoughts may be left out, and a tool's words be written as JSON; the others' never are.
            if message["role"] in ("system", "developer", "user") and message["content"].strip() not in text:
                raise InvalidInput(f"the chat template leaves out what {message['role']!r} says")
        return list(reader(text, add_special_tokens=False, verbose=False).input_ids)

    return ids
