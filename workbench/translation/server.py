"""One server of vLLM's: its settings for a release, and the command that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.engines.vllm.schema import Schema
from workbench.engines.vllm.schema import check as checked
from workbench.translation import assembling, deploying, history, writing
from workbench.translation.judging import Around, Judged, New, judge
from workbench.translation.pasted import Lines, Pasted, Setting
from workbench.translation.result import LOST, Change, Part


class Offers:
    """How often the nearest names may still be looked for."""

    def __init__(self, left: int) -> None:
        self.left = left


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
