"""What a shell's words start: vLLM's server, alone or in a container, or another tool; with the variables before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.engines.vllm.command_line import is_option, read
from workbench.translation import history
from workbench.translation.pasted import Pasted, Setting
from workbench.translation.shell import Word, commands

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_BLANK = re.compile(r"\n(?:[ \t\r]*+\n)++")
_NAMED = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_MODULE = "vllm.entrypoints.openai.api_server"
_CONTAINERS = ("docker", "podman", "nerdctl")
#: Programs that run another, and how many words of their own follow at least.
_WRAPPERS = {"sudo": 0, "nohup": 0, "exec": 0, "time": 0, "env": 0, "nice": 0, "uv": 1, "uvx": 0, "command": 0}
#: Options of those that take a value.
_WITH_VALUE = ("-n", "-u", "-g", "-C")
#: Options of ``docker run`` that stand alone.
_ALONE = {
    "-d", "--detach", "-i", "--interactive", "-t", "--tty", "-it", "-ti", "--rm", "--init", "--privileged", "-P",
    "--publish-all", "--read-only", "--no-healthcheck", "--oom-kill-disable", "--sig-proxy", "-q", "--quiet",
}  # fmt: skip
_IMAGE = re.compile(r"(?:^|/)vllm[\w.-]*(?:[:@]|$)|/vllm[\w.-]*/|vllm-openai")


def pasted(text: str, start: int = 0, end: int | None = None) -> list[Pasted]:
    """Every server that a shell's text starts, and the variables that it sets.

    Variables set by ``export`` or on a line of their own belong to the servers after them; with no server they are a
    part of their own.
    """
    found: list[Pasted] = []
    waiting: list[Setting] = []
    for words in _paragraphs(text, start, len(text) if end is None else end):
        own, rest = _unwrapped(words)
        if not rest:
            waiting += own
            continue
        made = _started(rest)
        if made is not None:
            found.append(_with(made, (*waiting, *own)))
            waiting = []
    if waiting and not found and any(history.is_variable(setting.name) for setting in waiting):
        found.append(Pasted("environment", settings=tuple(waiting), start=waiting[0].start))
    return found


def _paragraphs(text: str, start: int, end: int) -> Iterator[list[Word]]:
    """Commands of each paragraph by itself, so that a quote that is never closed spoils no more than its own."""
    for blank in _BLANK.finditer(text, start, end):
        yield from commands(text, start, blank.start())
        start = blank.end()
    yield from commands(text, start, end)


def _with(made: Pasted, variables: Sequence[Setting]) -> Pasted:
    """With the variables before it, and with their values where it names them."""
    if made.program != "vllm":
        return made
    values = {setting.name: setting.values[0] for setting in variables}
    settings = tuple(_filled(setting, values) for setting in made.settings)
    model = _filled(made.model, values) if made.model else None
    kept = tuple(setting for setting in variables if not _names(made, setting.name))
    start = variables[0].start if variables else made.start
    return replace(made, settings=(*kept, *settings), model=model, start=start)


def _filled(setting: Setting, values: dict[str, str]) -> Setting:
    filled = tuple(
        _NAMED.sub(lambda found: values.get(found[1] or found[2], found[0]), value) for value in setting.values
    )
    return replace(setting, values=filled, known=setting.known and not any(_NAMED.search(value) for value in filled))


def _names(made: Pasted, name: str) -> bool:
    """Whether a server's own words name a variable."""
    given = [setting.values for setting in (*made.settings, *([made.model] if made.model else []))]
    return any(name in (found[1], found[2]) for values in given for value in values for found in _NAMED.finditer(value))


def _variables(words: Sequence[Word]) -> tuple[list[Setting], list[Word]]:
    """Assignments before a command, and what follows them."""
    at = 0
    if words and words[0].text in ("export", "ENV", "ARG", "set"):
        at = 1
    found = []
    while at < len(words) and (assigned := _ASSIGNED.fullmatch(words[at].text)) is not None:
        found.append(Setting(assigned[1], (assigned[2],), words[at].start, words[at].end, variable=True))
        at += 1
    return found, list(words[at:]) if at else list(words)


def _unwrapped(words: Sequence[Word]) -> tuple[list[Setting], list[Word]]:
    """Variables before a command, and the command without the programs that only run it."""
    found, rest = _variables(words)
    while rest and rest[0].text in _WRAPPERS:
        rest = rest[1 + _WRAPPERS[rest[0].text] :]
        while rest and rest[0].text.startswith("-"):
            rest = rest[2 if rest[0].text in _WITH_VALUE else 1 :]
        more, rest = _variables(rest)
        found += more
    return found, rest


def _started(words: Sequence[Word]) -> Pasted | None:
    """The server that a command starts."""
    if not words:
        return None
    name = words[0].text.rsplit("/", 1)[-1]
    if name == "vllm":  # of its other commands none starts a server
        serves = len(words) > 1 and words[1].text == "serve"
        return served("shell", words[2:], words[0].start, named="vllm serve") if serves else None
    if name in ("CMD", "ENTRYPOINT") and len(words) > 1:
        return _started(_unwrapped(_listed(words[1:]))[1])
    if name.startswith("python") and len(words) > 2 and words[1].text == "-m":
        if words[2].text == _MODULE:
            return served("shell", words[3:], words[0].start, named=_MODULE)
        return Pasted("program", words[2].text, start=words[0].start, words=tuple(words))
    if name in _CONTAINERS and len(words) > 2 and words[1].text == "run":
        return _container(words)
    if words[0].text.startswith("--") and any(history.is_option(word.text) for word in words):
        return served("shell", words, words[0].start, named="")  # options alone, as guides show them
    return Pasted("program", name, start=words[0].start, words=tuple(words))


def _listed(words: Sequence[Word]) -> list[Word]:
    """Words that stand in a list of JSON, as a Dockerfile may have them."""
    if not words[0].text.startswith("["):
        return list(words)
    texts = [(word.text.removeprefix("[").removesuffix("]").rstrip(","), word) for word in words]
    return [Word(text, word.start, word.end) for text, word in texts if text]


def _container(words: Sequence[Word]) -> Pasted:
    """``docker run [options] image [words]``."""
    at = 2
    while at < len(words) and words[at].text.startswith("-"):
        text = words[at].text
        at += 1 if "=" in text or text in _ALONE else 2
    if at >= len(words):
        return Pasted("program", words[0].text, start=words[0].start, words=tuple(words))
    image, inside = words[at], words[at + 1 :]
    variables = _container_variables(words[2:at])
    if not _IMAGE.search(image.text):
        return Pasted("program", image.text, start=words[0].start, words=tuple(words))
    if inside and inside[0].text.rsplit("/", 1)[-1].startswith(("vllm", "python")) and not is_option(inside[0].text):
        made = _started(inside)
        if made is not None and made.program == "vllm":
            inside = inside[2 if made.named == "vllm serve" else 3 :]
    before = tuple(word.raw for word in words[: at + 1])
    made = served("docker", inside, words[0].start, named="docker")
    return Pasted("docker", "vllm", (*variables, *made.settings), made.model, made.start, before, named="docker")


def _container_variables(words: Sequence[Word]) -> list[Setting]:
    found = []
    for at, word in enumerate(words):
        text = word.text
        if text in ("-e", "--env") and at + 1 < len(words):
            text, word = words[at + 1].text, words[at + 1]
        elif text.startswith("--env="):
            text = text.removeprefix("--env=")
        else:
            continue
        if (assigned := _ASSIGNED.fullmatch(text)) is not None:
            found.append(Setting(assigned[1], (assigned[2],), word.start, word.end, variable=True))
    return found


def served(form: str, words: Sequence[Word], start: int, named: str = "vllm serve") -> Pasted:
    """The settings of a server from the words after its name, read as any release would take them."""
    whole = read([word.text for word in words], history.any_release(), offers=0)
    settings = []
    for given in whole.given:
        first, last = words[given.at], words[given.at + given.words - 1]
        name = given.name if not given.key or "." in given.name else f"{given.name}.{given.key}"
        settings.append(Setting(name, given.values, first.start, last.end, given.on))
    model = None
    if whole.model is not None and whole.model_at is not None:
        word = words[whole.model_at]
        model = Setting("model", (word.text,), word.start, word.end)
    extra = [finding for finding in whole.findings if finding.kind == "extra"]
    settings += [Setting(found.word, (), words[found.at].start, words[found.at].end, known=False) for found in extra]
    return Pasted(form, "vllm", tuple(settings), model, start, named=named)
