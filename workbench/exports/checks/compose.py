"""Compose files: by compose-spec, which reads the specification strictly, and by docker-compose itself."""

from __future__ import annotations

import re

from workbench.exports.checks import _programs, _vllm
from workbench.exports.file import Check, File

KIND = "compose"

_HINT = "pip install 'llm-workbench[export]'"
#: What is asked of the environment, ``${NAME:?…}``, the dollar not doubled.
_NEEDED = re.compile(r"(?<!\$)(?:\$\$)*\$\{([A-Z_]+):\?")


def check(file: File) -> list[Check]:
    """The specification, and that no secret is written down."""
    try:
        from compose_spec import PyCompose
    except ImportError:
        return [Check("compose-spec", "unchecked", _HINT)]
    try:
        PyCompose.from_yaml(file.text).to_spec()
    except ValueError as error:
        return [Check("compose-spec", "fail", " ".join(str(error).split())[:400])]
    return [Check("compose-spec", "pass"), _secrets(file), *_starts(file)]


def _starts(file: File) -> list[Check]:
    """Whether vLLM of that release takes the command."""
    import yaml

    if not file.version:
        return []
    services = yaml.safe_load(file.text)["services"].values()
    return [_vllm.of_command([word.replace("$$", "$") for word in one["command"]], file.version) for one in services]


def _secrets(file: File) -> Check:
    import yaml

    for name, service in yaml.safe_load(file.text)["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"KEY|TOKEN|SECRET|PASSWORD", variable) and not str(value).startswith("${"):
                return Check("no secret (our own)", "fail", f"{name}: {variable} is written down")
    return Check("no secret (our own)", "pass")


def ask(file: File) -> list[Check]:
    """docker-compose reads it whole, with something in the environment for all that it asks for."""
    held = "".join(f"{name}=x\n" for name in sorted(set(_NEEDED.findall(file.text))))
    words = ["--file", "{}", "--env-file", "asked.env", "config", "--quiet"]
    return [_programs.ask(file, "docker-compose", words, beside={"asked.env": held})]
