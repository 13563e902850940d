"""PromQL, read by a port of Prometheus' own parser."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.exports.file import Check

_READER = "promql-parser"
#: Grafana's own variables for times; it puts a duration there before Prometheus sees it.
_TIMES = re.compile(r"\$(?:__rate_interval|__interval|__range|\{__rate_interval\}|\{__interval\}|\{__range\})")


def read(expressions: Iterable[tuple[str, str]]) -> Check:
    """What the parser says of expressions, each with the name it is reported by."""
    try:
        import promql_parser
    except ImportError:
        return Check(_READER, "unchecked", "pip install 'llm-workbench[export]'")
    wrong = []
    for name, expression in expressions:
        try:
            promql_parser.parse(_TIMES.sub("5m", expression))
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    return Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")
