"""A chat by OpenAI's SDK, streamed."""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.client import _asking


def files(subject: Subject) -> list[File]:
    """One file of Python."""
    text = _asking.python(subject, "OpenAI's SDK", "from openai import OpenAI", "OpenAI", "chat.completions.create")
    return [File("client/openai_sdk.py", "python", text)]


def steps(subject: Subject) -> list[str]:
    """Install and run."""
    return _asking.steps(subject, "python client/openai_sdk.py", "pip install openai")


TARGET = Target(
    id="openai-sdk",
    title="OpenAI SDK",
    about="A chat by OpenAI's SDK for Python, streamed.",
    files=files,
    steps=steps,
    source="https://github.com/openai/openai-python#streaming-responses",
    starts=False,
    without={},
)
