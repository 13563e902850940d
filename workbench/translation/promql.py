"""Names of vLLM's metrics in a query, for another release; labels, their values and other text stay as they are.

References
----------
https://prometheus.io/docs/prometheus/latest/querying/basics/ (literals, selectors, comments).
https://prometheus.io/docs/concepts/metric_types/ (what a client adds to a name: ``_total``, ``_bucket`` …).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from workbench.datafiles import read_rows
from workbench.engines.vllm.schema import Schema
from workbench.engines.vllm.schema import schema as schema_of
from workbench.translation import history
from workbench.translation.history import PARSERS
from workbench.translation.pasted import Lines
from workbench.translation.result import Change

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?|`[^`]*+`?)"""
    r"""|(?P<comment>\#[^\n]*)|(?P<name>[A-Za-z_:][\w:]*+)|(?P<number>\d[\w.]*+)|(?P<space>\s++)|(?P<other>.)""",
    re.DOTALL,
)
_METRIC = re.compile(r"vllm:\w")
_ENDINGS = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created"), "gauge": ("",)}
_RATES = ("rate", "irate", "increase")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query."""

    kind: str
    text: str
    start: int


def tokens(query: str) -> list[Token]:
    """A query in pieces, none left out.

    >>> [token.text for token in tokens('sum(a:b{job="x"})') if token.kind == "name"]
    ['sum', 'a:b', 'job']
    """
    return [Token(str(match.lastgroup), match[0], match.start()) for match in _TOKEN.finditer(query)]


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in read_rows("engines", "vllm_metric_changes.csv")}


def translated(query: str, schema: Schema, line: int = 1, start: int = 0) -> tuple[str, list[Change]]:
    """A query with the release's names, and what was said of each.

    Parameters
    ----------
    query : str
    schema : Schema
        The release.
    line, start : int
        Where the query stands in the whole text.
    """
    pieces = tokens(query)
    made: list[str] = []
    changes: list[Change] = []
    lines = Lines(query)
    at, depth = 0, 0
    while at < len(pieces):
        piece = pieces[at]
        if piece.text in "{}" and piece.kind == "other":
            depth += 1 if piece.text == "{" else -1
        own = piece.kind == "name" and depth == 0 and _METRIC.match(piece.text) is not None
        quoted = piece.kind == "string" and depth > 0 and _is_name(pieces, at)
        if not (own or quoted):
            made.append(piece.text)
            at += 1
            continue
        name = piece.text[1:-1] if quoted else piece.text
        where = line + lines[piece.start] - 1
        status, new, text, source = _becomes(name, schema.version)
        if own and status == "kept" and _rated(pieces, at) and _kind(name, schema) == "gauge":
            status, text, new = "wrong", _misuse(name), _mended(name, made)
            source = "https://prometheus.io/docs/prometheus/latest/querying/functions/#rate"
        becoming = new
        if "{" not in new:
            made.append(piece.text.replace(name, new or name))
            at += 1
        elif quoted:
            made.append(piece.text)
            becoming, status = "", "removed"
            at += 1
        else:
            at, selected = _selector(pieces, at + 1)
            expression, at = _filled(new, selected, pieces, at)
            made.append(expression)
            becoming = expression
        place = start + piece.start
        changes.append(
            Change(
                name, "", status, becoming if becoming != name else "", text, source, where, place, place + len(name)
            )
        )
    return "".join(made), changes


def becomes(name: str, schema: Schema) -> tuple[str, str, str, str]:
    """Status, what stands for a series, why, and what says so; an expression that stands for it holds ``{}``."""
    base, ending = _parted(name, schema)
    metric = schema.metrics.get(base)
    if metric is not None and metric.only == "":
        endings = _ENDINGS[metric.kind]
        if ending in endings:
            return "kept", name, "", ""
        if metric.kind == "counter":
            return (
                "renamed",
                base + "_total",
                "a counter's series end in _total",
                "https://prometheus.io/docs/practices/naming/",
            )
        text = f"a histogram has no series of its name: ask {base}_bucket, _sum or _count"
        return "wrong", "", text, "https://prometheus.io/docs/concepts/metric_types/#histogram"
    row = _rows().get(base)
    seen = history.until(history.metric_releases(base), schema.version)
    if row is not None:
        new = row["becomes"]
        text = "; ".join(part for part in (row["text"], seen) if part)
        if new and "{" not in new:
            if new not in schema.metrics:
                return "removed", "", text, row["source"]
            kind = schema.metrics[new].kind
            ending = ending if ending in _ENDINGS[kind] else _ENDINGS[kind][0]
            return "renamed", new + ending, text, row["source"]
        return row["verdict"], new, text, row["source"]
    if metric is not None:
        text = (
            "shown only where --show-hidden-metrics-for-version asks for it"
            if metric.only == "hidden"
            else "the older engine's"
        )
        return "removed", "", text, PARSERS
    if seen:
        return "removed", "", f"vLLM {schema.version} does not have it: {seen}", PARSERS
    return "unknown", "", f"vLLM {schema.version} has no metric {base}, nor has any release before", PARSERS


@lru_cache(maxsize=4096)
def _becomes(name: str, version: str) -> tuple[str, str, str, str]:
    return becomes(name, schema_of(version))


def _parted(name: str, schema: Schema) -> tuple[str, str]:
    """A metric's name, and what its series adds to it."""
    if name in schema.metrics or name in _rows():
        return name, ""
    for ending in ("_total", "_bucket", "_sum", "_count", "_created"):
        base = name.removesuffix(ending)
        if base != name and (base in schema.metrics or base in _rows() or history.metric_releases(base)):
            return base, ending
    return name, ""


def _kind(name: str, schema: Schema) -> str:
    metric = schema.metrics.get(name)
    return metric.kind if metric else ""


def _mended(name: str, made: list[str]) -> str:
    """What stands for a gauge in a rate: the tokens that were meant, else its mean, by the function before it."""
    if name == "vllm:num_requests_running":
        return "vllm:generation_tokens_total"
    at = next(at for at in range(len(made) - 1, -1, -1) if made[at] in _RATES)
    made[at] = "avg_over_time"
    return name


def _misuse(name: str) -> str:
    if name == "vllm:num_requests_running":
        return (
            "a rate is of counters, and this counts requests in flight: throughput is"
            " rate(vllm:generation_tokens_total[1m]), what to scale by vllm:num_requests_waiting"
        )
    return "a rate is of counters, and this is a gauge: ask for its value, or avg_over_time of it"


def _near(pieces: Sequence[Token], at: int, step: int) -> Iterator[int]:
    """Places of the pieces before or after one, blanks and comments left out."""
    at += step
    while 0 <= at < len(pieces):
        if pieces[at].kind not in ("space", "comment"):
            yield at
        at += step


def _rated(pieces: Sequence[Token], at: int) -> bool:
    """Whether a series stands directly in a rate."""
    before = _near(pieces, at, -1)
    bracket = next(before, None)
    function = next(before, None)
    return (
        bracket is not None and function is not None and pieces[bracket].text == "(" and pieces[function].text in _RATES
    )


def _is_name(pieces: Sequence[Token], at: int) -> bool:
    """Whether a string in braces is a metric's name: ``{"name"}`` or ``{__name__="name"}``."""
    if not pieces[at].text[1:].startswith("vllm:"):
        return False
    before = list(_first(_near(pieces, at, -1), 2))
    if pieces[before[0]].text == "=" and len(before) > 1:
        return pieces[before[1]].text == "__name__"
    after = next(_near(pieces, at, 1), None)
    return pieces[before[0]].text in "{," and after is not None and pieces[after].text in ",}"


def _first(places: Iterator[int], count: int) -> Iterator[int]:
    for place, _ in zip(places, range(count), strict=False):
        yield place


def _selector(pieces: Sequence[Token], at: int) -> tuple[int, str]:
    """The labels in braces after a name, and where they end."""
    follows = next(_near(pieces, at - 1, 1), None)
    if follows is None or pieces[follows].text != "{":
        return at, ""
    close = follows
    while close < len(pieces) and not (pieces[close].text == "}" and pieces[close].kind == "other"):
        close += 1
    return min(close + 1, len(pieces)), "".join(piece.text for piece in pieces[follows : close + 1])


def _filled(expression: str, selected: str, pieces: Sequence[Token], at: int) -> tuple[str, int]:
    """An expression for a series, with its labels; a range after it becomes a subquery."""
    made = expression.replace("{}", selected)
    follows = next(_near(pieces, at - 1, 1), None)
    if follows is None or pieces[follows].text != "[":
        return f"({made})" if "/" in made else made, at
    close = follows
    while close < len(pieces) and pieces[close].text != "]":
        close += 1
    inside = "".join(piece.text for piece in pieces[follows + 1 : close])
    inside = inside if ":" in inside else inside + ":"
    return f"({made})[{inside}]", min(close + 1, len(pieces))
