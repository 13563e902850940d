"""Queries inside other texts: a Grafana dashboard, Prometheus rules, a page that lists them; the rest is left as it is.

References
----------
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ (``targets``, ``expr``).
https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ (``expr``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import yaml

from workbench.engines.vllm.schema import Schema
from workbench.translation.pasted import Lines
from workbench.translation.promql import translated
from workbench.translation.result import Change, Part

#: Keys whose texts are queries.
_KEYS = frozenset({"expr", "query", "definition", "expression"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_FOLLOWS = re.compile(r"\s*+:\s*+")
_CODE = re.compile(r"`([^`\n]*vllm:[^`\n]*)`")
_MARK = re.compile(r"[ \t]*+(?:[-*#>]|\d+\.)?[ \t]*+(?:[-*][ \t]+)?")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_METRIC = re.compile(r"vllm:\w")


def has_metrics(text: str) -> bool:
    """Whether a text names a metric of vLLM's anywhere."""
    return _METRIC.search(text) is not None


def grafana(text: str, schema: Schema, lines: Lines, start: int = 0) -> Part:
    """A dashboard with the release's names; layout and order stay as they are."""
    made: list[str] = []
    changes: list[Change] = []
    at, end = 0, 0
    while (key := _STRING.search(text, at)) is not None:
        at = key.end()
        colon = _FOLLOWS.match(text, at)
        if colon is None or key[0][1:-1] not in _KEYS:
            continue
        value = _STRING.match(text, colon.end())
        if value is None or "vllm" not in value[0]:
            continue
        at = value.end()
        try:
            query = json.loads(value[0], strict=False)
        except ValueError:
            continue
        place = start + value.start() + 1
        new, said = translated(query, schema, lines[place], place)
        changes += said
        if new != query:
            made += [text[end : value.start()], json.dumps(new, ensure_ascii=False)]
            end = value.end()
    return Part("grafana", "vllm", schema.version, tuple(changes), text="".join([*made, text[end:]]), line=lines[start])


def rules(text: str, schema: Schema, lines: Lines, start: int = 0) -> Part | None:
    """Rules, or another YAML file that holds queries, with the release's names; None where it holds none."""
    try:
        roots = list(yaml.compose_all(text, Loader=_LOADER))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    found: list[tuple[int, int, str]] = []
    seen: set[int] = set()
    waiting: list[yaml.Node | None] = list(roots)
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                scalar = isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
                if scalar and key.value in _KEYS and _METRIC.search(value.value):
                    found.append((value.start_mark.index, value.end_mark.index, value.value))
                waiting.append(value)
    if not found:
        return None
    made: list[str] = []
    changes: list[Change] = []
    end = 0
    for begins, ends, _ in sorted(found):
        new, said = translated(text[begins:ends], schema, lines[start + begins], start + begins)
        if not said:  # the whole query stands in quotes
            inner, said = translated(text[begins + 1 : ends - 1], schema, lines[start + begins], start + begins + 1)
            new = text[begins] + inner + text[ends - 1]
        made += [text[end:begins], new]
        changes += said
        end = ends
    whole = "".join([*made, text[end:]])
    return Part("rules", "vllm", schema.version, tuple(changes), text=whole, line=lines[start])


def queries(text: str, schema: Schema, lines: Lines, start: int = 0, end: int | None = None) -> list[Part]:
    """Queries that stand in lines of a text: those in backticks alone where a line has such, else the line itself."""
    end = len(text) if end is None else end
    found = []
    for begins, ends in _pieces(text, start, end):
        query = text[begins:ends]
        new, said = translated(query, schema, lines[begins], begins)
        if said:
            found.append(Part("promql", "vllm", schema.version, tuple(said), text=new, line=lines[begins]))
    return found


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    while at < end:
        line = text.find("\n", at, end)
        line = end if line < 0 else line
        if text.find("vllm:", at, line) >= 0:
            coded = [match.span(1) for match in _CODE.finditer(text, at, line)]
            mark = _MARK.match(text, at, line)
            yield from coded or [(mark.end() if mark else at, line)]
        at = line + 1
