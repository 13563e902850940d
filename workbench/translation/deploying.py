"""The Deployment that a command describes, so that it can be planned."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, get_type_hints

from workbench.deployment import OPTIONS, Deployment
from workbench.formats import SCHEMES
from workbench.translation.judging import New
from workbench.translation.values import marked

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
#: vLLM's words for what is planned under another.
_SCHEMES = {
    "awq_marlin": "awq",
    "auto_awq": "awq",
    "gptq_marlin": "gptq",
    "auto_gptq": "gptq",
    "fp8_per_tensor": "fp8",
    "fp8_per_channel": "fp8",
}


def fields(new: Iterable[New], version: str, model: str | None, asked: str) -> tuple[dict[str, Any], list[str]]:
    """Fields of a Deployment, and the values that it has no place for, in sentences.

    Parameters
    ----------
    new : iterable of New
    version : str
        The release.
    model : str, optional
    asked : str
        The quantisation that was asked for as it was pasted; "" for none.
    """
    hints = _hints()
    known = {field.name for field in dataclasses.fields(Deployment)} - {"engine", "engine_version", "gpu"}
    found: dict[str, Any] = {"engine_version": version}
    beyond = []
    for item in new:
        if item.field not in known or item.field == "quantization":
            continue
        try:
            found[item.field] = _read(item, hints[item.field])
        except ValueError:
            beyond.append(f"{item.field} {' '.join(item.values)[:60]!r} is not planned with")
    scheme = _SCHEMES.get(asked, asked)
    if scheme in SCHEMES and marked(model) != scheme:
        found["quantization"] = scheme
    elif asked and scheme not in SCHEMES and asked != "None":
        beyond.append(f"a plan has no quantisation {asked[:60]!r}; what the checkpoint says is planned")
    return {name: value for name, value in found.items() if value is not None}, beyond


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Deployment)


def _read(item: New, hint: Any) -> Any:
    """A value as the field holds it; ValueError if it is none."""
    if item.field in OPTIONS:
        return json.loads(item.values[0])
    kinds = getattr(hint, "__args__", (hint,))
    if bool in kinds:
        return item.on
    text = item.values[0] if item.values else ""
    if text in ("None", "auto", "-1") and item.field not in ("dtype", "kv_cache_dtype"):
        return None
    if int in kinds:
        return size(text)
    return float(text) if float in kinds else text


def size(text: str) -> int:
    """A whole number as vLLM reads it.

    >>> size("8192"), size("8k"), size("8K"), size("1.5m")
    (8192, 8000, 8192, 1500000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", text.strip())
    return int(float(match[1]) * _UNITS[match[2]]) if match else int(text)
