"""How long a start takes: what each of its stages took the last times on this machine.

A start is told in stages and none of them says how long it will take, but the same engine with the same flags on the
same model takes about as long as it did before. So each start that came up leaves a line in a file of the cache folder,
and the next one like it reads there what lies ahead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import environments

_KEPT = 200  # starts
_LIKE = 5  # how many of the last ones like it are looked at
# What tqdm prints of the bar's own rest: "[00:13<00:11, 2.87s/it]".
_REST = re.compile(r"\[(?:\d+:)+\d+<((?:\d+:)+\d+)[,\]]")


@dataclass(frozen=True)
class Pace:
    """What lies ahead of a start.

    Parameters
    ----------
    stages : tuple of str
        In the order of a start.
    seconds : mapping
        Stage -> what it took in earlier starts [s]; empty where there was none.
    """

    stages: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def left(self, stage: str, elapsed: float, rest: float | None = None) -> float | None:
        """Estimated rest of the start [s]; None where no start like it is known.

        Parameters
        ----------
        stage : str
            The present one.
        elapsed : float
            For how long it has been [s].
        rest : float, optional
            What a progress bar says of this stage alone [s].

        Examples
        --------
        >>> pace = Pace(("starting", "loading", "ready"), {"starting": 10.0, "loading": 4.0})
        >>> pace.left("starting", 7.5), pace.left("starting", 30.0), pace.left("loading", 1.0, rest=9.0)
        (6.5, 4.0, 9.0)
        >>> Pace(("starting", "ready")).left("starting", 1.0) is None
        True
        """
        if not self.seconds:
            return None
        here = rest if rest is not None else max(self.seconds.get(stage, 0.0) - elapsed, 0.0)
        later = self.stages[self.stages.index(stage) + 1 :]
        return here + sum(self.seconds.get(name, 0.0) for name in later)


def rest_of(line: str) -> float | None:
    """What a progress bar in a line says of its own rest [s], or None.

    Examples
    --------
    >>> rest_of("Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<01:11,  2.87s/it]")
    71.0
    >>> rest_of("Loading weights:   0%|          | 0/38 [00:00<?, ?it/s]") is None
    True
    """
    found = _REST.findall(line)
    if not found:
        return None
    seconds = 0.0
    for part in found[-1].split(":"):
        seconds = 60 * seconds + int(part)
    return seconds


def like(engine: str, command: Sequence[str], stages: Sequence[str]) -> Pace:
    """What is known of starts like this: with the same command, else of the same model.

    Parameters
    ----------
    engine : str
        Its title.
    command : sequence of str
        As a plan writes it: without interpreter and address.
    stages : sequence of str
        The engine's, in order.
    """
    mine = _named(engine, command)
    same = [start for start in _starts() if (start["engine"], start["model"]) == (mine["engine"], mine["model"])]
    chosen = [start for start in same if start["command"] == mine["command"]] or same
    chosen = chosen[-_LIKE:]
    names = {name for start in chosen for name in start["stages"]}
    # A stage that one of them did not have took no time there.
    seconds = {name: statistics.median(start["stages"].get(name, 0.0) for start in chosen) for name in names}
    return Pace(tuple(stages), {name: value for name, value in seconds.items() if name in stages})


def keep(engine: str, command: Sequence[str], seconds: Mapping[str, float]) -> None:
    """Remember what the stages of a start took [s]; a full or read-only disk is no reason to fail."""
    line = json.dumps({**_named(engine, command), "stages": {name: round(s, 2) for name, s in seconds.items()}})
    file = _file()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) > 2 * _KEPT:
            fresh = file.with_name(f".{file.name}.{os.getpid()}")
            fresh.write_text("\n".join(lines[-_KEPT:]) + "\n", encoding="utf-8")
            fresh.replace(file)


def _file() -> Path:
    return environments.cache_root() / "starts.jsonl"


def _named(engine: str, command: Sequence[str]) -> dict[str, str]:
    """By what a start is known again; flags may hold what is nobody's business, so only their hash is kept."""
    words = list(command)
    at = words.index("--model") + 1 if "--model" in words[:-1] else 2
    model = words[at] if len(words) > at else ""
    return {
        "engine": engine,
        "model": model,
        "command": hashlib.sha256("\0".join(words).encode()).hexdigest()[:12],
    }


def _starts() -> Iterator[dict[str, Any]]:
    with contextlib.suppress(OSError):
        for line in _file().read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                start = json.loads(line)
                numbers = {str(name): float(value) for name, value in start["stages"].items()}
                names = {name: str(start[name]) for name in ("engine", "model", "command")}
                yield {**names, "stages": numbers}
