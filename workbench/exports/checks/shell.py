"""Shell scripts: quotes that close, one command a line; ``sh -n`` and shellcheck read them whole."""

from __future__ import annotations

import shlex

from workbench.exports.checks import _programs
from workbench.exports.file import Check, File

KIND = "shell"


def check(file: File) -> list[Check]:
    """Whether each command's words can be told apart."""
    try:
        shlex.split(file.text, comments=True)
    except ValueError as error:
        return [Check("shlex", "fail", str(error))]
    if "\r" in file.text or not file.text.endswith("\n"):
        return [Check("shlex", "fail", "lines must end with a newline alone")]
    return [Check("shlex", "pass")]


def ask(file: File) -> list[Check]:
    """The shell itself and shellcheck."""
    return [
        _programs.ask(file, "sh", ["-n", "{}"], "sh -n"),
        _programs.ask(file, "shellcheck", ["--severity=warning", "--shell=sh", "{}"]),
    ]
