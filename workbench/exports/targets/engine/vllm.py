"""vLLM in its own words: a start script, the same as a configuration file, the same in Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import one_machine, run, start, there
from workbench.exports.writing import as_yaml

#: Options of the server alone, whose values are text, even where they read like a number.
_SERVED = ("served-model-name",)


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
    written = {"model": words[2], **options(words), "host": "127.0.0.1", "port": subject.wishes.port}
    keywords = "".join(f"    {name}={value!r},\n" for name, value in arguments(words).items())
    python = (
        '"""Answers a batch of prompts in this process, with the plan\'s settings; no server."""\n\n'
        f"from vllm import LLM, SamplingParams\n\nllm = LLM(\n{keywords})\n"
        'for answer in llm.generate(["Hello, my name is"], SamplingParams(max_tokens=32)):\n'
        "    print(answer.outputs[0].text)\n"
    )
    return [
        replace(start(subject, own), kind="vllm-shell", language="shell", version=version),
        File("vllm/config.yaml", "vllm-yaml", as_yaml(written), language="yaml", version=version),
        File("vllm/offline.py", "vllm-python", python, language="python", version=version),
    ]


def steps(subject: Subject) -> list[str]:
    """Install, start, or the same by the file."""
    return [
        f"Install the release that was planned: `pip install vllm=={subject.plan.engine_version}`.",
        *there(subject),
        run(subject)[:-1] + "; or `vllm serve --config vllm/config.yaml`, which says the same.",
        "`vllm/offline.py` answers a batch of prompts with the same settings and no server.",
    ]


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
