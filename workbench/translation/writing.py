"""A command anew in the form that it was pasted in: words of a shell, a container's, YAML, a call in Python."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from workbench.engines.vllm.schema import Schema
from workbench.translation.assembling import option_words
from workbench.translation.deploying import size
from workbench.translation.judging import New
from workbench.translation.pasted import Pasted

#: A word with a variable in it and nothing else that a shell would act on.
_NAMED = re.compile(r"[\w./:-]*(?:\$\w+|\$\{\w+\})[\w./:${}-]*")


def text(
    pasted: Pasted, model: str | None, new: Sequence[New], variables: Sequence[tuple[str, str]], schema: Schema
) -> str:
    """The whole anew.

    Parameters
    ----------
    pasted : Pasted
    model : str, optional
    new : sequence of New
        What the new command holds.
    variables : sequence of (str, str)
        Variables of the environment that stay.
    schema : Schema
        The release.
    """
    if pasted.form == "yaml":
        return yaml.safe_dump(_mapping(model, new, schema), sort_keys=False, allow_unicode=True)
    if pasted.form == "json":
        return json.dumps(_mapping(model, new, schema, "_"), indent=2, ensure_ascii=False) + "\n"
    if pasted.form == "python":
        settings = [*pasted.settings, *([pasted.model] if pasted.model else [])]
        written = {setting.values[0] for setting in settings if not setting.known and setting.values}
        made = _mapping(model, new, schema, "_")
        given = [f"    {name}={_python(value, written)},\n" for name, value in made.items()]
        return f"{pasted.named}(\n{''.join(given)})\n"
    if pasted.form == "environment":
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables)
    words = [word for item in new for word in option_words(item, schema)]
    if pasted.form == "kubernetes":
        return yaml.safe_dump({"args": ([model] if model else []) + words}, sort_keys=False, allow_unicode=True)
    line = " ".join(quoted(word) for word in [*([model] if model else []), *words])
    if pasted.form == "docker":
        return " ".join([*_container(pasted, dict(variables)), line]) + "\n"
    line = f"vllm serve {line}"
    return "".join(f"{name}={shlex.quote(value)} " for name, value in variables) + line + "\n"


def _python(value: Any, written: set[str]) -> str:
    """A value as Python writes it; what was no plain value stays as it was written."""
    return value if isinstance(value, str) and value in written else repr(value)


def quoted(word: str) -> str:
    """A word for a shell; a variable that the text did not set stays one.

    >>> quoted("a b"), quoted("$MODEL/x"), quoted("$(rm)")
    ("'a b'", '"$MODEL/x"', "'$(rm)'")
    """
    return f'"{word}"' if _NAMED.fullmatch(word) else shlex.quote(word)


def _container(pasted: Pasted, variables: Mapping[str, str]) -> Iterator[str]:
    """``docker run …`` as it was written, without the variables that the release does not read."""
    set_here = {setting.name for setting in pasted.settings if setting.variable}
    waiting = ""
    for word in pasted.before:
        if word in ("-e", "--env"):
            waiting = word
            continue
        name = word.removeprefix("--env=").strip("'\"").partition("=")[0]
        gone = (waiting or word.startswith("--env=")) and name in set_here and name not in variables
        if not gone:
            yield from ([waiting, word] if waiting else [word])
        waiting = ""


def _mapping(model: str | None, new: Sequence[New], schema: Schema, dash: str = "-") -> dict[str, Any]:
    """Options by name, with values as YAML and Python hold them."""
    made: dict[str, Any] = {"model": model} if model else {}
    for item in new:
        option = schema.by_field(item.field)
        if option is None:
            continue
        name = item.field if dash == "_" else option.name.removeprefix("--")
        if not option.takes_value:
            made[name] = item.on
        elif option.nargs in ("+", "*"):
            made[name] = list(item.values)
        else:
            made[name] = _value(option.kind, item.values[0] if item.values else "")
    return made


def _value(kind: str, given: str) -> Any:
    try:
        if kind in ("int", "size", "size or auto"):
            return size(given)
        if kind == "float":
            return float(given)
        if kind in ("json", "object", "text or json"):
            return json.loads(given)
    except ValueError:
        pass
    return given
