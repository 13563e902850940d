"""Whether engines load a result and answer: they are started, here or on a cluster, asked and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench import cpu, environments
from workbench.cluster import Cluster
from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.quantizers import Method
from workbench.serving import serve
from workbench.trials.record import Answer

#: Context [tokens] and cache [bytes] for one short answer: 512 tokens of a 70B model with grouped queries take 160 MiB.
SHORT, CACHE = 512, 2**28
PROMPT = "Return the number of"


def engines(method: Method, card: str | None = None) -> list[str]:
    """The engines a method's result is for that can be started: on this machine, or where there is a card."""
    there = environments.for_serving().name if card is None else "vllm-cpu" if cpu.is_cpu(card) else "vllm"
    return [name for name in ("vllm", "llama.cpp") if (there if name == "vllm" else name) in method.engines]


def answers(
    method: Method,
    result: Mapping[str, Any],
    tell: Callable[[Progress], None],
    cancel: threading.Event,
    on: Cluster | None = None,
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
    on : Cluster, optional
        Where the engines are started.

    Returns
    -------
    tuple of Answer
        Of transformers too, where the result was measured by it as it stands: there is no more to loading than that.
        Of a server only where it was started.
    """
    found = []
    if result.get("measured_in") == "transformers" and result.get("generations"):
        found.append(Answer("transformers", True, str(result["generations"][0]["after"])))
    try:
        card = None if on is None else on.card()
    except WorkbenchError as error:
        return (*found, Answer("vllm", False, str(error)))
    for engine in engines(method, card):
        if not cancel.is_set():
            tell(Progress(None, f"loading in {engine}"))
            found.append(_ask(engine, Path(result["out"]), cancel, on, card))
    return tuple(found)


def _ask(engine: str, folder: Path, cancel: threading.Event, on: Cluster | None, card: str | None) -> Answer:
    began = time.monotonic()
    fields: dict[str, Any] = {"max_model_len": SHORT}
    if engine == "vllm":
        fields |= {"enforce_eager": True, "kv_cache_memory_bytes": CACHE, **({"gpu": card} if card else {})}
    version = ""
    try:
        with serve(folder, on=on, **fields) as server:
            while server.status == "starting" and not cancel.wait(0.2):
                pass
            server.wait_ready(timeout=1)
            version = server.version or ""
            said = server.generate(PROMPT, max_tokens=8).text
    except (WorkbenchError, TimeoutError) as error:
        return Answer(engine, False, str(error), time.monotonic() - began, version)
    return Answer(engine, bool(said), said or "it answered nothing", time.monotonic() - began, version)
