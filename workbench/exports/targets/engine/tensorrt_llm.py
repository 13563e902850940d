"""TensorRT-LLM in its own words: a start script, and the YAML of its LLM API that the line names."""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import beside, one_machine, run, start, there


def files(subject: Subject) -> list[File]:
    """The script and what its ``--config`` names."""
    return [start(subject), *beside(subject)]


def steps(subject: Subject) -> list[str]:
    """Where it runs, start."""
    return [
        f"NVIDIA ships it as the image `{subject.image}`; run the script there.",
        *there(subject),
        run(subject),
        "It asks for no key: put a proxy that asks for one in front of it.",
    ]


TARGET = Target(
    id="tensorrt-llm",
    title="TensorRT-LLM",
    about="The start line of trtllm-serve and the YAML file that it reads.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html",
    without=only("tensorrt-llm", because="the plan is for another engine"),
)
