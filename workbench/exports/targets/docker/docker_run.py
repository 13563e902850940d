"""One container by ``docker run``."""

from __future__ import annotations

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import CACHE, CONFIGURATION, Subject
from workbench.exports.target import Target
from workbench.exports.writing import command, script


def files(subject: Subject) -> list[File]:
    """A script that checks its secrets and runs one container in the foreground; files the engine needs beside it."""
    words = ["docker", "run", "--rm", "--name", subject.name]
    words += ["--gpus", str(subject.gpus)] if subject.gpus else []
    words += ["--shm-size", f"{subject.shared_memory}g"] if subject.shared_memory else []
    words += ["--publish", f"127.0.0.1:{subject.wishes.port}:{subject.wishes.port}"]
    for name, value in subject.variables.items():
        words += ["--env", f"{name}={value}"]
    for name in filter(None, (*subject.secrets, subject.token)):
        words += ["--env", name]  # by name alone: its value comes from the environment
    words += ["--volume", f"{subject.name}-cache:{CACHE}"] if subject.from_hub else []
    if not subject.from_hub:
        words += ["--mount", f"type=bind,source={subject.model_path},target={subject.mounted},readonly"]
    beside = [File(f"docker/{file.path}", file.kind, file.text, file.language) for file in subject.configuration]
    if beside:
        words += ["--mount", f"type=bind,source=./docker,target={CONFIGURATION},readonly"]
    words += [subject.image, *subject.arguments]
    asked = "\n".join(f': "${{{name}:?put it into the environment}}"' for name in subject.secrets)
    text = script(*([asked] if asked else []), f"exec {command(words)}{subject.key_in_shell}")
    return [File("docker/run.sh", "shell", text, executable=True), *beside]


def obstacle(subject: Subject) -> str | None:
    """A comma cannot be written into ``--mount``; a slice of a card has a UUID."""
    if "," in subject.model_path:
        return "model_path has a comma, which docker's --mount cannot take"
    if subject.plan.card.slice_of:
        return f"gpu is {subject.plan.card.name}: a slice is asked for by its UUID, which only its machine knows"
    return containers.obstacle(subject)


def steps(subject: Subject) -> list[str]:
    """What it needs, and the line."""
    need = "the NVIDIA Container Toolkit" if subject.gpus else "Docker"
    secrets = " and ".join(subject.secrets) or "nothing"
    steps = [f"Install {need}, put {secrets} into the environment, run `docker/run.sh`."]
    if not subject.from_hub:
        steps.append(
            f"The checkpoint must lie at `{subject.model_path}`; the container sees it as `{subject.mounted}`."
        )
    return steps


TARGET = Target(
    id="docker-run",
    title="docker run",
    about="One container of the engine's own image.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.docker.com/reference/cli/docker/container/run/",
    without={},
)
