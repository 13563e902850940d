"""SGLang in its own words: a start script."""

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
        f"Install the release that was planned: `pip install sglang=={subject.plan.engine_version}`.",
        *there(subject),
        run(subject) + " SGLang takes its key from its command line alone, where other users of the machine see it.",
    ]


TARGET = Target(
    id="sglang",
    title="SGLang",
    about="SGLang's start line.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://docs.sglang.io/docs/advanced_features/server_arguments",
    without=only("sglang", because="the plan is for another engine"),
)
