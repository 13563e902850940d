"""``wb.translate``: a pasted command, file, call or query, for the release that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.engines.vllm.schema import Schema, schema
from workbench.engines.vllm.schema import check as checked
from workbench.errors import InvalidInput
from workbench.translation import (
    assembling,
    dashboards,
    deploying,
    history,
    manifests,
    other_tools,
    reading,
    triton,
    writing,
)
from workbench.translation.judging import Around, Judged, New, judge
from workbench.translation.moved import Made
from workbench.translation.pasted import Lines, Pasted, Setting
from workbench.translation.result import LOST, Change, Part, Translation

#: Longer texts are no command.
LONGEST = 4_000_000
#: More commands than this are no page that a person reads.
MOST = 1_000
#: So many times the nearest names are looked for in a text; comparing is what takes time.
_OFFERS = 50


def translate(text: str, version: str | None = None) -> Translation:
    """What becomes of an old vLLM command, file, call or query under another release.

    Read are a shell's lines (``vllm serve``, ``python -m vllm.entrypoints.openai.api_server``, ``docker run``), a
    configuration in YAML, containers of Kubernetes and Compose, ``LLM(…)`` and its like in Python (never run),
    variables of the environment, queries of Prometheus alone, in rules and in Grafana's JSON, and pages that hold such
    blocks.
    Commands of llama.cpp, TensorRT-LLM, TGI, Triton and Ollama are told what was renamed and what their parsers would
    refuse, Kubernetes objects are mended as a whole.

    Parameters
    ----------
    text : str
        What was pasted.
    version : str, optional
        The release of vLLM; the one planned for when omitted.

    Returns
    -------
    Translation
        A part for each command, call, file or query, in the order of the text.

    Raises
    ------
    InvalidInput
        There is nothing in it that can be read.

    Examples
    --------
    >>> done = translate("vllm serve org/model --swap-space 4 --max-model-len 8192", "0.33.0")
    >>> done.commands
    ['vllm serve org/model --max-model-len 8192']
    >>> [(change.given, change.status) for change in done.changes]
    [('--swap-space', 'removed'), ('--max-model-len', 'kept')]
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(
            "there is nothing to translate: paste a command, a configuration, a call or a query of vLLM's"
        )
    if len(text) > LONGEST:
        raise InvalidInput(f"that is {len(text):,} letters; paste at most {LONGEST:,}")
    text = text.removeprefix("\ufeff")
    known, lines = schema(version), Lines(text)
    parts: list[Part] = []
    offers, steps = Offers(_OFFERS), Made()
    if _is_json(text) and dashboards.has_metrics(text):
        parts.append(dashboards.grafana(text, known, lines))
    else:
        for block in reading.blocks(text):
            parts += _block(text, block, known, lines, offers, steps)
    if len(parts) > MOST:
        raise _too_many()
    if not parts:
        raise InvalidInput(
            "no command, configuration, call or query of vLLM or another engine is in this text; paste one as it stands"
        )
    return Translation(known.version, tuple(parts))


class Offers:
    """How often the nearest names may still be looked for."""

    def __init__(self, left: int) -> None:
        self.left = left


def _too_many() -> InvalidInput:
    return InvalidInput(f"this text holds more than {MOST:,} commands and queries; paste a part of it")


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _block(text: str, block: reading.Block, known: Schema, lines: Lines, offers: Offers, steps: Made) -> list[Part]:
    found: list[Part] = []
    servers: dict[int, Part] = {}
    for pasted in reading.servers(text, block):
        if len(found) > MOST:
            raise _too_many()
        made = (
            other_tools.part(pasted, lines, steps) if pasted.program != "vllm" else part(pasted, known, lines, offers)
        )
        if made is not None:
            found.append(made)
            servers[pasted.start] = made
        handed = triton.handed(pasted.words) if pasted.program == "tritonserver" else None
        if handed is not None:
            found.append(part(handed, known, lines, offers))
    for configuration, arguments in triton.parts(text, block.start, block.end, lines):
        found += [configuration, *([part(arguments, known, lines, offers)] if arguments else [])]
    inside = text[block.start : block.end]
    if block.language != "page" and "apiVersion" in inside:
        whole = manifests.part(inside, servers, lines, known.version, block.start)
        found += [whole] if whole is not None else []
    if dashboards.has_metrics(inside):
        rules = None
        if block.language != "page":
            rules = dashboards.rules(inside, known, lines, block.start)
        if rules is not None:
            found.append(rules)
        elif not found:
            found += dashboards.queries(text, known, lines, block.start, block.end)
    return found


def part(pasted: Pasted, known: Schema, lines: Lines, offers: Offers) -> Part:
    """One server's settings for a release, and the command that comes of them."""
    model = _model(pasted)
    beside = {
        setting.name.lstrip("-").replace("-", "_"): " ".join(setting.values)
        for setting in pasted.settings
        if not setting.variable
    }
    around = Around(known, pasted.form, beside, model)
    judged: list[Judged] = []
    for setting in pasted.settings:
        if _is_model(setting):
            judged.append(_model_change(setting, lines, known))
            continue
        said = judge(setting, around, lines[setting.start], offers.left > 0)
        offers.left -= said.change.status == "unknown"
        judged.append(said)
    judged = [_beside(said, beside) for said in _nothing_to_draft(judged, known)]
    new = assembling.together((item for said in judged for item in said.new if item.field != "model"), known)
    words = assembling.words(model, new, known)
    remarks = list(pasted.remarks)
    if (row := history.replaced("command", "api_server", known.version)) and pasted.named.endswith("api_server"):
        remarks.append(f"{row.text}: `vllm serve MODEL` starts the same server ({row.source})")
    if model is None and pasted.form != "environment":
        remarks.append("no model is named: put it after `vllm serve`")
    fields, beyond = deploying.fields(new, known.version, model, beside.get("quantization", ""))
    remarks += beyond
    remarks += [finding.text for finding in checked(words, known.version) if finding.refused]
    variables = [
        (setting.name, setting.values[0] if setting.values else "")
        for setting, said in zip(pasted.settings, judged, strict=True)
        if setting.variable and said.change.status == "kept"
    ]
    return Part(
        pasted.form,
        "vllm",
        known.version,
        tuple(said.change for said in judged),
        () if pasted.form == "environment" and not new else tuple(words),
        writing.text(pasted, model, new, variables, known),
        tuple(dict.fromkeys(remarks)),
        model,
        fields,
        lines[pasted.start],
    )


def _beside(said: Judged, beside: Mapping[str, str]) -> Judged:
    """What would take the place of an option that is given as well gives way to it."""
    own = said.change.given.lstrip("-").replace("-", "_")
    taken = [item.field for item in said.new if item.field in beside and item.field != own and not item.key]
    if not taken or said.change.status == "kept":
        return said
    names = " and ".join("--" + field.replace("_", "-") for field in taken)
    change = said.change
    text = "; ".join(part for part in (change.text, f"{names} is given besides") if part)
    return Judged(replace(change, becomes="", text=text), tuple(item for item in said.new if item.field not in taken))


def _is_model(setting: Setting) -> bool:
    return setting.name.lstrip("-").replace("-", "_") in ("model", "model_tag", "model_name", "model_path") and bool(
        setting.values
    )


def _model(pasted: Pasted) -> str | None:
    """The model that a text names, by its place or by a word."""
    if pasted.model is not None and pasted.model.values and pasted.model.values[0] != "None":
        return pasted.model.values[0]
    named = [setting.values[0] for setting in pasted.settings if _is_model(setting) and not setting.variable]
    return named[-1] if named else None


def _model_change(setting: Setting, lines: Lines, known: Schema) -> Judged:
    """``--model``, which became the first word after ``vllm serve``; or a name that was never one."""
    name = setting.name.lstrip("-").replace("-", "_")
    row = history.replaced("option", name, known.version)
    status, text, source = (row.verdict, row.text, row.source) if row else ("kept", "", "")
    value = " ".join(setting.values)
    place = (lines[setting.start], setting.start, setting.end)
    return Judged(Change(setting.name, value, status, value, text, source, *place), (New("model", setting.values),))


def _nothing_to_draft(judged: Sequence[Judged], known: Schema) -> list[Judged]:
    """Words of speculation that are left without anything to draft with go as well."""
    keys = {item.key for said in judged for item in said.new if item.field == "speculative_config"}
    if not keys or "" in keys or keys & {"model", "method"}:
        return list(judged)
    found = []
    for said in judged:
        if any(item.field == "speculative_config" for item in said.new) and said.change.status not in LOST:
            text = "nothing is left to draft with: neither a method nor a model"
            said = Judged(replace(said.change, status="removed", becomes="", text=text))
        found.append(said)
    return found
