"""A chat by Hugging Face's ``InferenceClient``, streamed."""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.client import _asking


def files(subject: Subject) -> list[File]:
    """One file of Python."""
    text = _asking.python(
        subject,
        "huggingface_hub's InferenceClient",
        "from huggingface_hub import InferenceClient",
        "InferenceClient",
        "chat_completion",
    )
    return [File("client/inference_client.py", "python", text)]


def steps(subject: Subject) -> list[str]:
    """Install and run."""
    return _asking.steps(subject, "python client/inference_client.py", "pip install huggingface_hub")


TARGET = Target(
    id="inference-client",
    title="InferenceClient",
    about="A chat by Hugging Face's client, streamed.",
    files=files,
    steps=steps,
    source="https://huggingface.co/docs/huggingface_hub/package_reference/inference_client",
    starts=False,
    without={},
)
