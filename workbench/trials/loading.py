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

#: Context [tokens] and cache [bytes] for one short answer: 512 tokens of a 70B model with grouped queries take 160 MiB.
SHORT, CACHE = 512, 2**28
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
        Of transformers too, where the result was measured by it as it stands: there is no more to loading than that.
        Of a server only where it was started.
    """
    found = []
    if result.get("measured_in") == "transformers" and result.get("generations"):
        found.append(Answer("transformers", True, str(result["generations"][0]["after"])))
    for engine in engines(method):
        if not cancel.is_set():
            tell(Progress(None, f"loading in {engine}"))
            found.append(_ask(engine, Path(result["out"]), cancel))
    return tuple(found)


def _ask(engine: str, folder: Path, cancel: threading.Event) -> Answer:
    began = time.monotonic()
    fields: dict[str, Any] = {"max_model_len": SHORT}
    if engine == "vllm":
        fields |= {"enforce_eager": True, "kv_cache_memory_bytes": CACHE}
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
