"""A Compose file: the GPUs reserved, shared memory sized, secrets from the environment.

Compose replaces ``$NAME``; doubled dollars are taken as one (https://docs.docker.com/reference/compose-file/interpolation/).
"""

from __future__ import annotations

from typing import Any

from workbench.exports import containers
from workbench.exports.containers import doubled
from workbench.exports.file import File
from workbench.exports.subject import CACHE, CONFIGURATION, Subject
from workbench.exports.target import Target
from workbench.exports.writing import as_yaml

_EVERY = "10s"


def files(subject: Subject) -> list[File]:
    """The Compose file, and the engine's own files beside it."""
    own = [File(f"docker/compose/{file.path}", file.kind, file.text, file.language) for file in subject.configuration]
    text, release = as_yaml(project(subject)), containers.vllm(subject)
    return [File("docker/compose/compose.yaml", "compose", text, "yaml", version=release), *own]


def project(subject: Subject) -> dict[str, Any]:
    """One service, and the volume that keeps what it fetched."""
    made: dict[str, Any] = {"name": subject.name, "services": {"server": service(subject)}}
    if subject.from_hub:
        made["volumes"] = {"cache": {}}
    return made


def service(subject: Subject) -> dict[str, Any]:
    """The engine. It runs as the user its image is made for where it has nothing to write: a volume is root's."""
    port = subject.wishes.port
    made: dict[str, Any] = {"image": subject.image}
    if subject.user is not None and not subject.from_hub:
        made["user"] = f"{subject.user}:0"
    made |= {
        "command": _command(subject),
        "environment": _environment(subject),
        "ports": [f"127.0.0.1:{port}:{port}"],
        "volumes": _volumes(subject),
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": f"{subject.longest_answer}s",
        "healthcheck": {
            "test": ["CMD", *map(doubled, containers.health(subject))],
            "interval": _EVERY,
            "timeout": _EVERY,
            "retries": 3,
            "start_period": f"{subject.first_start_seconds}s",
        },
    }
    if subject.shared_memory:
        made["shm_size"] = f"{subject.shared_memory}gb"
    reserved: dict[str, Any] = {"memory": f"{max(1, subject.host_memory)}gb"}
    if subject.gpus:
        reserved["devices"] = [{"driver": "nvidia", "count": subject.gpus, "capabilities": ["gpu"]}]
    made["deploy"] = {"resources": {"reservations": reserved}}
    return made


def _command(subject: Subject) -> list[str]:
    words = [doubled(word) for word in subject.arguments]
    if not subject.server.key_words:
        return words
    return [*words, *subject.server.key_words, f"${{{subject.key}:?put it into the environment}}"]


def _environment(subject: Subject) -> dict[str, str]:
    made = {name: doubled(value) for name, value in subject.variables.items()}
    if not subject.server.key_words:
        made |= {name: f"${{{name}:?put it into the environment}}" for name in subject.secrets}
    if subject.token:
        made[subject.token] = f"${{{subject.token}:-}}"
    return made


def _volumes(subject: Subject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"type": "volume", "source": "cache", "target": CACHE}
        if subject.from_hub
        else _bound(doubled(subject.model_path), doubled(subject.mounted))
    ]
    found += [_bound(f"./{file.path}", f"{CONFIGURATION}/{file.path}") for file in subject.configuration]
    return found


def _bound(source: str, target: str) -> dict[str, Any]:
    """Something of this machine, which must be there: nothing is made of a name that was mistyped."""
    here = source if source.startswith(("/", "./", "../")) else f"./{source}"
    bind = {"create_host_path": False}
    return {"type": "bind", "source": here, "target": target, "read_only": True, "bind": bind}


def obstacle(subject: Subject) -> str | None:
    """What Compose cannot ask for."""
    if subject.plan.card.slice_of:
        return f"gpu is {subject.plan.card.name}: a slice is asked for by its UUID, which only its machine knows"
    if subject.model_path.startswith("~"):
        return "model_path begins with ~, which Compose takes for a home folder"
    return containers.obstacle(subject)


def steps(subject: Subject) -> list[str]:
    """What it needs, and the lines."""
    need = "Docker with Compose, and the NVIDIA Container Toolkit" if subject.gpus else "Docker with Compose"
    keys = " and ".join(subject.secrets)
    steps = [f"Install {need}." + (f" Put {keys} into the environment." if keys else "")]
    if not subject.from_hub and not subject.model_path.startswith("/"):
        steps.append("The checkpoint lies beside `docker/compose/compose.yaml`: its path begins there.")
    return [*steps, "`docker compose --file docker/compose/compose.yaml up --detach --wait`"]


TARGET = Target(
    id="compose",
    title="Docker Compose",
    about="One container by Docker Compose, with its GPUs reserved, a health check and secrets from the environment.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.docker.com/reference/compose-file/",
    without={},
)
