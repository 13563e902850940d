"""What inference engines can do: platforms, formats, many GPUs, LoRA, licence, state; each with its source.

Of the engines that the workbench plans, and of two that it does not: MLC and Ollama run where a planner of GPUs has
nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.datafiles import read_rows
from workbench.formats import Scheme, obstacle
from workbench.formats.support import engines as loading

if TYPE_CHECKING:
    import pandas as pd

#: Word -> the name people read.
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "vllm": "vLLM",
        "sglang": "SGLang",
        "tensorrt-llm": "TensorRT-LLM",
        "tgi": "TGI",
        "llama.cpp": "llama.cpp",
        "ollama": "Ollama",
        "mlc": "MLC LLM",
    }
)
#: Fact -> what it is about, in the order it is shown.
FACTS: Mapping[str, str] = MappingProxyType(
    {
        "for": "made for",
        "state": "state",
        "licence": "licence",
        "nvidia": "NVIDIA",
        "amd": "AMD",
        "intel": "Intel GPU",
        "gaudi": "Gaudi",
        "cpu": "CPU",
        "apple": "Apple",
        "tpu": "TPU",
        "phone": "phone",
        "browser": "web page",
        "windows": "Windows",
        "multi_gpu": "several GPUs",
        "multi_node": "several nodes",
        "batching": "many requests at once",
        "prefix_cache": "common beginnings",
        "prefix_router": "routing by beginnings",
        "lora": "LoRA",
        "structured": "structured output",
        "api": "API",
        "setup": "to install",
        "library": "models by name",
        "embeds": "inside an app",
        "tuning": "to tune",
        "new_models": "new models",
    }
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing known of an engine.

    Parameters
    ----------
    level : str
        "yes", "partly" or "no"; of a licence, a state or a compute capability the word itself.
    note : str
        What it is.
    source : str
        Where that is written.
    """

    level: str
    note: str
    source: str


@cache
def _table() -> Mapping[str, Mapping[str, Fact]]:
    found: dict[str, dict[str, Fact]] = {name: {} for name in TITLES}
    for row in read_rows("engines", "choice.csv"):
        found[row["engine"]][row["fact"]] = Fact(row["level"], row["note"], row["source"])
    return found


def fact(engine: str, name: str) -> Fact:
    """One fact.

    Raises
    ------
    KeyError
        If there is no such engine or fact.

    Examples
    --------
    >>> fact("tgi", "state").level
    'archived'
    """
    return _table()[engine][name]


def runs_from(engine: str) -> tuple[int, int]:
    """The lowest CUDA compute capability; (0, 0) where none is named.

    >>> runs_from("tensorrt-llm"), runs_from("llama.cpp")
    ((8, 0), (0, 0))
    """
    known = _table()[engine].get("capability")
    if known is None:
        return 0, 0
    major, _, minor = known.level.partition(".")
    return int(major), int(minor)


def cards(engine: str) -> tuple[str, ...]:
    """The cards that an engine's makers name as supported; empty where they name none.

    >>> "H100" in cards("tensorrt-llm"), cards("vllm")
    (True, ())
    """
    known = _table()[engine].get("cards")
    return tuple(known.level.split()) if known else ()


def loads(engine: str, scheme: Scheme) -> Fact:
    """Whether an engine loads weights of a scheme: ``data/formats/engines.csv``, and rows of our own for the others.

    Examples
    --------
    A format that has become a plugin is loaded with one more step:

    >>> from workbench.formats import scheme
    >>> [loads(engine, scheme("q4_k_m")).level for engine in ("vllm", "llama.cpp", "ollama", "tensorrt-llm")]
    ['partly', 'yes', 'yes', 'no']
    """
    own = _table()[engine].get(f"family:{scheme.family}")
    if own is not None:
        return own
    known = loading(scheme).get(engine)
    reason = obstacle(scheme, engine)
    if known is None:
        return Fact("no", f"{TITLES[engine]} does not load {scheme.title}", "data/formats/engines.csv")
    if reason is None:
        return Fact("yes", f"loads {scheme.title}", known.source)
    plugin = known.instead.startswith("install")
    return Fact("partly" if plugin else "no", known.instead if plugin else reason, known.source)


def address(source: str) -> str:
    """Where a source can be read; empty where it is no public page.

    >>> address("github:ollama/ollama docs/gpu.mdx@fb30760")
    'https://github.com/ollama/ollama/blob/fb30760/docs/gpu.mdx'
    >>> address("arXiv:2312.07104"), address("your need")
    ('https://arxiv.org/abs/2312.07104', '')
    """
    if source.startswith("https://"):
        return source
    if found := re.match(r"arXiv:(\d{4}\.\d{4,5})", source):
        return f"https://arxiv.org/abs/{found[1]}"
    if found := re.match(r"github:([\w.-]+/[\w.-]+) ([\w./-]+)(?:@(\w+))?", source):
        return f"https://github.com/{found[1]}/blob/{found[3] or 'HEAD'}/{found[2]}"
    return ""


def engine_facts() -> pd.DataFrame:
    """All facts, a row an engine and a column a fact: level and note in one text.

    Where the cells are from says ``data/engines/choice.csv``.
    """
    import pandas as pd

    rows = {title: {FACTS[name]: _told(_table()[engine][name]) for name in FACTS} for engine, title in TITLES.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("engine")


def _told(known: Fact) -> str:
    """A fact in a cell.

    >>> _told(Fact("partly", "by a plugin", "")), _told(Fact("MIT", "", "")), _told(Fact("", "a Mac", ""))
    ('partly: by a plugin', 'MIT', 'a Mac')
    """
    return ": ".join(part for part in (known.level, known.note) if part)
