"""Who is measured: the server's model, engine and card, in the words that a row of measurements has for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.architecture import catalog
from workbench.benchmark.endpoint import Manner
from workbench.benchmark.load import Target
from workbench.errors import InvalidInput, WorkbenchError
from workbench.serving import Client, Server

if TYPE_CHECKING:
    from workbench.planner import Plan

#: What a server's list of models says of their owner -> a Deployment's word for the engine.
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}
#: Files that a tokenizer is made of; one is enough.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "tekken.json")


def describe(url: str, manner: Manner, *, plan: Plan | None, version: str | None, api_key: str | None) -> Target:
    """The target of a load; what neither plan nor server tells stays empty.

    Parameters
    ----------
    url, manner
        Where it is and what it said when it was asked first.
    plan : Plan, optional
        What the server was started by.
    version : str, optional
        The engine's, where it is known already.
    api_key : str, optional
    """
    if version is None:
        try:
            with Client(url, api_key=api_key, timeout=10.0) as client:
                version = client.version()
        except (WorkbenchError, ValueError, KeyError, TypeError):
            version = ""  # only vLLM has a page for it
    if plan is None:
        return Target(url, manner.model, _OWNERS.get(manner.owner, ""), version)
    chosen = plan.deployment
    name, _ = configuration(plan)
    return Target(
        url=url,
        model=manner.model,
        engine=chosen.engine,
        engine_version=version,
        config=name,
        quant=_word(chosen.quantization),
        gpu=chosen.gpu,
        n_gpu=chosen.gpus,
        tensor_parallel_size=chosen.tensor_parallel_size,
        pipeline_parallel_size=chosen.pipeline_parallel_size,
        data_parallel_size=chosen.data_parallel_size,
    )


def configuration(plan: Plan) -> tuple[str, Mapping[str, Any] | None]:
    """The name that a row gives the plan's model, and the configuration to keep under that name; None if bundled."""
    name = re.sub(r"[^\w./-]", "_", plan.model.id)
    if any(name.casefold() == each.casefold() for each in catalog.names()):
        return name, None
    fields = {key: value for key, value in plan.model.config.items() if not key.startswith("_")}
    return name, fields


def _word(quantization: str | None) -> str:
    """A Deployment's scheme as a row of measurements says it; empty: as the model's own configuration does."""
    if quantization is None:
        return ""
    gguf = quantization.startswith("gguf_") or re.fullmatch(r"i?q\d\w*", quantization) is not None
    return f"gguf {quantization.removeprefix('gguf_')}" if gguf else quantization


def tokenizer(given: str | Path | None, server: Server | None, manner: Manner, plan: Plan | None) -> str:
    """The tokenizer that makes the load's prompts: as given, else that of the model's folder on this machine, else of
    the model's name.

    Raises
    ------
    InvalidInput
        Nothing of the kind is known.
    """
    from workbench import builtin

    if given is not None:
        if str(given) == builtin.NAME:
            return str(builtin.ensure())
        folder = Path(given).expanduser()
        if folder.is_dir() and not _has_tokenizer(folder):
            raise InvalidInput(f"{folder} holds no tokenizer ({', '.join(_TOKENIZERS[:2])} …)")
        return str(folder.resolve()) if folder.is_dir() else str(given)
    places = [*(server.command[2:3] if server is not None else ()), plan.checkpoint if plan else "", manner.root]
    for place in filter(None, map(str, places)):
        folder = Path(place).expanduser()
        folder = folder.parent if folder.is_file() else folder
        for each in (folder, *_made_of(folder)):
            if each.is_dir() and _has_tokenizer(each):
                return str(each.resolve())
    if builtin.NAME in (manner.model, plan.checkpoint if plan else ""):
        return str(builtin.ensure())
    for place in filter(None, map(str, [*places, manner.model])):
        if re.fullmatch(r"[\w.-]+/[\w.-]+", place) and not place.endswith(".gguf"):
            return place  # a model's id: the tool finds it in the cache of Hugging Face, or fetches it
    raise InvalidInput(
        f"nobody knows the tokenizer of {manner.model}: name its folder, or a model of the same one (tokenizer, "
        "--tokenizer)"
    )


def _made_of(folder: Path) -> list[Path]:
    """The folder of the model that a quantised one was made of, which has the tokenizer that a GGUF file lacks."""
    try:
        made = json.loads((folder / "workbench.json").read_text(encoding="utf-8"))
        return [Path(str(made["request"]["source"]))]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _TOKENIZERS)
