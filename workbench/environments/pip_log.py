"""What a build's log says: how far pip has come, and why it failed.

Progress is read from the log and the folder alone, so any process can follow a build that another runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from workbench.progress import Progress

MARK = "[workbench] "  # begins the lines that the builder itself writes


class BuildWatch:
    """Follow one build.

    Parameters
    ----------
    name : str
        The environment, for the stage's text.
    log : Path
        The build's log.
    folder : Path
        The environment that is being filled.
    expected : int
        About how many packages there will be.
    """

    def __init__(self, name: str, log: Path, folder: Path, expected: int) -> None:
        self.stage, self.log, self.folder, self.expected = f"building {name}", log, folder, max(expected, 1)
        self.offset = 0
        self.rest = ""
        self.fraction = 0.0
        self.detail = "starting"
        self.found: set[str] = set()
        self.installing = False

    def read(self) -> Progress:
        """Read what is new and say how far the build is."""
        try:
            size = self.log.stat().st_size
            if size < self.offset:  # a new build began
                self.offset, self.rest, self.fraction, self.installing = 0, "", 0.0, False
                self.found.clear()
            with self.log.open("rb") as file:
                file.seek(self.offset)
                new = file.read()
        except OSError:
            new = b""
        self.offset += len(new)
        *lines, self.rest = (self.rest + new.decode(errors="replace")).split("\n")
        for line in lines:
            self._line(line.strip())
        if self.installing:
            done = sum(1 for _ in self.folder.glob("lib/python*/site-packages/*.dist-info"))
            self._at(0.6 + 0.3 * min(1.0, done / self.expected))
            self.detail = f"installing, {min(done, self.expected)} of {self.expected} packages"
        return Progress(self.fraction, self.stage, self.detail)

    def _at(self, fraction: float) -> None:
        self.fraction = max(self.fraction, fraction)

    def _line(self, line: str) -> None:
        if line.startswith(MARK):
            self.installing = False
            self.detail = line.removeprefix(MARK)
            self._at(0.92 if self.detail.startswith("checking") else 0.02)
            return
        if match := re.match(r"(?:Collecting|Processing) (?:\S*/)?([A-Za-z0-9_.]+(?:-[A-Za-z][\w.]*)*)", line):
            self.found.add(re.sub(r"[-_.]+", "-", match[1]).lower())
            self.installing = False
            self.detail = f"finding {match[1]}"
            self._at(0.05 + 0.5 * min(1.0, len(self.found) / self.expected))
        elif match := re.match(r"(?:Downloading|Using cached) (?:\S*/)?(\S+?)-(\d\S*?)-\S+ \(([^)]+)\)", line):
            self.detail = f"downloading {match[1]} {match[2]} ({match[3]})"
        elif match := re.match(r"Building wheel for (\S+)", line):
            self.installing = False
            self.detail = f"building {match[1]}"
        elif line.startswith("Installing collected packages"):
            self.installing = True
            self._at(0.6)


# What pip or Python says, and what it means to a user; the first that matches wins.
_MEANINGS = [
    (
        r"No space left on device|Errno 28",
        "the disk is full: make room, or set WORKBENCH_CACHE to another disk",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded file is not the one that was pinned; it was not installed. Try again, and if it stays so, "
        "ask whoever runs your package index",
    ),
    (
        r"No matching distribution found for torch==\S+\+cpu|\(constraint\) torch==\S+\+cpu",
        "no CPU build of torch can be reached, and the usual one would bring gigabytes of CUDA: allow "
        "https://download.pytorch.org/whl/cpu, or name a mirror of it in PIP_EXTRA_INDEX_URL",
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|Network is unreachable|ProxyError",
        "the package index cannot be reached: check the network, or name your mirror in PIP_INDEX_URL",
    ),
    (
        r"SSLError|CERTIFICATE_VERIFY_FAILED",
        "the package index is not trusted: name your certificate in PIP_CERT",
    ),
    (r"No matching distribution found for (\S+)", r"pip finds no \1 for this Python and platform"),
    (r"ResolutionImpossible", "the pinned packages exclude each other on this Python and platform"),
    (r"is a CUDA build", "torch came as a CUDA build where a CPU build was wanted"),
    (
        r"is a CPU build",
        "torch came as a CPU build where a CUDA build was wanted: look at pip's index settings",
    ),
    (
        r"CMAKE_C(?:XX)?_COMPILER not set|No CMAKE_C(?:XX)?_COMPILER could be found|Could NOT find a C\+\+ compiler",
        "a compiler for C and C++ is missing: apt install g++ (on macOS: xcode-select --install)",
    ),
    (r"ensurepip is not available", "Python's venv module is missing: apt install python3-venv"),
    (r"Killed|MemoryError", "memory ran out"),
]


def reason(log: str) -> str:
    """Why a build failed, in words, from the end of its log."""
    tail = log[-20_000:]
    for pattern, meaning in _MEANINGS:
        if match := re.search(pattern, tail):
            return match.expand(meaning)
    lines = [line.strip() for line in tail.splitlines() if line.strip() and not line.startswith(MARK)]
    errors = [line for line in lines if re.match(r"ERROR|error:|\w*Error:", line)]
    return (errors or lines or ["it ended without a word"])[-1].removeprefix("ERROR: ")
