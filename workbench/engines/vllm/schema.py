"""What each release of vLLM takes: ``data/engines/vllm_schema/``, one file a release, made from its own parser.

Columns of a file: ``option`` as it is written; ``field`` of the engine's arguments in Python; ``kind``, what its value
is read as: "switch" (``--x`` and ``--no-x``), "flag" (``--x``), "int", "float", "str", "size" (1k is 1000, 1K 1024),
"size or auto", "json", "object" (JSON with the keys that are ``named``), "text or json"; "python" for what Python alone
takes; "variable" for one of the environment; "gauge", "counter" or "histogram" for a metric. ``nargs`` as argparse has
it; ``choices`` the only values there are, ``named`` those that its help names among others; ``default`` as JSON;
``aliases`` and ``negative``, other ways to write it and ways to write no. ``notes``: "deprecated"; "none" (takes
"None"); "server" (the server's, not in Python); of a metric "V0" (the older engine's) or "hidden" (shown when asked
for).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

from workbench.datafiles import data_path, read_rows
from workbench.engines.tables import parse
from workbench.engines.vllm import versions as vllm_versions

METRIC_KINDS = ("gauge", "counter", "histogram")
#: Numbers with a unit, which newer releases read inside an object: 80m.
_NUMBERS = re.compile(r"(?<=[:\[,\s])\d+(\.\d+)?[kKmMgGtT](?=[\s,}\]])")
_SIZE = re.compile(r"\d+(\.\d+)?[kKmMgGtT]")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of ``vllm serve``; the module's docstring says what the fields hold."""

    name: str
    field: str
    kind: str
    nargs: str
    choices: tuple[str, ...]
    named: tuple[str, ...]
    default: Any
    aliases: tuple[str, ...]
    negative: tuple[str, ...]
    deprecated: bool
    takes_none: bool
    server_only: bool

    def _of_object(self, value: str) -> str:
        """Why an object is refused: it is none, or has keys that are not known."""
        try:
            found = json.loads(_NUMBERS.sub("0", value))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            return f"{self.name} takes a JSON object, not {value[:60]!r}"
        return next((text for key in found if (text := self.no_key(key))), "")

    def no_key(self, key: str) -> str:
        """That an object has no such key, in words; "" where it has, or where its keys are not known."""
        name = key.partition(".")[0].rstrip("+")
        if self.kind != "object" or not self.named or name in self.named:
            return ""
        close = difflib.get_close_matches(name[:60], self.named, n=1, cutoff=0.7)
        text = f"{self.name} has no key {name[:60]!r}"
        return f"{text}; did you mean {close[0]!r}?" if close else text

    @property
    def takes_value(self) -> bool:
        """Whether a value follows it."""
        return self.kind not in ("switch", "flag")

    def objection(self, value: str) -> str:
        """Why the parser refuses a value, in words; "" where it takes it.

        Examples
        --------
        >>> schema("0.33.0").options["--max-num-seqs"].objection("many")
        "--max-num-seqs takes a whole number, not 'many'"
        """
        if self.takes_none and value in ("", "None"):
            return ""
        if self.choices and value not in self.choices:
            return f"{self.name} takes {_listed(self.choices)}, not {value!r}"
        if self.kind == "object":
            return self._of_object(value)
        takes = _refused(self.kind, value)
        return f"{self.name} takes {takes}, not {value[:60]!r}" if takes else ""


def _listed(values: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(values[:most]) + (", …" if len(values) > most else "")
    return shown if len(values) < 2 else f"one of {shown}"


def _refused(kind: str, value: str) -> str:
    """What a kind takes, where that value is none; "" where it is one."""
    if kind == "int":
        return "" if _is(int, value) else "a whole number"
    if kind == "float":
        return "" if _is(float, value) else "a number"
    if kind in ("size", "size or auto"):
        fine = _is(int, value) or _SIZE.fullmatch(value.strip()) or (value == "auto" and kind == "size or auto")
        return "" if fine else "a whole number, or one with k, K, m, M, g, G, t, T"
    if kind == "json" or (kind == "text or json" and value.strip().startswith("{") and value.strip().endswith("}")):
        return "" if _is(json.loads, value) else "JSON"
    return ""


def _is(reads: Any, value: str) -> bool:
    try:
        reads(value)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name without what Prometheus adds (``_total``, ``_bucket``, ``_sum``, ``_count``)."""

    name: str
    kind: str
    only: str


@dataclass(frozen=True)
class Schema:
    """What one release takes.

    Attributes
    ----------
    version, since : str
        The version asked for, and the release whose file holds for it.
    options : mapping of str to Option
        By every way to write one, the negative ones apart.
    negative : mapping of str to Option
        By every way to write no.
    python_only : frozenset of str
        Arguments in Python that are no option of the command.
    variables : frozenset of str
        Environment variables it knows.
    metrics : mapping of str to Metric
    """

    version: str
    since: str
    options: Mapping[str, Option]
    negative: Mapping[str, Option]
    python_only: frozenset[str]
    variables: frozenset[str]
    metrics: Mapping[str, Metric]

    @cached_property
    def ordered(self) -> list[str]:
        """Every way to write an option in full, in order."""
        return sorted({word for word in (*self.options, *self.negative) if word.startswith("--")})

    @property
    def names(self) -> list[str]:
        """Options by their own names, each once."""
        return [word for word, option in self.options.items() if word == option.name]

    def by_field(self, field: str) -> Option | None:
        """The option of a field of the engine's arguments."""
        return self.options.get("--" + field.replace("_", "-")) or _by_field(self.since).get(field)


def bundled() -> tuple[str, ...]:
    """Releases that have a file, oldest first."""
    return tuple(sorted((path.stem for path in data_path("engines", "vllm_schema").glob("*.csv")), key=parse))


@cache
def schema(version: str | None = None) -> Schema:
    """What a release takes, or the one nearest to it that has a file.

    The same minor release where there is one (0.18.0 is read as 0.18.1), else the newest that is not newer, else the
    oldest.

    Parameters
    ----------
    version : str, optional
        Such as "0.19.0"; the one planned for when omitted.

    Examples
    --------
    >>> schema("0.18.0").since, schema("99.0").since == bundled()[-1]
    ('0.18.1', True)
    """
    version = version or vllm_versions.DEFAULT
    since = _nearest(parse(version))
    return _read(since) if version == since else _named(version, _read(since))


def _nearest(wanted: tuple[int, ...]) -> str:
    known = bundled()
    same = [name for name in known if parse(name)[:2] == wanted[:2]]
    older = [name for name in known if parse(name) <= wanted]
    exact = [name for name in same if parse(name) <= wanted] or same
    return exact[-1] if exact else (older or known[:1])[-1]


def _named(version: str, read: Schema) -> Schema:
    return Schema(version, read.since, read.options, read.negative, read.python_only, read.variables, read.metrics)


@cache
def _read(since: str) -> Schema:
    options: dict[str, Option] = {}
    negative: dict[str, Option] = {}
    python, variables, metrics = set(), set(), {}
    for row in read_rows("engines", "vllm_schema", f"{since}.csv"):
        kind, notes = row["kind"], row["notes"].split()
        if kind == "python":
            python.add(row["field"])
        elif kind == "variable":
            variables.add(row["option"])
        elif kind in METRIC_KINDS:
            metrics[row["option"]] = Metric(row["option"], kind, row["notes"])
        else:
            option = Option(
                name=row["option"],
                field=row["field"],
                kind=kind,
                nargs=row["nargs"],
                choices=tuple(row["choices"].split()),
                named=tuple(row["named"].split()),
                default=json.loads(row["default"]) if row["default"] else None,
                aliases=tuple(row["aliases"].split()),
                negative=tuple(row["negative"].split()),
                deprecated="deprecated" in notes,
                takes_none="none" in notes,
                server_only="server" in notes,
            )
            options[option.name] = option
            options |= dict.fromkeys(option.aliases, option)
            negative |= dict.fromkeys(option.negative, option)
    return Schema(
        since,
        since,
        MappingProxyType(options),
        MappingProxyType(negative),
        frozenset(python),
        frozenset(variables),
        MappingProxyType(metrics),
    )


@cache
def _by_field(since: str) -> dict[str, Option]:
    return {option.field: option for option in _read(since).options.values()}


def options(version: str | None = None) -> tuple[Option, ...]:
    """Every option of a release, each once.

    Examples
    --------
    >>> any(option.name == "--swap-space" for option in options("0.17.1"))
    True
    >>> any(option.name == "--swap-space" for option in options("0.19.0"))
    False
    """
    found = schema(version)
    return tuple(found.options[name] for name in found.names)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a command that a release does not take, or warns of.

    Attributes
    ----------
    at : int
        Which word.
    word : str
        That word.
    kind : {"unknown", "no value", "value", "extra", "deprecated"}
        "deprecated" alone is no refusal.
    text : str
        What is wrong and what to do, in a sentence.
    """

    at: int
    word: str
    kind: str
    text: str

    @property
    def refused(self) -> bool:
        """Whether the parser ends there."""
        return self.kind != "deprecated"


def check(words: Sequence[str], version: str | None = None) -> list[Finding]:
    """What a release's parser has against a ``vllm serve`` command.

    Parameters
    ----------
    words : sequence of str
        With or without ``vllm serve`` before them.
    version : str, optional
        The release; the one planned for when omitted.

    Returns
    -------
    list of Finding
        Empty for a command that the parser takes. What engine and model make of the values is not looked at.

    Examples
    --------
    >>> [finding.text for finding in check(["vllm", "serve", "m", "--max-model-length", "8192"], "0.33.0")]
    ["vLLM 0.33.0 has no --max-model-length; did you mean '--max-model-len'?"]
    >>> check(["vllm", "serve", "m", "--max-model-len", "8k"], "0.33.0")
    []
    """
    from workbench.engines.vllm.command_line import read

    return read(words, schema(version)).findings
