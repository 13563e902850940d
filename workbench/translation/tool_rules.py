"""What another tool refuses, or makes nothing of, though each of its options is one: rules beside the tables.

Each is told the options of a command and says of some what becomes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.translation.programs import Given, options
from workbench.translation.values import plain

_TGI = "https://huggingface.co/docs/text-generation-inference/reference/launcher"
_QUANTIZE = "https://github.com/ggml-org/llama.cpp/blob/master/tools/quantize/README.md"
_COMPLETION = "https://github.com/ggml-org/llama.cpp/blob/master/tools/completion/README.md"
_LIBRARY = "https://ollama.com/library/llama3.1/tags"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one option or word: its status, the words that stand for it, why, and what says so."""

    status: str
    becomes: tuple[str, ...]
    text: str
    source: str


def verdicts(program: str, items: Sequence[Given]) -> dict[int, Verdict]:
    """What rules say of a command's options, by their place among them."""
    rule = _RULES.get(program)
    return rule(items) if rule else {}


def remarks(program: str, items: Sequence[Given]) -> list[str]:
    """What is worth knowing besides."""
    named = {item.option.name for item in items if item.option}
    if program == "llama-cli" and "--prompt" in named and "--single-turn" not in named:
        return [
            "llama-cli answers and then waits for more: -st ends it after one answer, and a text is continued by"
            f" llama-completion ({_COMPLETION})"
        ]
    return []


def _by_name(items: Sequence[Given]) -> dict[str, tuple[int, Given]]:
    return {item.option.name: (at, item) for at, item in enumerate(items) if item.option and item.values}


def _tgi(items: Sequence[Given]) -> dict[int, Verdict]:
    """Weights that it does not make itself, types that exclude each other, lengths in their order."""
    named, found = _by_name(items), {}
    if "--quantize" in named:
        at, item = named["--quantize"]
        model = named["--model-id"][1].values[0] if "--model-id" in named else None
        if item.values[0] in ("awq", "gptq", "marlin", "exl2") and plain(model):
            text = f"{model} is not quantised, and TGI makes no {item.values[0].upper()}: it needs a checkpoint made so"
            found[at] = Verdict("wrong", (), text, _TGI)
        elif "--dtype" in named:
            text = "it cannot be given beside --quantize"
            found[named["--dtype"][0]] = Verdict("wrong", (), text, _TGI)
    most = named.get("--max-total-tokens")
    prompt = named.get("--max-input-tokens") or named.get("--max-input-length")
    if most and prompt and _number(prompt[1]) >= _number(most[1]) > 0:
        text = f"a prompt must leave room within --max-total-tokens {most[1].values[0]}; left out, it is one token less"
        found[prompt[0]] = Verdict("wrong", (), text, _TGI)
    return found


def _number(item: Given) -> int:
    return int(item.values[0]) if re.fullmatch(r"\d{1,9}", item.values[0]) else 0


def _llama_quantize(items: Sequence[Given]) -> dict[int, Verdict]:
    """The type that is asked for, the last word but the threads."""
    places = [at for at, item in enumerate(items) if not item.name]
    for at in places[1:3]:
        word = items[at].values[0]
        types = options("llama-quantize")["TYPE"].choices
        if word.endswith(".gguf") or "/" in word or word.upper() in types or word.isdigit():
            continue
        return {at: Verdict("unknown", (), f"llama-quantize has no type {word[:60]!r}: {', '.join(types)}", _QUANTIZE)}
    return {}


def _ollama_run(items: Sequence[Given]) -> dict[int, Verdict]:
    """A tag of the library: a size alone is the instruct model; one that says so says the file's type too."""
    for at, item in enumerate(items):
        found = None if item.name else re.fullmatch(r"(\S+:\d+(?:\.\d+)?b)-instruct", item.values[0])
        if found:
            text = "the size alone is the instruct model; a tag that says so says the type too (8b-instruct-q4_K_M)"
            return {at: Verdict("renamed", (found[1],), text, _LIBRARY)}
        if not item.name:
            break
    return {}


_RULES: dict[str, Callable[[Sequence[Given]], dict[int, Verdict]]] = {
    "text-generation-launcher": _tgi,
    "llama-quantize": _llama_quantize,
    "ollama run": _ollama_run,
}
