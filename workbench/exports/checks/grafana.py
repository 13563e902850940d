"""Grafana dashboards in the classic model: Grafana Labs' own types, what no type says, and every expression."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from workbench.exports.checks import _promql
from workbench.exports.file import Check, File

KIND = "grafana"
_READER, _TYPES = "structure (our own look)", "grafana-foundation-sdk"
#: Versions of the classic model without panels of Angular, up to its last.
_VERSIONS = range(36, 43)
_VARIABLE = re.compile(r"\$\{?([A-Za-z]\w*)")


def check(file: File) -> list[Check]:
    """Fields that Grafana knows; panels that do not overlap, with queries and variables that are there; PromQL."""
    try:
        said = json.loads(file.text)
    except ValueError as error:
        return [Check("json", "fail", str(error))]
    if not isinstance(said, dict) or not isinstance(said.get("panels"), list):
        return [Check(_READER, "fail", "it has no panels")]
    wrong = list(_wrong(said))
    frame = Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")
    asked = [
        (str(panel.get("title")), str(target.get("expr")))
        for panel in said["panels"]
        for target in panel.get("targets") or []
    ]
    return [_typed(said), frame, _promql.read(asked)]


def _typed(said: dict[str, Any]) -> Check:
    """Read into Grafana Labs' types and written again: a field that is lost on the way is one it does not know."""
    try:
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard
    except ImportError:
        return Check(_TYPES, "unchecked", "pip install 'llm-workbench[export]'")
    register_default_plugins()
    try:
        again = json.loads(JSONEncoder().encode(Dashboard.from_json(said)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Check(_TYPES, "fail", f"{type(error).__name__}: {error}")
    lost = list(_lost(said, again, ""))
    return Check(_TYPES, "fail", "unknown: " + ", ".join(lost[:3])) if lost else Check(_TYPES, "pass")


def _lost(one: Any, other: Any, at: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key, value in one.items():
            if key in other:
                yield from _lost(value, other[key], f"{at}/{key}")
            elif value is not None:  # what is null may be left out
                yield f"{at}/{key}"
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (value, again) in enumerate(zip(one, other, strict=True)):
            yield from _lost(value, again, f"{at}/{number}")
    elif one != other:
        yield at


def _wrong(said: dict[str, Any]) -> Iterator[str]:
    if not said.get("title"):
        yield "it has no title"
    if said.get("schemaVersion") not in _VERSIONS:
        yield f"schemaVersion is {said.get('schemaVersion')!r}"
    if len(str(said.get("uid", ""))) > 40:
        yield "uid is longer than 40 characters"
    panels = said["panels"]
    yield from (f"two panels have the id {n}" for n, count in Counter(p.get("id") for p in panels).items() if count > 1)
    known = {variable.get("name") for variable in said.get("templating", {}).get("list", [])}
    for panel in panels:
        title = panel.get("title")
        if not title or not panel.get("type"):
            yield f"panel {panel.get('id')} has no title or type"
        grid = panel.get("gridPos", {})
        if set(grid) != {"x", "y", "w", "h"} or not 0 <= grid["x"] < grid["x"] + grid["w"] <= 24:
            yield f"{title}: it does not lie within 24 columns"
        targets = panel.get("targets") or []
        if not targets or not all(target.get("expr") for target in targets):
            yield f"{title}: a query is missing"
        if len({target.get("refId") for target in targets}) != len(targets):
            yield f"{title}: two queries share a refId"
        used = {name for part in (panel, *targets) for name in _VARIABLE.findall(str(part.get("datasource")))}
        yield from (f"{title}: there is no variable {name}" for name in sorted(used - known))
    for one, other in combinations([p for p in panels if set(p.get("gridPos", {})) == {"x", "y", "w", "h"}], 2):
        a, b = one["gridPos"], other["gridPos"]
        if (
            a["x"] < b["x"] + b["w"]
            and b["x"] < a["x"] + a["w"]
            and a["y"] < b["y"] + b["h"]
            and b["y"] < a["y"] + a["h"]
        ):
            yield f"{one.get('title')} lies over {other.get('title')}"
