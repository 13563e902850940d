"""Prometheus rule files: their frame and every expression within this process; ``promtool`` reads them whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from workbench.exports.checks import _programs, _promql, yaml
from workbench.exports.file import Check, File

KIND = "prometheus-rules"
_READER = "frame (our own look; promtool reads it whole)"
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_KEYS = {
    "alert": {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"},
    "record": {"record", "expr", "labels"},
}


def check(file: File) -> list[Check]:
    """Groups of different names, rules of one kind each with what it may say, and expressions that can be read."""
    readable = yaml.readable(file)
    if readable.outcome != "pass":
        return [readable]
    said = yaml.documents(file.text)[0]
    groups = said.get("groups") if isinstance(said, dict) else None
    if not isinstance(groups, list) or not groups:
        return [readable, Check(_READER, "fail", "there are no groups")]
    names = [group.get("name") for group in groups]
    wrong = [] if all(names) and len(set(names)) == len(names) else ["groups need names of their own"]
    rules = [rule for group in groups for rule in group.get("rules") or []]
    wrong += [problem for rule in rules for problem in _wrong(rule)]
    frame = Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")
    return [readable, frame, _promql.read((_name(rule), str(rule.get("expr", ""))) for rule in rules)]


def _name(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule.get("record") or "a rule without a name")


def _wrong(rule: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in _KEYS if rule.get(kind)]
    if len(kinds) != 1:
        yield f"{_name(rule)}: it is either an alert or a record"
        return
    for key in sorted(set(rule) - _KEYS[kinds[0]]):
        yield f"{_name(rule)}: {key} is nothing it can say"
    if kinds[0] == "record" and not _METRIC.fullmatch(str(rule["record"])):
        yield f"{_name(rule)}: no name of a metric"
    if "for" in rule and not _DURATION.fullmatch(str(rule["for"])):
        yield f"{_name(rule)}: {rule['for']} is no duration"


def ask(file: File) -> list[Check]:
    """``promtool check rules``."""
    return [_programs.ask(file, "promtool", ["check", "rules", "{}"], "promtool check rules")]
