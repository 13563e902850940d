"""What targets write with: command lines of a shell, YAML."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def command(words: Sequence[str], indent: str = "    ") -> str:
    r"""A command line, an option a line where it is long; quoted for a POSIX shell.

    >>> print(command(["docker", "run", "--gpus", "all", "--env", "A=b c", "image", "a-model-with-a-long-name" * 4]))
    docker run \
        --gpus all \
        --env 'A=b c' \
        image \
        a-model-with-a-long-namea-model-with-a-long-namea-model-with-a-long-namea-model-with-a-long-name
    """
    quoted = shlex.join(words)
    if len(quoted) <= 100:
        return quoted
    lines: list[list[str]] = [[]]
    for word in words:
        option, value = word.startswith("--"), len(lines[-1]) == 1 and lines[-1][0].startswith("--")
        starts = not option and len(lines) == 1  # the program's own words
        if not starts and not (value and not option):
            lines.append([])
        lines[-1].append(word)
    return f" \\\n{indent}".join(shlex.join(line) for line in lines if line)


def script(*parts: str) -> str:
    """A script of the POSIX shell that stops at the first mistake."""
    return "#!/bin/sh\nset -eu\n\n" + "\n\n".join(parts) + "\n"


def as_yaml(*documents: Mapping[str, Any]) -> str:
    """YAML in the order of its keys as given; several documents parted by ``---``."""
    import yaml

    return yaml.dump_all(
        documents, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100, explicit_start=len(documents) > 1
    )


def _dumper() -> Any:
    """PyYAML's safe dumper that writes texts of several lines as blocks, and never an alias."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return Dumper
