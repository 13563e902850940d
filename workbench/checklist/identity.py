"""Which engine answers, by what it says of itself."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.checklist.asking import Reply

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection


@dataclass(frozen=True)
class Identity:
    """An engine.

    Attributes
    ----------
    id : str
        As in ``workbench.engines``; empty where it does not show itself.
    version : str
        Its release; empty where it is not told.
    told : tuple of (str, str)
        What was asked, and what in the answer gave it away.
    """

    id: str
    version: str
    told: tuple[tuple[str, str], ...]


async def identify(inspection: Inspection) -> Identity:
    """The engine of this inspection, found once."""
    return await inspection.once("identity", lambda: _identify(inspection))


async def _identify(inspection: Inspection) -> Identity:
    paths = ("/version", "/info", "/server_info", "/props")
    version, info, server_info, props = await asyncio.gather(*(inspection.ask("GET", path) for path in paths))
    page = await inspection.metrics_page()
    owners = {str(row.get("owned_by", "")) for row in await inspection.models()}
    told: list[tuple[str, str]] = []
    number = _text(version, "version")
    if number:
        told.append(("GET /version", number))
    found = ""
    prefixes = (("vllm:", "vllm"), ("sglang:", "sglang"), ("tgi_", "tgi"), ("llamacpp:", "llama.cpp"),
                ("nv_trt_llm", "tensorrt-llm"), ("trtllm_", "tensorrt-llm"))  # fmt: skip
    for prefix, engine in prefixes:
        if page.ok and re.search(rf"^{re.escape(prefix)}", page.text, re.MULTILINE):
            found = engine
            told.append(("GET /metrics", f"metrics begin with {prefix}"))
            break
    for owner, engine in (("vllm", "vllm"), ("sglang", "sglang"), ("llamacpp", "llama.cpp"), ("me", "llama.cpp")):
        if owner in owners:
            found = found or engine
            told.append(("GET /v1/models", f"owned_by {owner}"))
            break
    if sha := _text(info, "version"):
        found, number = found or "tgi", number or sha
        told.append(("GET /info", sha))
    if release := _text(server_info, "version"):
        found, number = found or "sglang", number or release
        told.append(("GET /server_info", release))
    if build := _text(props, "build_info"):
        found, number = found or "llama.cpp", number or build
        told.append(("GET /props", build))
    return Identity(found, number, tuple(told))


def _text(reply: Reply, name: str) -> str:
    data: Any = reply.json() if reply.ok else None
    value = data.get(name) if isinstance(data, dict) else None
    return value[:60] if isinstance(value, str) else ""
