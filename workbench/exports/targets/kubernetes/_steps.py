"""Scripts and sentences that several Kubernetes targets need: the Secret made from the environment, models copied."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from workbench.exports.file import File
from workbench.exports.subject import MODELS, Subject
from workbench.exports.targets.kubernetes import _objects
from workbench.exports.writing import as_yaml, command, script

#: What the pod does with what it is sent: a server never sees half a checkpoint.
_TAKEN = (
    f"rm -rf {MODELS}/.part && mkdir {MODELS}/.part && tar -C {MODELS}/.part --no-same-owner -xf - && "
    f'mv -T "{MODELS}/.part/$1" "{MODELS}/$1"'
)


def secret(subject: Subject, folder: str) -> list[File]:
    """A script that makes the Secret out of the environment; a value never is a word of a command line."""
    needed, optional = subject.secrets, subject.token
    if not needed and not optional:
        return []
    asked = [f': "${{{name}:?put it into the environment}}"' for name in needed]
    lines = [f"printf '{name}=%s\\n' \"${name}\"" for name in needed]
    if optional:
        lines.append(f'if [ -n "${{{optional}:-}}" ]; then printf \'{optional}=%s\\n\' "${optional}"; fi')
    name = _objects.secret(subject)
    words = ["kubectl", "create", "secret", "generic", name, "--namespace", subject.wishes.namespace]
    made = "{\n    " + "\n    ".join(lines) + "\n} | " + shlex.join([*words, "--from-env-file=/dev/stdin"])
    parts = ["\n".join(asked), made] if asked else [made]
    return [File(f"{folder}/secret.sh", "shell", script(*parts), executable=True)]


def filling(subject: Subject, folder: str) -> list[File]:
    """Where the model is no hub's: a pod that holds the volume, and a script that copies the checkpoint into it."""
    if subject.from_hub:
        return []
    name = f"{subject.name}-fill"
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": subject.wishes.namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "fill",
                    "image": subject.image,
                    "command": ["sleep", "86400"],
                    "securityContext": {"allowPrivilegeEscalation": False},
                    "volumeMounts": [{"name": "models", "mountPath": MODELS}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": _objects.claim(subject)}}],
        },
    }
    where = ["--namespace", subject.wishes.namespace]
    path = PurePosixPath(subject.model_path)
    sent = shlex.join(["tar", "-C", str(path.parent), "-cf", "-", f"./{path.name}"])
    inside = ["sh", "-c", _TAKEN, "fill", path.name]
    taken = shlex.join(["kubectl", "exec", "--stdin", name, *where, "--", *inside])
    text = script(
        'kubectl apply --filename "$(dirname "$0")/fill.yaml"\n'
        + command(["kubectl", "wait", "--for=condition=Ready", f"pod/{name}", *where, "--timeout=600s"]),
        f"{sent} |\n    {taken}",
        command(["kubectl", "delete", "pod", name, *where]),
    )
    return [
        File(f"{folder}/fill.yaml", "kubernetes", as_yaml(made), language="yaml"),
        File(f"{folder}/fill.sh", "shell", text, executable=True),
    ]


def before(subject: Subject, folder: str) -> list[str]:
    """What comes first: the namespace and the Secret."""
    space = subject.wishes.namespace
    steps = [] if space == "default" else [f"`kubectl create namespace {space}`, unless it is there."]
    if subject.secrets:
        steps.append(f"Put {' and '.join(subject.secrets)} into the environment and run `{folder}/secret.sh`.")
    elif subject.token:
        steps.append(f"For a gated model put {subject.token} into the environment and run `{folder}/secret.sh`.")
    return steps


def filled(subject: Subject, folder: str) -> list[str]:
    """How the checkpoint comes into the volume."""
    if subject.from_hub:
        return []
    return [
        f"Copy the checkpoint into the volume: `{folder}/fill.sh`, run where it lies at {_told(subject.model_path)}; "
        "until then the pods wait."
    ]


def _told(text: str) -> str:
    """A name in Markdown's back-quotes, however many it has itself.

    >>> _told("a`b")
    '``a`b``'
    """
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"
