"""Options that not every release of vLLM has: ``data/engines/vllm_options.csv``, and how each release writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from workbench.datafiles import read_rows
from workbench.deployment import Deployment
from workbench.engines.tables import parse
from workbench.engines.vllm import versions
from workbench.engines.vllm.schema import schema

#: From here on speculation is one JSON object, and the balance of experts another.
_SPECULATION_JSON, _BALANCE_JSON = (0, 8, 3), (0, 10, 2)
#: Words of the object as older releases' own flags.
_SPECULATION_FLAGS = {
    "model": "--speculative-model",
    "num_speculative_tokens": "--num-speculative-tokens",
    "draft_tensor_parallel_size": "--speculative-draft-tensor-parallel-size",
    "quantization": "--speculative-model-quantization",
    "max_model_len": "--speculative-max-model-len",
    "prompt_lookup_max": "--ngram-prompt-lookup-max",
    "prompt_lookup_min": "--ngram-prompt-lookup-min",
}
#: Fields of which some releases take a few values only.
_CHOICES = ("dtype", "kv_cache_dtype", "block_size", "max_lora_rank")
#: Fields that other parts of the command write.
_ELSEWHERE = ("enable_expert_parallel", "data_parallel_size", "kv_cache_memory_bytes")


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_rows("engines", "vllm_options.csv"))


def lacking(deployment: Deployment) -> tuple[str, str] | None:
    """The first field that is set and that the planned release does not have, and which releases have it."""
    version = parse(deployment.engine_version or versions.DEFAULT)
    for row in _rows():
        value = getattr(deployment, row["field"])
        if value is None or value is False or (row["field"] == "data_parallel_size" and value == 1):
            continue
        if version < parse(row["first"]):
            return row["field"], f"from {row['first']} on"
        if row["last"] and version > parse(row["last"]):
            return row["field"], f"to {row['last']}"
    return None


def obstacle(deployment: Deployment) -> str | None:
    """Which option or value the planned release does not have; None if it has all that are set.

    Examples
    --------
    >>> obstacle(Deployment(engine_version="0.19.0", swap_space=4.0))
    'vLLM 0.19.0 has no swap_space: releases to 0.17.1 have it'
    >>> obstacle(Deployment(engine_version="0.16.0", offload_group_size=4))
    'vLLM 0.16.0 has no offload_group_size: releases from 0.17.0 on have it'
    >>> obstacle(Deployment(engine_version="0.33.0", max_lora_rank=24))
    'max_lora_rank 24: vLLM 0.33.0 takes 1, 8, 16, 32, 64, 128, 256, 320, 512'
    """
    found = lacking(deployment)
    if found is None:
        return _refused_value(deployment)
    return f"vLLM {deployment.engine_version or versions.DEFAULT} has no {found[0]}: releases {found[1]} have it"


def _refused_value(deployment: Deployment) -> str | None:
    """The first value that the release's parser refuses."""
    known = schema(deployment.engine_version)
    for field in _CHOICES:
        value, option = getattr(deployment, field), known.by_field(field)
        if value is None or option is None or not option.choices or str(value) in option.choices:
            continue
        return f"{field} {value}: vLLM {known.version} takes {', '.join(option.choices)}"
    return None


def words(deployment: Deployment) -> list[str]:
    """These options as words of the command, in the table's order.

    Examples
    --------
    >>> words(Deployment(enable_lora=True, max_loras=4, num_redundant_experts=32, enable_eplb=True))
    ['--enable-lora', '--max-loras', '4', '--enable-eplb', '--eplb-config', '{"num_redundant_experts": 32}']
    """
    version = parse(deployment.engine_version or versions.DEFAULT)
    found: list[str] = []
    for row in _rows():
        value: Any = getattr(deployment, row["field"])
        if value is None or value is False or row["field"] in _ELSEWHERE:
            continue
        if row["field"] == "speculative_config" and version < _SPECULATION_JSON:
            found += _older_speculation(value)
        elif row["field"] == "num_redundant_experts":
            newer = ["--eplb-config", json.dumps({"num_redundant_experts": value})]
            found += newer if version >= _BALANCE_JSON else ["--num-redundant-experts", str(value)]
        elif row["kind"] == "json":
            found += [row["flag"], json.dumps(value)]
        else:
            found += [row["flag"]] if row["kind"] == "switch" else [row["flag"], f"{value:g}"]
    return found


def _older_speculation(config: dict[str, Any]) -> Iterator[str]:
    named = dict(config)
    if named.pop("method", None) == "ngram":
        named = {"model": "[ngram]", "prompt_lookup_max": 5, **named}
    for name, value in named.items():
        if name in _SPECULATION_FLAGS:
            yield from (_SPECULATION_FLAGS[name], str(value))
