"""Triton's vLLM backend: ``config.pbtxt`` anew, and the ``model.json`` that holds vLLM's own arguments.

The backend reads nothing of vLLM's from ``config.pbtxt``: what older guides write there as parameters belongs into
``1/model.json`` beside it, and so does what they hand to ``--backend-config``.

References
----------
github:triton-inference-server/vllm_backend src/model.py@00ea75b (``_init_engine_args``, ``auto_complete_config``,
``_validate_device_config``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.translation import history
from workbench.translation.commands import served
from workbench.translation.pasted import Lines, Pasted, Setting
from workbench.translation.pbtxt import Field, NotText, read, written
from workbench.translation.result import Change, Part
from workbench.translation.shell import Word

_BACKEND = re.compile(r"^[ \t]*+(?:backend|platform)[ \t]*+:[ \t]*+[\"']vllm", re.MULTILINE)
_FIRST = re.compile(r"^[ \t]*+(?:#[^\n]*+|name[ \t]*+:[^\n]*+)\n", re.MULTILINE)
_FIELD = re.compile(r"^[ \t]*+[a-z_]\w*+[ \t]*+(?::|\{|\[)", re.MULTILINE)
_SOURCE = "github:triton-inference-server/vllm_backend src/model.py@00ea75b"
#: Parameters of config.pbtxt that the backend does read.
_OWN = frozenset(
    {"REPORT_CUSTOM_METRICS", "ENABLE_VLLM_HEALTH_CHECK", "GPU_DEVICE_IDS", "FORCE_CPU_ONLY_INPUT_TENSORS"}
)
_ARGUMENTS = "--backend-config=vllm,cmdline_args="


def configurations(text: str, start: int, end: int) -> list[tuple[int, tuple[Field, ...]]]:
    """Configurations of the vLLM backend in a text: where each begins, and its fields.

    One ends where it is no text of a protocol buffer any more; a page may go on behind it.
    """
    found, at = [], start
    while (backend := _BACKEND.search(text, at, end)) is not None:
        begins = _begins(text, backend.start(), at)
        stop, seen = _stop(text, begins, end)
        at = max(seen, backend.end())  # what was read is not read again
        try:
            fields = read(text[begins:stop], begins)
        except NotText:
            continue
        if fields:
            found.append((fields[0].start, fields))
    return found


def _begins(text: str, at: int, least: int) -> int:
    """The line of ``name`` before the backend's, where it stands among its neighbours."""
    begins = at
    while begins > least:
        line = text.rfind("\n", least, begins - 1) + 1
        line = max(line, least)
        if _FIELD.match(text, line, begins) is None:
            break
        begins = line
    return begins


def _stop(text: str, begins: int, end: int) -> tuple[int, int]:
    """Where the fields that begin at a place end, as far as lines look like such, and how far was looked."""
    depth, at, stop = 0, begins, begins
    while at < end:
        line = text.find("\n", at, end)
        line = end if line < 0 else line + 1
        said = text[at:line].split("#", 1)[0]
        if depth == 0 and said.strip() and _FIELD.match(said) is None:
            break
        depth += sum(said.count(mark) for mark in "{[") - sum(said.count(mark) for mark in "}]")
        at = line
        if depth == 0:
            stop = line
    return stop, at


def parts(text: str, start: int, end: int, lines: Lines) -> list[tuple[Part, Pasted | None]]:
    """Each configuration anew, with what it says to vLLM."""
    return [_configuration(fields, lines) for _, fields in configurations(text, start, end)]


def _configuration(fields: Sequence[Field], lines: Lines) -> tuple[Part, Pasted | None]:
    changes: list[Change] = []
    kept: list[Field] = []
    settings: list[Setting] = []
    for field in fields:
        if field.name == "max_batch_size" and field.plain != "0":
            text = "vLLM batches by itself: the backend wants 0 and refuses a batch of Triton's"
            changes.append(_change(field, field.plain, "wrong", "0", text, lines))
            kept.append(replace(field, value="0"))
        elif field.name == "parameters":
            own, said = _parameters(field, changes, lines)
            settings += said
            kept += own
        else:
            kept.append(field)
    if not _decoupled(kept):
        place = kept[0] if kept else fields[0]
        text = "vLLM answers in parts: the backend asserts that its model is decoupled"
        changes.append(_change(place, "", "wrong", "model_transaction_policy { decoupled: true }", text, lines))
        kept = [field for field in kept if field.name != "model_transaction_policy"]
        kept += read("model_transaction_policy { decoupled: true }")
    named = next((field.plain for field in fields if field.name == "name"), "")
    ordered = tuple(sorted(changes, key=lambda change: change.start))
    remarks = (f"vLLM's arguments stand in {named or 'the model'}/1/model.json; no model.py is needed ({_SOURCE})",)
    part = Part("triton", "Triton", "", ordered, (), written(kept), remarks, line=lines[fields[0].start])
    if not settings:
        return part, None
    model = next((setting for setting in settings if setting.name == "model"), None)
    others = tuple(setting for setting in settings if setting is not model)
    return part, Pasted("json", "vllm", others, model, settings[0].start, named="model.json")


def _change(field: Field, value: str, status: str, becomes: str, text: str, lines: Lines) -> Change:
    return Change(field.name, value, status, becomes, text, _SOURCE, lines[field.start], field.start, field.end)


def _decoupled(fields: Sequence[Field]) -> bool:
    for field in fields:
        if field.name == "model_transaction_policy":
            return any(inner.name == "decoupled" and inner.plain == "true" for inner in _inner(field))
    return False


def _inner(field: Field) -> Iterator[Field]:
    yield from (inner for inner in field.value if isinstance(inner, Field))


def _parameters(field: Field, changes: list[Change], lines: Lines) -> tuple[list[Field], list[Setting]]:
    """Parameters that the backend reads, and those that are vLLM's."""
    messages = [item for item in field.value if isinstance(item, tuple)] if field.items else [tuple(_inner(field))]
    kept, settings = [], []
    for message in messages:
        inner = {one.name: one for one in message if isinstance(one, Field)}
        key = inner["key"].plain if "key" in inner else ""
        held = inner.get("value")
        values = [one.plain for one in _inner(held) if one.name == "string_value"] if held else []
        if key in _OWN or not (history.is_option(key) or key == "model"):
            kept.append(message)
            continue
        settings.append(Setting(key, tuple(values[:1]), field.start, field.end))
        text = "the backend reads no argument of vLLM's here: it stands in 1/model.json beside the model"
        place = (lines[field.start], field.start, field.end)
        changes.append(Change(key, " ".join(values[:1]), "wrong", "1/model.json", text, _SOURCE, *place))
    if not kept:
        return [], settings
    if field.items:
        return [replace(field, value=tuple(kept))], settings
    return [field], settings


def handed(words: Sequence[Word]) -> Pasted | None:
    """vLLM's arguments in ``--backend-config=vllm,cmdline_args=…``, which nothing reads there; None without."""
    for word in words:
        if word.text.startswith(_ARGUMENTS):
            given = shlex.split(word.text.removeprefix(_ARGUMENTS).strip("\"'"))
            placed = [Word(text, word.start, word.end) for text in given]
            made = served("json", placed, word.start, named="model.json")
            return made if made.settings or made.model else None
    return None
