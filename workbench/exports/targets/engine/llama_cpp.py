"""llama.cpp in its own words: ``llama-server``'s start script."""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import one_machine, run, start, there


def files(subject: Subject) -> list[File]:
    """The script."""
    return [start(subject)]


def steps(subject: Subject) -> list[str]:
    """Install, start."""
    return [
        "Install a build of llama.cpp for this machine, from https://github.com/ggml-org/llama.cpp/releases or a "
        "package manager.",
        *there(subject),
        run(subject),
    ]


TARGET = Target(
    id="llama-cpp",
    title="llama.cpp",
    about="The start line of llama-server.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    without=only("llama.cpp", because="the plan is for another engine"),
)
