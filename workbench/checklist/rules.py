"""Prometheus rules: from files, or from a running Prometheus; and which of them would tell what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.checklist.manifests import at, items

#: What a metric's name looks like in an expression; words of the language are left out by :func:`metrics_in`.
_NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][a-zA-Z0-9_:]*")  # not the end of a number: 1e6, 5m
_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
_LABELS = re.compile(r"\{[^{}]*\}")
_BY = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_CALL = re.compile(r"[a-zA-Z_]\w*(?=\s*\()")
_RANGE = re.compile(r"\[[^\[\]]*\]")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "e"})
_COMPARED = re.compile(r"(?:>=?|==|<=?)\s*(?:bool\s+)?(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Rule:
    """One alerting or recording rule.

    Attributes
    ----------
    name, expr : str
        Its name; its expression.
    alerting : bool
        Whether it wakes somebody.
    where : str
        File or server it comes from.
    health : str
        "ok", "err" or "unknown", as a running Prometheus says; empty from a file.
    """

    name: str
    expr: str
    alerting: bool
    where: str
    health: str = ""

    @property
    def metrics(self) -> set[str]:
        """Names of the metrics it looks at."""
        return metrics_in(self.expr)

    @property
    def bounds(self) -> list[float]:
        """Numbers it compares with."""
        return [float(found) for found in _COMPARED.findall(_LABELS.sub("", _STRING.sub('""', self.expr)))]


def metrics_in(expr: str) -> set[str]:
    """Names of metrics in an expression.

    >>> sorted(metrics_in('histogram_quantile(0.99, sum by (le) (rate(vllm:latency_bucket[5m]))) > 3'))
    ['vllm:latency_bucket']
    >>> sorted(metrics_in('sum(rate(a_total{code=~"5.."}[5m])) / sum(rate(a_total[5m])) > 0.01 and on(x) b'))
    ['a_total', 'b']
    >>> sorted(metrics_in("1e6 * cost offset 5m"))
    ['cost']
    """
    found = {n for labels in _LABELS.findall(expr) for n in re.findall(r'__name__\s*=\s*"([^"]+)"', labels)}
    text = _RANGE.sub(" ", _BY.sub(" ", _LABELS.sub(" ", _STRING.sub('""', expr))))
    text = _CALL.sub(" ", text)
    return found | {name for name in _NAME.findall(text) if name.casefold() not in _WORDS}


def in_files(objects: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """Rules of rule files and of PrometheusRule objects."""
    found = []
    for one in objects:
        groups = at(one, "spec", "groups") if one.get("kind") == "PrometheusRule" else one.get("groups")
        for group in items(groups):
            for rule in items(group.get("rules")):
                name = rule.get("alert") or rule.get("record")
                if name and rule.get("expr") is not None:
                    found.append(Rule(str(name), str(rule["expr"]), "alert" in rule, str(one.get("_file", ""))))
    return found


def in_prometheus(answer: Any) -> list[Rule]:
    """Rules of ``/api/v1/rules``."""
    found = []
    for group in items(at(answer, "data", "groups")):
        for rule in items(group.get("rules")):
            alerting = rule.get("type") == "alerting"
            name, query, health = rule.get("name"), rule.get("query"), rule.get("health")
            found.append(Rule(str(name), str(query), alerting, "Prometheus", str(health or "unknown")))
    return found


def about(rules: Sequence[Rule], *patterns: str) -> list[Rule]:
    """Rules whose expression matches one of the patterns."""
    return [rule for rule in rules if any(re.search(pattern, rule.expr) for pattern in patterns)]
