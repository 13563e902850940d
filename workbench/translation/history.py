"""Which releases have an option, a variable, a metric; and what took a place that the releases themselves do not tell.

The first is read from the parsers that are bundled (``data/engines/vllm_schema/``), the second is
``data/engines/vllm_changes.csv``.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cache, lru_cache

from workbench.datafiles import read_rows
from workbench.engines.tables import parse
from workbench.engines.vllm.command_line import find, normal
from workbench.engines.vllm.schema import Option, Schema, bundled, schema

PARSERS = "the parsers of the releases, data/engines/vllm_schema"


@dataclass(frozen=True, slots=True)
class Row:
    """What took a place, and why; the table says what its columns hold."""

    kind: str
    name: str
    value: str
    first: str
    last: str
    verdict: str
    becomes: str
    text: str
    source: str

    def holds(self, version: str) -> bool:
        """Whether it is said of a release."""
        wanted = parse(version)
        late = bool(self.last) and wanted[:2] > parse(self.last)[:2]
        return not late and not (self.first and wanted < parse(self.first))


@cache
def _table() -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in read_rows("engines", "vllm_changes.csv"):
        found.setdefault((row["kind"], row["name"]), []).append(Row(**row))
    return found


def replaced(kind: str, name: str, version: str) -> Row | None:
    """What is written of an option or a variable that a release does not have."""
    return next((row for row in _table().get((kind, name), ()) if row.holds(version)), None)


def valued(field: str, value: str, version: str) -> Row | None:
    """What is written of one value of an option."""
    rows = _table().get(("value", field), ())
    return next((row for row in rows if row.holds(version) and fnmatch.fnmatchcase(value, _escaped(row.value))), None)


def _escaped(pattern: str) -> str:
    return pattern.replace("[", "[[]")


@cache
def any_release() -> Schema:
    """Every option of every release at once, as the newest that has it takes it."""
    options: dict[str, Option] = {}
    negative: dict[str, Option] = {}
    for version in bundled():
        options |= schema(version).options
        negative |= schema(version).negative
    newest = schema(bundled()[-1])
    return Schema("any", newest.since, options, negative, newest.python_only, newest.variables, newest.metrics)


@lru_cache(maxsize=4096)
def option_of(name: str, version: str | None = None) -> tuple[Option | None, bool]:
    """The option that a word, or a name in Python or YAML, means; and whether as yes.

    In the release first, where it is written out, then in any.
    """
    dashed = normal(name) if name.startswith("-") else "--" + name.replace("_", "-")
    dashed = dashed.partition("=")[0].partition(".")[0]
    if version is not None:
        known = schema(version)
        if dashed in known.options or dashed in known.negative:
            return find(dashed, known)
    option, on = find(dashed, any_release())
    return (option, on) if option is not None else (any_release().by_field(name.replace("-", "_")), True)


def is_option(name: str) -> bool:
    """Whether any release, or the table, knows the name."""
    field = name.lstrip("-").partition("=")[0].partition(".")[0].replace("-", "_")
    return bool(field) and (option_of(name)[0] is not None or ("option", field) in _table())


@cache
def _variables() -> frozenset[str]:
    of_releases = {name for version in bundled() for name in schema(version).variables}
    return frozenset(of_releases | {name for kind, name in _table() if kind == "variable"})


def is_variable(name: str) -> bool:
    """Whether a variable of the environment is vLLM's, or is taken for one."""
    return name.startswith("VLLM_") or name in _variables()


@lru_cache(maxsize=1024)
def releases(words: tuple[str, ...]) -> tuple[str, str] | None:
    """The first and the last bundled release that has an option under any of these words; None where none has."""
    having = [
        version
        for version in bundled()
        if any(word in schema(version).options or word in schema(version).negative for word in words)
    ]
    return (having[0], having[-1]) if having else None


@lru_cache(maxsize=1024)
def variable_releases(name: str) -> tuple[str, str] | None:
    """The first and the last bundled release that knows a variable."""
    having = [version for version in bundled() if name in schema(version).variables]
    return (having[0], having[-1]) if having else None


@lru_cache(maxsize=1024)
def metric_releases(name: str) -> tuple[str, str] | None:
    """The first and the last bundled release that shows a metric without being asked to."""
    having = [
        version for version in bundled() if (metric := schema(version).metrics.get(name)) and metric.only != "hidden"
    ]
    return (having[0], having[-1]) if having else None


def until(found: tuple[str, str] | None, version: str) -> str:
    """In words: since when a release lacks what others have.

    >>> until(("0.5.5", "0.17.1"), "0.33.0"), until(("0.20.2", "0.33.0"), "0.8.5"), until(None, "0.33.0")
    ('0.17.1 was the last release seen with it', '0.20.2 is the first release seen with it', '')
    """
    if found is None:
        return ""
    if parse(version) < parse(found[0]):
        return f"{found[0]} is the first release seen with it"
    return f"{found[1]} was the last release seen with it"
