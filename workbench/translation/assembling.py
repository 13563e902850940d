"""The new command out of what stands for each setting: keys of one object together, each option once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from workbench.engines.tables import parse
from workbench.engines.vllm.schema import Schema
from workbench.translation.judging import New

#: From here on a draft that is a whole model is named as a method of its own.
_DRAFT_MODEL = (0, 15)


def together(new: Iterable[New], schema: Schema) -> list[New]:
    """Each field once, the last one given: keys of an object as one object, in the place of the first."""
    whole: dict[str, New] = {}
    objects: dict[str, dict[str, Any]] = {}
    for item in new:
        if item.key:
            _put(objects.setdefault(item.field, _object(whole.get(item.field))), item.key, item.values)
            whole.setdefault(item.field, New(item.field))
        else:
            whole[item.field] = item
            objects.pop(item.field, None)
    if "speculative_config" in objects:
        _speculation(objects["speculative_config"], schema)
    for field, found in objects.items():
        whole[field] = New(field, (json.dumps(found, ensure_ascii=False),))
    return list(whole.values())


def _object(before: New | None) -> dict[str, Any]:
    """The object that was given whole, or an empty one."""
    try:
        found = json.loads(before.values[0]) if before and before.values else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _put(target: dict[str, Any], key: str, values: Sequence[str]) -> None:
    *path, last = key.rstrip("+").split(".")[:20]
    for name in path:
        below = target.get(name)
        if not isinstance(below, dict):
            below = target[name] = {}
        target = below
    target[last] = _value(values)


def _value(values: Sequence[str]) -> Any:
    read = []
    for value in values:
        try:
            read.append(json.loads(value))
        except (ValueError, RecursionError):
            read.append(value)
    return read[0] if len(read) == 1 else read


def _speculation(found: dict[str, Any], schema: Schema) -> None:
    """A draft that is a model of its own is said to be one; heads that share the target's are known by their files."""
    if "method" in found or "model" not in found or parse(schema.version) < _DRAFT_MODEL:
        return
    name = str(found["model"]).casefold()
    if not any(word in name for word in ("eagle", "mtp", "medusa", "dflash", "speculator")):
        whole = {"method": "draft_model", **found}
        found.clear()
        found.update(whole)


def words(model: str | None, new: Sequence[New], schema: Schema) -> list[str]:
    """``vllm serve MODEL …`` as separate words."""
    made = ["vllm", "serve"] + ([model] if model else [])
    for item in new:
        made += option_words(item, schema)
    return made


def option_words(item: New, schema: Schema) -> list[str]:
    """One option as words of the release's command."""
    option = schema.by_field(item.field)
    if option is None:
        return []
    if not option.takes_value:
        if item.on:
            return [option.name]
        plain = "--no-" + option.name.removeprefix("--")
        return [plain if plain in option.negative else option.negative[0]] if option.negative else []
    if len(item.values) == 1 and item.values[0].startswith("-"):
        return [f"{option.name}={item.values[0]}"]
    return [option.name, *item.values]
