"""What the Compare page offers, and how a choice there becomes arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from workbench import cpu, hardware
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import scheme
from workbench.ui import choices

#: What each tab chooses for itself.
NOT_SHARED = {
    "gpu",
    "own_gpu",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "quantization",
}
SHARED = tuple(name for name in choices.DEFAULTS if name not in NOT_SHARED)

#: Figure of a cell -> name people read, unit, and whether more or less of it is better.
FIGURES: Mapping[str, tuple[str, str, str]] = {
    "usd_per_million_tokens": ("USD per million output tokens", "USD", "less"),
    "tpot": ("Time per output token", "s", "less"),
    "ttft": ("Time to first token", "s", "less"),
    "output_tokens_per_s": ("Output tokens/s", "tokens/s", "more"),
    "per_gpu": ("Output tokens/s per GPU", "tokens/s", "more"),
    "kv_cache_tokens": ("KV cache, tokens", "tokens", "more"),
    "usd_per_hour": ("USD per hour", "USD", "less"),
}
COUNTS = (1, 2, 4, 8, 16)
#: A matrix of more cells is not read any more.
MOST = 12

DEFAULTS: Mapping[str, Any] = {
    **{name: choices.DEFAULTS[name] for name in SHARED},
    "gpus": ["L40S", "A100 80GB SXM4", "H100 SXM5", "H200 SXM", "B200 SXM (HGX)"],
    "schemes": [None, "fp8", "int8", "awq", "nvfp4"],
    "most_gpus": 8,
    "figure": "usd_per_million_tokens",
    "left": "L40S",
    "right": "H100 SXM5",
    "cards": 2,
    "one": "",
    "two": "",
}


@cache
def options() -> Mapping[str, Any]:
    """Everything the page offers, as plain values for JSON."""
    given = choices.options()
    return {
        **{name: given[name] for name in ("models", "engines", "presets", "percentiles")},
        "gpus": [gpu for gpu in given["gpus"] if gpu["value"] != cpu.NAME],
        "figures": [{"value": name, "label": figure[0]} for name, figure in FIGURES.items()],
        "counts": [{"value": count, "label": str(count)} for count in COUNTS],
        "defaults": dict(DEFAULTS),
    }


def checked(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A whole choice from a part of one.

    Raises
    ------
    UnknownName
        For a field no choice has, and for a card or scheme that no table has.
    InvalidInput
        For a value of the wrong kind; the message names the field.
    """
    for name in choice:
        if name not in DEFAULTS:
            raise UnknownName("field", str(name), DEFAULTS)
    whole = {**DEFAULTS, **choice}
    settled = choices.checked({name: whole[name] for name in SHARED})
    whole |= {name: settled[name] for name in SHARED}
    whole["gpus"] = [_card("gpus", name) for name in _several("gpus", whole["gpus"])]
    whole["schemes"] = [_scheme(name) for name in _several("schemes", whole["schemes"])]
    for name in ("left", "right"):
        whole[name] = _card(name, whole[name])
    for name in ("most_gpus", "cards"):
        if isinstance(whole[name], bool) or whole[name] not in COUNTS:
            raise InvalidInput(f"{name} is {whole[name]!r}; it must be one of {', '.join(map(str, COUNTS))}")
        whole[name] = int(whole[name])
    if not isinstance(whole["figure"], str) or whole["figure"] not in FIGURES:
        raise InvalidInput(f"figure is {whole['figure']!r}; it must be one of {', '.join(FIGURES)}")
    for name in ("one", "two"):
        whole[name] = whole[name] or ""
        if not isinstance(whole[name], str):
            raise InvalidInput(f"{name} must be the name of a plan")
    return whole


def _several(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(x, str | None) for x in given):
        raise InvalidInput(f"{name} must be a list of names")
    found = list(dict.fromkeys(given))
    if not 0 < len(found) <= MOST:
        raise InvalidInput(f"{name} must name 1 to {MOST}, not {len(found)}")
    return found


def _card(field: str, name: Any) -> str:
    if not isinstance(name, str) or cpu.is_cpu(name):
        raise InvalidInput(f"{field} must be a GPU from the list")
    return hardware.gpu(name).name


def _scheme(name: str | None) -> str | None:
    return None if name is None else scheme(name).id


def counts(most: int) -> list[int]:
    """Numbers of GPUs to try.

    >>> counts(4)
    [1, 2, 4]
    """
    return [count for count in COUNTS if count <= most]


def whole_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice of the planner's with what this page shares with it."""
    return {**choices.DEFAULTS, **{name: choice[name] for name in SHARED}}


def settings(choice: Mapping[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    """Model, the engine's settings but for what is compared, and workload."""
    model, _, found, workload = choices.arguments(whole_choice(choice))
    return model, {name: value for name, value in found.items() if name not in NOT_SHARED}, workload


def schemes_of(engine: str, present: Sequence[str | None]) -> list[str | None]:
    """Those of the present schemes that an engine loads, else the first few that it does.

    >>> schemes_of("vllm", [None, "awq", "q4_k_m"])
    [None, 'awq']
    >>> schemes_of("llama.cpp", [None, "awq"])[0]
    >>> len(schemes_of("llama.cpp", ["awq"]))
    5
    """
    found = next(each for each in choices.options()["engines"] if each["value"] == engine)
    offered = [each["value"] for each in found["schemes"]]
    return [name for name in present if name in offered] or offered[1:6]
