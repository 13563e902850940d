"""transformers in its own words: the start script of ``transformers serve``."""

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
        f"Install the release that was planned: `pip install 'transformers[serving]=={subject.plan.engine_version}'`.",
        *there(subject),
        run(subject) + " It asks for no key: put a proxy that asks for one in front of it.",
    ]


TARGET = Target(
    id="transformers",
    title="transformers",
    about="The start line of transformers serve.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://huggingface.co/docs/transformers/main/en/serve-cli/serving",
    without=only("transformers", because="the plan is for another engine"),
)
