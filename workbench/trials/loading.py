"""Whether the engines of this machine load a result and answer: they are started, asked and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench import environments
from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.quantizers import Method
from workbench.serving import serve
from workbench.trials.record import Answer

#: A context that any model has, so that a cache for it fits beside anything.
SHORT = 512
PROMPT = "Return the number of"


def engines(method: Method) -> list[str]:
    """The engines a method's result is for that can be started on this machine."""
    vllm = environments.for_serving().name
    return [name for name in ("vllm", "llama.cpp") if (vllm if name == "vllm" else name) in method.engines]


def answers(
    method: Method,
    result: Mapping[str, Any],
    tell: Callable[[Progress], None],
    cancel: threading.Event,
) -> tuple[Answer, ...]:
    """Try a result in every engine it is for.

    Parameters
    ----------
    method : Method
    result : mapping
        What its job reported.
    tell : callable
        Takes progress.
    cancel : threading.Event
        Ends it early.

    Returns
    -------
    tuple of Answer
        Of transformers too, where the result was measured by it as it stands.
    """
    found = []
    if result.get("measured_in") and result.get("generations"):
        said = str(result["generations"][0]["after"])
        found.append(Answer(str(result["measured_in"]), True, said))
    for engine in engines(method):
        if engine not in [answer.engine for answer in found] and not cancel.is_set():
            tell(Progress(None, f"loading in {engine}"))
            found.append(_ask(engine, Path(result["out"]), cancel))
    return tuple(found)


def _ask(engine: str, folder: Path, cancel: threading.Event) -> Answer:
    began = time.monotonic()
    fields: dict[str, Any] = {"max_model_len": SHORT}
    if engine == "vllm":
        fields |= {"enforce_eager": True, "kv_cache_memory_bytes": 2**28}
    version = ""
    try:
        with serve(folder, **fields) as server:
            while server.status == "starting" and not cancel.wait(0.2):
                pass
            server.wait_ready(timeout=1)
            version = server.version or ""
            said = server.generate(PROMPT, max_tokens=8).text
    except (WorkbenchError, TimeoutError) as error:
        return Answer(engine, False, str(error), time.monotonic() - began, version)
    return Answer(engine, bool(said), said or "it answered nothing", time.monotonic() - began, version)
