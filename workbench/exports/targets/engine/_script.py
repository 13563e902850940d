"""What the start scripts of all engines share."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.writing import command, script


def start(subject: Subject, variables: Sequence[str] = ()) -> File:
    """``serve.sh`` in the engine's folder: variables, the key asked for, the start line in place of the shell.

    Parameters
    ----------
    variables : sequence of str
        More lines before the start, already quoted.
    """
    address = subject.server.address("127.0.0.1", subject.wishes.port)
    parts = ["\n".join([*environment(subject), *variables])]
    if subject.key:
        parts.append(key(subject))
    else:
        parts.append("# This server asks for no key: it listens on this machine alone, behind what asks for one.")
    parts.append(f"exec {command([*subject.words, *address])}{subject.key_in_shell}")
    return File(f"{subject.folder}/serve.sh", "shell", script(*parts), executable=True)


def environment(subject: Subject) -> list[str]:
    """Lines that set environment variables; what the caller has set of place and GPUs stays."""
    lines = [f"export {name}={value}" for name, value in subject.server.variables.items()]
    if subject.gpus:
        name = "HIP_VISIBLE_DEVICES" if subject.plan.card.vendor == "AMD" else "CUDA_VISIBLE_DEVICES"
        numbers = ",".join(map(str, range(subject.gpus)))
        lines += ["# Which GPUs of this machine it may use.", f'export {name}="${{{name}:-{numbers}}}"']
    if subject.from_hub:
        name = subject.server.cache
        lines += ["# Where downloads are kept.", f'export {name}="${{{name}:-$HOME/.cache/huggingface}}"']
    else:
        lines += ["# The checkpoint is here: nothing is asked of the hub.", "export HF_HUB_OFFLINE=1"]
    return lines


def key(subject: Subject) -> str:
    """Lines that refuse to start without a key."""
    return (
        '# Clients must send this key: "Authorization: Bearer …". Keep it out of files.\n'
        f': "${{{subject.key}:?set it to the key that clients must send}}"\n'
        f"export {subject.key}"
    )


def beside(subject: Subject) -> list[File]:
    """The files that the start line names, in the engine's folder."""
    return [
        File(f"{subject.folder}/{file.path}", file.kind, file.text, file.language) for file in subject.configuration
    ]


def run(subject: Subject) -> str:
    """The step that starts it."""
    named = "from the folder of this README " if subject.configuration else ""
    asked = f"Put a key into `{subject.key}` and run" if subject.key else "Run"
    return f"{asked} `{subject.folder}/serve.sh` {named}".rstrip() + "."


def one_machine(subject: Subject) -> str | None:
    """Why a script for one machine cannot be written; None if it can."""
    return subject.outgrows


def there(subject: Subject) -> list[str]:
    """The step that a checkpoint on disk needs."""
    return [] if subject.from_hub else [f"The checkpoint must lie at `{subject.model_path}`."]
