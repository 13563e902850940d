"""text-generation-inference in its own words: a start script."""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import one_machine, run, start, there


def files(subject: Subject) -> list[File]:
    """The script."""
    return [start(subject)]


def steps(subject: Subject) -> list[str]:
    """Where it runs, start."""
    return [
        f"Hugging Face ships it as the image `{subject.image}`; run the script there, or where you built it.",
        *there(subject),
        run(subject),
        "It is in maintenance only, since December 2025; for a new service plan vLLM or SGLang.",
    ]


TARGET = Target(
    id="tgi",
    title="text-generation-inference",
    about="The start line of text-generation-inference.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://huggingface.co/docs/text-generation-inference/reference/launcher",
    without=only("tgi", because="the plan is for another engine"),
)
