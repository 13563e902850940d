"""One setting against a release: what is said of it, and what stands for it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.engines.vllm.command_line import normal, unknown
from workbench.engines.vllm.schema import Option, Schema
from workbench.translation import history, values
from workbench.translation.history import PARSERS
from workbench.translation.pasted import Setting
from workbench.translation.result import Change


@dataclass(frozen=True, slots=True)
class New:
    """One thing of the new command: a field of the engine's arguments, or one key of a field that is an object."""

    field: str
    values: tuple[str, ...] = ()
    on: bool = True
    key: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of a setting, and what stands for it."""

    change: Change
    new: tuple[New, ...] = ()


@dataclass(frozen=True)
class Around:
    """What a setting is judged with: the release, the form it came in, and the settings beside it by field."""

    schema: Schema
    form: str
    beside: Mapping[str, str]
    model: str | None

    @property
    def version(self) -> str:
        """The release."""
        return self.schema.version


def judge(setting: Setting, around: Around, line: int, offer: bool = True) -> Judged:
    """What becomes of a setting.

    Parameters
    ----------
    setting : Setting
    around : Around
    line : int
        The line it stands in.
    offer : bool
        Whether the nearest names are looked for, where nobody knows it.
    """
    said = _Saying(setting, line)
    if setting.variable:
        return _variable(said, around)
    name, _, key = _parts(setting.name)
    if name == "-O" and around.schema.by_field("optimization_level"):
        name = "--optimization-level"
    option, positive = history.option_of(name, around.version)
    field = option.field if option else name.lstrip("-").replace("-", "_")
    on = setting.on and positive
    there = around.schema.by_field(field)
    if not setting.known and option is None and not name.startswith("-"):
        return said(
            "wrong", text=f"{setting.name[:60]!r} belongs to no option: a switch takes no value, a text needs quotes"
        )
    if not setting.known:
        new = (New(field, setting.values, on, key),) if there else ()
        return said("kept" if there else "unknown", new, "its value stands in a variable; it is written as it is", "")
    if key and there:
        against = there.no_key(key)
        return said("wrong", (), against, PARSERS) if against else said("kept", (New(field, setting.values, on, key),))
    if (row := history.valued(field, _text(setting, on), around.version)) is not None:
        return _replaced(said, row, setting.values, around, on)
    if there is None:
        return _absent(said, name, field, option, around, on, offer)
    return _present(said, there, around, on)


class _Saying:
    """Makes the Change of one setting."""

    def __init__(self, setting: Setting, line: int) -> None:
        self.setting, self.line = setting, line

    def __call__(self, status: str, new: Sequence[New] = (), text: str = "", source: str = "") -> Judged:
        setting = self.setting
        becomes = " ".join(shown(item) for item in new)
        change = Change(
            setting.name, " ".join(setting.values), status, becomes, text, source, self.line, setting.start, setting.end
        )
        return Judged(change, tuple(new))


def shown(item: New) -> str:
    """A new setting as a person reads it: ``--name value``, ``--no-name``, ``--name.key value``."""
    name = "--" + ("" if item.on else "no-") + item.field.replace("_", "-") + (f".{item.key}" if item.key else "")
    return " ".join((name, *item.values))


def _parts(name: str) -> tuple[str, str, str]:
    """A name and the key of its object, where it names one."""
    head, dot, key = (normal(name) if name.startswith("-") else name).partition(".")
    return head, dot, key


def _text(setting: Setting, on: bool) -> str:
    """The value as the table of changes writes it."""
    if setting.values and not (len(setting.values) == 1 and setting.values[0].casefold() in ("true", "false")):
        return " ".join(setting.values)
    return "true" if on and setting.values[:1] not in (("false",), ("False",)) else "false"


def _variable(said: _Saying, around: Around) -> Judged:
    setting = said.setting
    name = setting.name
    if name in around.schema.variables or not history.is_variable(name):
        return said("kept")
    row = history.replaced("variable", name, around.version)
    if row is not None and row.verdict != "wrong":
        return _replaced(said, row, setting.values, around, True)
    if row is not None:
        return said("wrong", (), row.text, row.source)
    seen = history.variable_releases(name)
    if seen:
        return said(
            "removed", (), f"vLLM {around.version} does not read it: {history.until(seen, around.version)}", PARSERS
        )
    return said("unknown", (), "no release that is bundled reads it", PARSERS)


def _absent(
    said: _Saying, name: str, field: str, option: Option | None, around: Around, on: bool, offer: bool
) -> Judged:
    """An option that the release does not have."""
    words = (option.name, *option.aliases) if option else ()
    seen = history.releases(words) if option else None
    row = history.replaced("option", field, around.version)
    if row is not None:
        return _replaced(said, row, said.setting.values, around, on, history.until(seen, around.version))
    if seen is not None:
        text = f"vLLM {around.version} does not have it: {history.until(seen, around.version)}"
        return said("removed", (), text, PARSERS)
    if field in around.schema.python_only:
        return said("kept", (), "an argument in Python that is no option of the command", PARSERS)
    dashed = "--" + field.replace("_", "-")
    return said("unknown", (), unknown(dashed, around.schema, offer) + "; nor has any release before", PARSERS)


def _replaced(
    said: _Saying, row: history.Row, given: tuple[str, ...], around: Around, on: bool, seen: str = ""
) -> Judged:
    """What the table of changes says of it."""
    new = [made for word in row.becomes.split() if (made := _becomes(word, given, around.schema, on)) is not None]
    text = "; ".join(part for part in (row.text, seen) if part)
    if row.becomes and not new:
        return said("removed", (), text, row.source)
    return said(row.verdict, new, text, row.source)


def _becomes(word: str, given: tuple[str, ...], known: Schema, on: bool) -> New | None:
    """One word of the table's column ``becomes``; None where the release does not have it."""
    name, equals, value = word.partition("=")
    no = name.startswith("no-")
    field, _, key = name.removeprefix("no-").partition(".")
    option = known.by_field(field)
    if (option is None and field != "model") or (option is not None and key and option.no_key(key)):
        return None
    taken = (value,) if equals else given
    if option is not None and not option.takes_value and not key:
        return New(field, (), on and not no)
    return New(field, taken, True, key)


def _present(said: _Saying, option: Option, around: Around, on: bool) -> Judged:
    """An option that the release has: its value."""
    setting, field = said.setting, option.field
    if around.form == "python" and option.server_only:
        return said("wrong", (), "an option of the server; the engine in Python does not take it", PARSERS)
    if not option.takes_value:
        return _switch(said, option, around, on)
    typed = around.form in ("shell", "docker", "kubernetes")
    if typed and not setting.values and option.nargs not in ("?", "*"):
        return said("wrong", (), f"{option.name} needs a value", PARSERS)
    if setting.values in ((), ("None",)) and option.default is None and (not setting.values or not option.takes_none):
        return said("default", (), "nothing is what it takes when it is left out", PARSERS)
    guess = values.guess(field, setting.values, around.schema, around.model, around.beside)
    if guess is not None:
        return said(guess.status, (New(field, guess.values),) if guess.values else (), guess.text, guess.source)
    objection = next((text for value in setting.values if (text := option.objection(value))), "")
    if objection:
        mended = tuple(_mended(option, value) for value in setting.values)
        new = (New(field, mended),) if all(mended) else ()
        return said("wrong", new, objection, PARSERS)
    if values.same(option, setting.values):
        return said("default", (), f"{_default(option)} is the default", PARSERS)
    if option.deprecated:
        return said("kept", (New(field, setting.values),), f"deprecated in vLLM {around.version}", PARSERS)
    return said("kept", (New(field, setting.values),))


def _switch(said: _Saying, option: Option, around: Around, on: bool) -> Judged:
    """An option that is on or off."""
    given = said.setting.values[0].casefold() if said.setting.values else ""
    if given and given not in ("true", "false", "1", "0", "none", "null"):
        return said("wrong", (), f"{option.name} is on or off, not {given[:40]!r}", PARSERS)
    wanted = on and given not in ("false", "0")
    if given in ("none", "null") or option.default is wanted:
        return said("default", (), f"{'on' if option.default else 'off'} is the default", PARSERS)
    if not wanted and not option.negative:
        return said("default", (), "off unless it is asked for", PARSERS)
    new = (New(option.field, (), wanted),)
    inline = given and around.form in ("shell", "docker", "kubernetes")
    return said("wrong", new, "a switch of the command takes no value", PARSERS) if inline else said("kept", new)


def _mended(option: Option, value: str) -> str:
    """The value that was meant, where only its case or a blank is wrong."""
    return next((choice for choice in option.choices if choice.casefold() == value.strip().casefold()), "")


def _default(option: Option) -> str:
    return str(option.default) if option.default not in ("", None) else "nothing"
