"""What the Advisor offers, and how a choice there becomes a need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from workbench import hardware
from workbench.architecture import Model
from workbench.errors import InvalidInput, UnknownName
from workbench.planner.lineup import cards
from workbench.planner.needs import FLOORS, Need
from workbench.planner.presets import SHAPE, preset
from workbench.quantities import GIB
from workbench.ui import choices

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
#: How the load is told.
LOADS = ("users", "rate")
#: The service level holds for these shares of the requests [%]; 50 is the mean.
PERCENTILES = (50, 90, 95, 99)

#: Every field of a choice with the value it has when nothing is said.
DEFAULTS: Mapping[str, Any] = {
    "model": MODEL,
    "load": "users",
    "users": 500,
    "active_share": 0.1,
    "in_flight": 1,
    "requests_per_s": 5,
    **{name: getattr(preset("chat").workload, name) for name in SHAPE},
    "max_model_len": 8192,
    "ttft": 1,
    "tokens_per_s": 30,
    "percentile": 95,
    "usd_per_month": 20000,
    "gpu": None,
    "gpus": None,
    "floor": "unmeasurable",
    "price": "on_demand",
    "spare": False,
    "whole_nodes": False,
}
_PRICES = {
    "on_demand": "By the hour",
    "spot": "Spot, may be taken away",
    "reserved_1y": "Reserved for a year",
    "reserved_3y": "Reserved for three years",
}
#: How the page calls the fields that messages name.
LABELS = {
    "users": "The number of users",
    "active_share": "The share of active users",
    "in_flight": "The number of requests an active user has",
    "requests_per_s": "The number of requests a second",
    "tokens_per_s": "The speed asked",
    "usd_per_month": "The budget",
    "gpus": "The number of GPUs",
}


@cache
def options() -> Mapping[str, Any]:
    """Everything the page offers, as plain values for JSON."""
    given = choices.options()
    known = {option["value"]: option for option in given["gpus"]}
    first: dict[str, Any] = {
        "value": None,
        "label": "Any data centre GPU",
        "detail": f"{len(cards())} cards with prices",
    }
    presets = [{**each, "workload": {name: each["workload"][name] for name in SHAPE}} for each in given["presets"]]
    return {
        "defaults": dict(DEFAULTS),
        "models": given["models"],
        "gpus": [first, *(known[name] for name in hardware.names() if hardware.gpu(name).usd_per_hour is not None)],
        "presets": presets,
        "floors": [{"value": name, "label": words[:1].upper() + words[1:]} for name, words in FLOORS.items()],
        "prices": [{"value": name, "label": words} for name, words in _PRICES.items()],
        "percentiles": [{"value": p, "label": "mean" if p == 50 else f"{p} %"} for p in PERCENTILES],
    }


def in_words(message: str) -> str:
    """A message that begins with a field's name, with the page's words for it.

    >>> in_words("users is None; it must be a whole number of at least 1")
    'The number of users is empty; it must be a whole number of at least 1'
    """
    name, space, rest = message.partition(" ")
    if name in LABELS:
        return LABELS[name] + space + rest.replace("is None;", "is empty;", 1)
    return choices.in_words(message)


def checked(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A whole choice from a part of one: defaults filled in, unknown fields refused.

    Raises
    ------
    UnknownName
        For a field no choice has, and for a name that no table has.
    InvalidInput
        For a value of the wrong kind; the message names the field.
    """
    for name in choice:
        if name not in DEFAULTS:
            raise UnknownName("field", str(name), DEFAULTS)
    whole = {**DEFAULTS, **choice}
    if not isinstance(whole["model"], str) or not whole["model"].strip():
        raise InvalidInput("model must be a name from the list")
    for name, value in whole.items():
        if isinstance(value, float) and value.is_integer():
            whole[name] = int(value)  # JSON does not tell 8 from 8.0
    for name, offered in (("load", LOADS), ("percentile", PERCENTILES)):
        if whole[name] not in offered or isinstance(whole[name], bool):
            raise InvalidInput(f"{name} is {whole[name]!r}; it must be one of {', '.join(map(str, offered))}")
    for name in ("spare", "whole_nodes"):
        if not isinstance(whole[name], bool):
            raise InvalidInput(f"{name} must be on or off")
    for name in ("floor", "price"):
        if not isinstance(whole[name], str):
            raise InvalidInput(f"{name} must be a name from the list")
    for name in ("users", "requests_per_s", "active_share", "in_flight", "tokens_per_s", "ttft", "usd_per_month"):
        optional = name in ("tokens_per_s", "ttft", "usd_per_month")
        value = whole[name]
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        if not good and not (optional and value is None):
            least = "a whole number of at least 1" if name == "users" else "a number above 0"
            raise InvalidInput(f"{name} is {value!r}; it must be {least}")
    if whole["gpu"] is not None:
        if not isinstance(whole["gpu"], str):
            raise InvalidInput("gpu must be a name from the list")
        whole["gpu"] = hardware.gpu(whole["gpu"]).name
    need(whole)
    return whole


def need(choice: Mapping[str, Any]) -> Need:
    """The need of a whole choice.

    >>> need(DEFAULTS).concurrency, round(need(DEFAULTS).tpot, 4)
    (50, 0.0333)
    """
    from workbench.deployment import Workload

    by_users = choice["load"] == "users"
    speed = choice["tokens_per_s"]
    return Need(
        users=choice["users"] if by_users else None,
        requests_per_s=None if by_users else float(choice["requests_per_s"]),
        active_share=choice["active_share"],
        in_flight=choice["in_flight"],
        workload=Workload(**{name: choice[name] for name in SHAPE}),
        ttft=choice["ttft"],
        tpot=None if speed is None else 1 / speed,
        percentile=float(choice["percentile"]),
        **{name: choice[name] for name in ("gpu", "gpus", "floor", "spare", "whole_nodes", "price", "max_model_len")},
        usd_per_month=None if choice["usd_per_month"] is None else float(choice["usd_per_month"]),
    )


def fields_of(change: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a need as fields of a choice.

    >>> fields_of({"tpot": 0.05, "floor": "small"})
    {'tokens_per_s': 20.0, 'floor': 'small'}
    """
    found = {name: value for name, value in change.items() if name != "tpot"}
    return ({"tokens_per_s": round(1 / change["tpot"], 3)} if "tpot" in change else {}) | found


def tooltip(name: str) -> str:
    """A card in a few words."""
    card = hardware.gpu(name)
    return f"{card.capacity.value / GIB:.0f} GiB, {card.architecture}"


def model(choice: Mapping[str, Any]) -> Model:
    """The model of a choice."""
    return Model.from_config(choice["model"])
