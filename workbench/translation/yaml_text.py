"""vLLM in YAML: its own configuration file, a section of one, or the containers of a manifest or Compose file.

The nodes of PyYAML's composer are read, which know their place; nothing is constructed, so that no tag can do harm, and
a node that many aliases share is gone through once.

References
----------
https://docs.vllm.ai/en/stable/configuration/serve_args.html (``--config``).
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container (``command``, ``args``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from workbench.translation import history
from workbench.translation.commands import _IMAGE, _started, served
from workbench.translation.pasted import Pasted, Setting, as_text
from workbench.translation.shell import Word, commands

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Sections that hold vLLM's options in files of other programs.
_SECTIONS = frozenset({"vllm", "engine_args", "engineargs", "engine", "vllm_config", "vllmconfig", "llm", "server"})
#: Options whose names other programs have too.
_COMMON = frozenset({"model", "port", "host", "config", "seed", "task", "revision", "name"})
#: Values nested deeper than this belong to no option.
_DEPTH = 40


def pasted(text: str, start: int = 0) -> list[Pasted] | None:
    """Every server that a YAML text describes; None where it is no YAML of mappings.

    Parameters
    ----------
    text : str
    start : int
        Where it begins in the whole text.
    """
    try:
        roots = list(yaml.compose_all(text, Loader=_LOADER))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if not any(isinstance(root, (yaml.MappingNode, yaml.SequenceNode)) for root in roots):
        return None
    found: list[Pasted] = []
    for root in roots:
        found += _below(root, text, start)
    return found


def _below(root: yaml.Node | None, text: str, start: int) -> Iterator[Pasted]:
    """Containers and sections, wherever they stand."""
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node | None, str]] = [(root, "")]
    while waiting:
        node, name = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, name) for item in reversed(node.value)]
        if not isinstance(node, yaml.MappingNode):
            continue
        entries = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        if (made := _container(entries, text, start)) is not None:
            yield made
            continue
        if (made := _section(node, entries, name, start)) is not None:
            yield made
            continue
        waiting += [(value, key) for key, value in reversed(entries.items())]


def _section(node: yaml.MappingNode, entries: dict[str, yaml.Node], name: str, start: int) -> Pasted | None:
    """A mapping whose keys are vLLM's options."""
    named = name.casefold() in _SECTIONS
    known = [key for key in entries if history.is_option(key)]
    own = [key for key in known if key not in _COMMON]
    telling = own or (named and "model" in known) or (name == "vllm" and set(known) - {"port", "host", "config"})
    if not telling or (not named and 2 * len(known) < len(entries)):
        return None
    settings, model = [], None
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        given = plain(value)
        place = (start + key.start_mark.index, start + value.end_mark.index)
        setting = Setting(key.value, () if given is None else as_text(given), *place)
        if given is None:
            setting = Setting(key.value, ("None",), *place)
        if key.value in ("model", "model_tag"):
            model = setting
        else:
            settings.append(setting)
    return Pasted("yaml", "vllm", tuple(settings), model, start + node.start_mark.index, named=name)


def plain(node: yaml.Node, depth: int = 0) -> Any:
    """The value of a node: text, numbers, true and false, null, lists and mappings."""
    if depth > _DEPTH:
        return ""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value, depth + 1) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item, depth + 1) for item in node.value]
    kind = node.tag.rpartition(":")[2]
    if kind == "bool":
        return node.value.casefold() in ("true", "yes", "on", "y")
    if kind == "null":
        return None
    if kind in ("int", "float"):
        try:
            return int(node.value) if kind == "int" else float(node.value)
        except ValueError:
            return str(node.value)
    return str(node.value)


def _container(entries: dict[str, yaml.Node], text: str, start: int) -> Pasted | None:
    """A container of a manifest, or a service of a Compose file, that runs vLLM."""
    image = entries.get("image")
    if not isinstance(image, yaml.ScalarNode):
        return None
    before = _words(entries.get("command"), text, start) + _words(entries.get("entrypoint"), text, start)
    words = _words(entries.get("args"), text, start)
    variables = _variables(entries.get("env") or entries.get("environment"), start)
    begins = start + image.start_mark.index
    every = before + words
    if len(before) == 3 and before[0].text in ("sh", "bash", "/bin/sh", "/bin/bash") and before[1].text.endswith("c"):
        inner = commands(before[2].text)
        every = [Word(word.text, before[2].start, before[2].end) for word in (inner[-1] if inner else [])]
    made = _started(every) if every and not every[0].text.startswith("-") else None
    if made is None or made.program != "vllm":
        if not _IMAGE.search(image.value) or not every:
            if made is not None and made.program != "vllm":
                return Pasted("kubernetes", made.program, start=begins, words=made.words, named=image.value)
            return Pasted("kubernetes", image.value, start=begins, words=tuple(every), named=image.value)
        made = served("kubernetes", every, begins)
    return Pasted("kubernetes", "vllm", (*variables, *made.settings), made.model, begins, named=image.value)


def _words(node: yaml.Node | None, text: str, start: int) -> list[Word]:
    """A list of words, or one text as a shell would part it."""
    if isinstance(node, yaml.ScalarNode):
        return [
            Word(word.text, start + node.start_mark.index, start + node.end_mark.index)
            for words in commands(node.value)
            for word in words
        ]
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return [
        Word(item.value, start + item.start_mark.index, start + item.end_mark.index)
        for item in items
        if isinstance(item, yaml.ScalarNode)
    ]


def _variables(node: yaml.Node | None, start: int) -> list[Setting]:
    """``env`` as a manifest has it (name, value), as Compose has it (a mapping, or NAME=value)."""
    found = []
    pairs: list[tuple[str, str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), str(plain(value)), key) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if isinstance(item, yaml.ScalarNode):
                name, _, value = item.value.partition("=")
                pairs.append((name, value, item))
            elif isinstance(item, yaml.MappingNode):
                entry = {str(key.value): plain(value) for key, value in item.value}
                if "name" in entry:
                    pairs.append((str(entry["name"]), str(entry.get("value", "")), item))
    for name, value, at in pairs:
        place = (start + at.start_mark.index, start + at.end_mark.index)
        found.append(Setting(name, (value,), *place, variable=True))
    return found


def environment(text: str, start: int = 0) -> Pasted | None:
    """A list ``env:`` alone, as guides show it."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if not isinstance(root, yaml.MappingNode):
        return None
    found = [
        setting
        for key, value in root.value
        if isinstance(key, yaml.ScalarNode) and key.value in ("env", "environment")
        for setting in _variables(value, start)
    ]
    if not any(history.is_variable(setting.name) for setting in found):
        return None
    return Pasted("environment", settings=tuple(found), start=start + root.start_mark.index)
