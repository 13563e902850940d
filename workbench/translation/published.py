"""Which bundled model a name means that is none of the hub's: a GGUF file, a folder, a tag of Ollama's library."""

from __future__ import annotations

import re
from functools import cache

from workbench.architecture import catalog
from workbench.datafiles import read_rows
from workbench.formats import GGUF
from workbench.translation.values import marked

#: What files and repositories are called besides the model they hold.
_BESIDE = re.compile(r"[-._](?:gguf|awq|gptq|int4|int8|fp8|hf|w4a16|w8a8|4bit|8bit)(?=$|[-._])")
_TYPES = {name.removeprefix("gguf_"): name for name in GGUF}
_TYPE = re.compile(rf"[-._]({'|'.join(sorted(_TYPES, key=len, reverse=True))})(?=$|[-._])")


@cache
def _known() -> dict[str, str]:
    """Bundled models by the plain form of the last part of their ids; a form that two have means neither."""
    found: dict[str, str] = {}
    twice = set()
    for name in catalog.names():
        form = _plain(name)
        twice |= {form} & found.keys()
        found.setdefault(form, name)
    return {form: name for form, name in found.items() if form not in twice}


def _plain(name: str) -> str:
    last = name.rstrip("/").rsplit("/", 1)[-1].casefold().removesuffix(".gguf")
    return _BESIDE.sub("", _TYPE.sub("", last)).removeprefix("meta-")


def model(name: str | None) -> str | None:
    """The bundled model that a name means, else the name as it is.

    >>> model("/models/llama-2-7b-chat.Q4_K_M.gguf"), model("./model.gguf")
    ('meta-llama/Llama-2-7b-chat-hf', './model.gguf')
    """
    if not name or name in catalog.names():
        return name
    return _known().get(_plain(name), name)


def scheme(name: str | None) -> str | None:
    """How a file or a checkpoint is quantised, by its name; None where it does not tell.

    >>> scheme("llama-3.1-8b-instruct-q4_k_m.gguf"), scheme("Llama-2-7b-awq"), scheme("model.gguf")
    ('q4_k_m', 'awq', None)
    """
    if not name:
        return None
    told = _TYPE.search(name.casefold().removesuffix(".gguf"))
    return _TYPES[told[1]] if told else marked(name) or None


@cache
def of_ollama() -> dict[str, tuple[str, str]]:
    """Model and scheme by the tag of Ollama's library."""
    return {row["tag"]: (row["model"], row["scheme"]) for row in read_rows("engines", "ollama_models.csv")}
