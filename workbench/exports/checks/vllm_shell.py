"""A shell script whose last command is ``vllm serve``: the shell's reader, and the options of its release."""

from __future__ import annotations

import shlex

from workbench.exports.checks import _vllm, shell
from workbench.exports.file import Check, File

KIND = "vllm-shell"
_START = ["vllm", "serve"]


def check(file: File) -> list[Check]:
    """As any script; and the words behind ``vllm serve``."""
    found = shell.check(file)
    if any(one.outcome == "fail" for one in found):
        return found
    words = shlex.split(file.text.replace("\\\n", " "), comments=True)
    at = next((at for at in range(len(words)) if words[at : at + 2] == _START), None)
    if at is None:
        return [*found, Check("vllm serve", "fail", "the script does not start it")]
    return [*found, _vllm.of_command(words[at:], file.version)]


def ask(file: File) -> list[Check]:
    """As any script."""
    return shell.ask(file)
