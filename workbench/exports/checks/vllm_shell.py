"""A shell script whose last command is ``vllm serve``: the shell's reader, and the options of its release."""

from __future__ import annotations

import shlex

from workbench.exports.checks import _installed_vllm, _vllm, shell
from workbench.exports.file import Check, File

KIND = "vllm-shell"
_START = ["vllm", "serve"]


def check(file: File) -> list[Check]:
    """As any script; and the words behind ``vllm serve``."""
    found = shell.check(file)
    if any(one.outcome == "fail" for one in found):
        return found
    words = _command(file)
    if not words:
        return [*found, Check("vllm serve", "fail", "the script does not start it")]
    return [*found, _vllm.of_command(words, file.version)]


def ask(file: File) -> list[Check]:
    """As any script; and the installed vLLM, where it is the plan's release."""
    return [*shell.ask(file), *_installed_vllm.ask(_command(file), file.version)]


def _command(file: File) -> list[str]:
    """Words from ``vllm serve`` on."""
    words = shlex.split(file.text.replace("\\\n", " "), comments=True)
    return next((words[at:] for at in range(len(words)) if words[at : at + 2] == _START), [])
