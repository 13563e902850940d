"""vLLM in its own words: a start script, the same as a configuration file, the same in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import one_machine, run, start, there
from workbench.exports.writing import as_yaml

#: Options of the server alone, whose values are text, even where they read like a number.
_SERVED = ("served-model-name",)
_INSTALLING = "https://docs.vllm.ai/en/stable/getting_started/installation/"


def options(words: Sequence[str]) -> dict[str, Any]:
    """The options of a ``vllm serve`` line by their names, as a configuration file takes them.

    >>> options(["vllm", "serve", "m", "--max-model-len", "8192", "--no-enable-prefix-caching", "--enforce-eager"])
    {'max-model-len': 8192, 'no-enable-prefix-caching': True, 'enforce-eager': True}
    """
    found: dict[str, Any] = {}
    last = ""
    for word in words[3:]:
        if word.startswith("--"):
            last = word[2:]
            found[last] = True
        elif last:
            found[last], last = _value(last, word), ""
    return found


def _value(name: str, word: str) -> Any:
    if name in _SERVED:
        return word
    try:
        return json.loads(word)
    except ValueError:
        return word


def arguments(words: Sequence[str]) -> dict[str, Any]:
    """The same as keywords of ``vllm.LLM``.

    >>> arguments(["vllm", "serve", "m", "--max-model-len", "8192", "--no-enable-prefix-caching"])
    {'model': 'm', 'max_model_len': 8192, 'enable_prefix_caching': False}
    """
    found: dict[str, Any] = {"model": words[2]}
    for name, value in options(words).items():
        if name in _SERVED:
            continue
        plain = name.removeprefix("no-")
        found[plain.replace("-", "_")] = value if plain == name else False
    return found


def files(subject: Subject) -> list[File]:
    """A script, a configuration file that says the same, and the same in Python without a server."""
    words, version = subject.words, subject.plan.engine_version
    # Where it is set, it overrides the plan's cache (vLLM's platforms/cpu.py).
    own = ["unset VLLM_CPU_KVCACHE_SPACE  # it would override the cache below"] if subject.on_cpu else []
    # As JSON in one line, which older releases read too, not as a mapping.
    plain = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in options(words).items()}
    written = {"model": words[2], **plain, "host": "127.0.0.1", "port": subject.wishes.port}
    found = [
        replace(start(subject, own), kind="vllm-shell", language="shell", version=version),
        File("vllm/config.yaml", "vllm-yaml", as_yaml(written), language="yaml", version=version),
    ]
    if _in_one_process(subject):
        text = _offline(arguments(words))
        found.append(File("vllm/offline.py", "vllm-python", text, language="python", version=version))
    return found


def _in_one_process(subject: Subject) -> bool:
    """Whether ``vllm.LLM`` runs it: data parallelism needs a launcher there."""
    return subject.plan.deployment.data_parallel_size == 1


def _offline(keywords: Mapping[str, Any]) -> str:
    """Python that answers a batch; guarded, because workers import it again."""
    lines = "".join(f"        {name}={value!r},\n" for name, value in keywords.items())
    return (
        '"""Answers a batch of prompts in this process, with the plan\'s settings; no server."""\n\n'
        "from vllm import LLM, SamplingParams\n\n\n"
        f"def main() -> None:\n    llm = LLM(\n{lines}    )\n"
        '    for answer in llm.generate(["Hello, my name is"], SamplingParams(max_tokens=32)):\n'
        "        print(answer.outputs[0].text)\n\n\n"
        'if __name__ == "__main__":\n    main()\n'
    )


def steps(subject: Subject) -> list[str]:
    """Install, start, or the same by the file."""
    version = subject.plan.engine_version
    if subject.gpus and subject.plan.card.vendor == "NVIDIA":
        install = f"Install the release that was planned: `pip install vllm=={version}`."
    else:
        install = f"Install the build of vLLM {version} for {subject.plan.card.name}: {_INSTALLING}."
    found = [
        install,
        *there(subject),
        run(subject)[:-1] + "; or `vllm serve --config vllm/config.yaml`, which says the same.",
    ]
    if _in_one_process(subject):
        found.append("`vllm/offline.py` answers a batch of prompts with the same settings and no server.")
    return found


TARGET = Target(
    id="vllm",
    title="vLLM",
    about="vLLM's start line, the same as a configuration file, and as a call in Python.",
    files=files,
    steps=steps,
    obstacle=one_machine,
    source="https://docs.vllm.ai/en/stable/configuration/serve_args.html",
    without=only("vllm", because="the plan is for another engine"),
)
