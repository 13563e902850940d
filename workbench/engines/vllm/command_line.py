"""Words of a ``vllm serve`` command as the release's parser takes them: which option, which values.

vLLM's parser is argparse's, with ``_`` and ``-`` the same in names, ``--name.key value`` for one key of a JSON option
(from 0.9 on) and ``-O2`` for a level; like argparse it takes a name cut short where only one option begins so.

References
----------
vLLM 0.33.0, ``utils/argparse_utils.py``, and 0.9.2, ``utils/__init__.py``: ``FlexibleArgumentParser.parse_args``.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.engines.tables import parse
from workbench.engines.vllm.schema import Finding, Option, Schema

#: From here on one key of a JSON option can be given alone.
_DOTTED = (0, 9)
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_LEVEL = re.compile(r"-O=?(\S*)")


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was given.

    Attributes
    ----------
    at : int
        Where its name stands among the words.
    name : str
        As it was written, without a value.
    option : Option or None
        None where the release has none of that name.
    values : tuple of str
    on : bool
        False for ``--no-x``.
    key : str
        "a.b" of ``--name.a.b value``.
    words : int
        How many words it took.
    """

    at: int
    name: str
    option: Option | None
    values: tuple[str, ...] = ()
    on: bool = True
    key: str = ""
    words: int = 1


@dataclass(frozen=True, slots=True)
class Read:
    """A command: its model, its options, what is wrong with it."""

    model: str | None
    model_at: int | None
    given: list[Given]
    findings: list[Finding]


def read(words: Sequence[str], schema: Schema, offers: int = 50) -> Read:
    """Read the words of a command against a release; one pass.

    Parameters
    ----------
    words : sequence of str
        With or without ``vllm serve`` before them.
    schema : Schema
        The release.
    offers : int
        So many times the nearest names are looked for; comparing is what takes time.
    """
    start = 2 if list(words[:2]) == ["vllm", "serve"] else 0
    found = Read(None, None, [], [])
    model: tuple[str, int] | None = None
    at = start
    while at < len(words):
        word = words[at]
        if not is_option(word):
            if model is None:
                model = word, at
            else:
                found.findings.append(
                    Finding(at, word, "extra", f"{word[:60]!r} belongs to no option; quote or drop it")
                )
            at += 1
            continue
        given = _option(words, at, schema, found.findings, offers)
        found.given.append(given)
        at += given.words
    name, where = model or (None, None)
    return Read(name, where, found.given, found.findings)


def is_option(word: str) -> bool:
    """Whether argparse takes a word for an option's name.

    >>> is_option("--port"), is_option("-1"), is_option("-"), is_option("--a name with spaces")
    (True, False, False, False)
    """
    if not word.startswith("-") or len(word) < 2 or _NUMBER.fullmatch(word):
        return False
    return " " not in word.partition("=")[0]


def normal(name: str) -> str:
    """A name with ``-`` for ``_``, up to the first dot.

    >>> normal("--max_model_len"), normal("--kv_transfer_config.kv_role"), normal("-tp")
    ('--max-model-len', '--kv-transfer-config.kv_role', '-tp')
    """
    if not name.startswith("--"):
        return name
    head, dot, rest = name.partition(".")
    return head.replace("_", "-") + dot + rest


def find(name: str, schema: Schema) -> tuple[Option | None, bool]:
    """The option of a name, written out or cut short, and whether it was given as yes."""
    if name in schema.options:
        return schema.options[name], True
    if name in schema.negative:
        return schema.negative[name], False
    if name.startswith("--") and len(name) > 3:
        found: set[tuple[str, bool]] = set()
        at = bisect_left(schema.ordered, name)
        while at < len(schema.ordered) and schema.ordered[at].startswith(name) and len(found) < 2:
            word = schema.ordered[at]
            found.add(
                (schema.options[word].field, True) if word in schema.options else (schema.negative[word].field, False)
            )
            at += 1
        if len(found) == 1:
            field, on = found.pop()
            return schema.by_field(field), on
    return None, True


def unknown(name: str, schema: Schema, offer: bool = True) -> str:
    """That a release has no such option, with the nearest that it has."""
    known = [word for word in (*schema.options, *schema.negative) if word.startswith("--")] if offer else []
    close = difflib.get_close_matches(name[:80], known, n=2, cutoff=0.75)
    text = f"vLLM {schema.version} has no {name[:80]}"
    return text + (f"; did you mean {' or '.join(repr(word) for word in close)}?" if close else "")


def _option(words: Sequence[str], at: int, schema: Schema, findings: list[Finding], offers: int) -> Given:
    """The option at a word, with the values that belong to it; what is wrong goes to the findings."""
    written, equals, inline = words[at].partition("=")
    level = _LEVEL.fullmatch(words[at])
    if level and "-O" not in schema.options and schema.by_field("optimization_level"):
        option = schema.by_field("optimization_level")
        follows = [] if level[1] else _following(words, at + 1, "")
        return Given(at, "-O", option, (level[1],) if level[1] else tuple(follows), words=1 + len(follows))
    if level and level[1] and "-O" in schema.options:
        return Given(at, "-O", schema.options["-O"], (level[1],))
    name = normal(written)
    key = ""
    option, on = find(name, schema)
    if option is None and "." in name and parse(schema.since) >= _DOTTED:
        head, _, key = name.partition(".")
        option, on = find(head, schema)
        if option is not None and option.kind not in ("json", "object", "text or json"):
            option, key = None, ""
    if option is None:
        findings.append(Finding(at, written, "unknown", unknown(name, schema, len(findings) < offers)))
        values = [inline] if equals else _following(words, at + 1, "*")
        return Given(at, written, None, tuple(values), words=1 if equals else 1 + len(values))
    if option.deprecated:
        findings.append(Finding(at, written, "deprecated", f"{option.name} is deprecated in vLLM {schema.version}"))
    if not option.takes_value:
        if equals:
            findings.append(Finding(at, written, "value", f"{option.name} takes no value: it is on where it stands"))
        return Given(at, written, option, (inline,) if equals else (), on)
    values = [inline] if equals else _following(words, at + 1, option.nargs)
    if not values and option.nargs not in ("?", "*"):
        findings.append(Finding(at, written, "no value", f"{option.name} needs a value"))
    objections = [objection for value in values if not key and (objection := option.objection(value))]
    if key and (objection := option.no_key(key)):
        objections.append(objection)
    findings += [Finding(at, written, "value", objection) for objection in objections]
    return Given(at, written, option, tuple(values), on, key, 1 if equals else 1 + len(values))


def _following(words: Sequence[str], at: int, nargs: str) -> list[str]:
    """Values after a name: one, or all up to the next option."""
    most = len(words) if nargs in ("+", "*") else int(nargs) if nargs.isdigit() else 1
    found: list[str] = []
    while at + len(found) < len(words) and len(found) < most and not is_option(words[at + len(found)]):
        found.append(words[at + len(found)])
    return found
