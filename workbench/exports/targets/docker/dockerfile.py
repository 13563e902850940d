"""A Dockerfile upon the engine's own image, of the version planned: start line, health check, a user but root."""

from __future__ import annotations

import json
import shlex

from workbench.exports import containers
from workbench.exports.file import File
from workbench.exports.subject import CACHE, CONFIGURATION, Subject
from workbench.exports.target import Target
from workbench.exports.writing import command, script

#: Seconds between two looks of the health check.
_EVERY = 10


def files(subject: Subject) -> list[File]:
    """The Dockerfile, the engine's own files that it copies, and what runs it."""
    own = [File(f"docker/image/{file.path}", file.kind, file.text, file.language) for file in subject.configuration]
    build = command(["docker", "build", "--tag", tag(subject)]) + ' "$(dirname "$0")"'
    return [
        File("docker/image/Dockerfile", "dockerfile", dockerfile(subject), "docker", version=containers.vllm(subject)),
        File("docker/image/build.sh", "shell", script(build), executable=True),
        *own,
    ]


def tag(subject: Subject) -> str:
    """What the image is called: the deployment's name and the engine's version.

    A version may hold signs that a tag cannot.
    """
    version = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in subject.plan.engine_version)
    return f"{subject.name}:{version or 'planned'}"


def dockerfile(subject: Subject) -> str:
    """Instructions; ``CMD`` and ``HEALTHCHECK`` as JSON, in which nothing is expanded.

    The image holds no model and no secret: the one is mounted, the other comes from the environment.
    """
    user = subject.user
    lines = [f"FROM {subject.image}", ""]
    if subject.from_hub:
        whose = f" && chown {user}:0 {CACHE} && chmod 0775 {CACHE}" if user is not None else ""
        lines += ["# Where the model is kept: mount a volume here, or it is fetched at every start.",
                  *(["USER root"] if user is not None else []), f"RUN mkdir -p {CACHE}{whose}"]  # fmt: skip
    lines += [f"COPY {json.dumps([file.path, f'{CONFIGURATION}/'])}" for file in subject.configuration]
    lines += [f"ENV {name}={_quoted(value)}" for name, value in subject.variables.items()]
    lines += [f"EXPOSE {subject.wishes.port}", ""]
    times = f"--interval={_EVERY}s --timeout={_EVERY}s --start-period={subject.first_start_seconds}s --retries=3"
    lines += [
        "# No failure counts until the planned start is over, the first download included.",
        f"HEALTHCHECK {times} \\\n    CMD {_listed(containers.health(subject))}",
        "",
    ]
    if user is not None:
        lines += ["# A user that the image is made for; group 0 may write its home.", f"USER {user}:0", ""]
    lines.append(f"CMD {_listed(start(subject))}")
    return "\n".join(lines) + "\n"


def start(subject: Subject) -> list[str]:
    """What follows the image's own entry point; a shell only where the engine takes its key from its line alone."""
    if not subject.server.key_words:
        return subject.arguments
    words = [*subject.arguments, *subject.server.key_words]
    return ["sh", "-c", f'exec {shlex.join(words)} "${subject.key}"']


def _listed(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False)


def _quoted(value: str) -> str:
    r"""A value of ``ENV``, in which backslashes, quotes and dollars have a meaning.

    >>> _quoted('a"$b')
    '"a\\"\\$b"'
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def obstacle(subject: Subject) -> str | None:
    """What no image can be made of."""
    if subject.server.key_words and subject.server.entrypoint:
        return f"the image of {subject.engine} runs its server itself, which takes its key from its line alone"
    return containers.obstacle(subject)


def steps(subject: Subject) -> list[str]:
    """Build it; how it is run is the next target's."""
    run = f"docker run --rm --gpus {subject.gpus}" if subject.gpus else "docker run --rm"
    keys = "".join(f" --env {name}" for name in (*subject.secrets, subject.token) if name)
    shared = f" --shm-size {subject.shared_memory}g" if subject.shared_memory else ""
    held = f"{subject.name}-cache:{CACHE}" if subject.from_hub else f"FOLDER:{subject.mounted.rpartition('/')[0]}:ro"
    port = subject.wishes.port
    return [
        "`docker/image/build.sh`; for the same image for ever, replace the tag in `FROM` by the digest that "
        f"`docker buildx imagetools inspect {subject.image}` prints.",
        f"Run it with `{run}{shared}{keys} --volume {held} --publish 127.0.0.1:{port}:{port} {tag(subject)}`.",
    ]


TARGET = Target(
    id="dockerfile",
    title="Dockerfile",
    about="An image with the plan's start line upon the engine's own, with a health check and, where it can, without "
    "root.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.docker.com/reference/dockerfile/",
    without={},
)
