"""Batch generation without a server: ``LLM.generate`` in vLLM's environment, as a job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import jobs
from workbench.engines.starters import VLLM
from workbench.engines.vllm import launch
from workbench.errors import InvalidInput
from workbench.jobs import Job, Progress
from workbench.planner import Plan
from workbench.serving.client import Prompt
from workbench.serving.start import resolve

_WORKER = Path(__file__).with_name("offline_worker.py")


def offline(
    source: Plan | str | Path,
    prompts: Sequence[Prompt],
    *,
    checkpoint: str | Path | None = None,
    sampling: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
    **deployment: Any,
) -> Job:
    """Answer many prompts at once with vLLM's offline engine.

    Parameters
    ----------
    source, checkpoint, arguments, **deployment
        As in :func:`workbench.serve`.
    prompts : sequence of str or of lists of messages
        All texts, or all chats.
    sampling : mapping, optional
        Fields of vLLM's ``SamplingParams``: ``max_tokens`` (vLLM's default is 16), ``temperature``, ``top_p``,
        ``seed``, ``stop`` …

    Returns
    -------
    Job
        Its result is a list of dicts in the prompts' order: ``prompt``, ``text``, ``prompt_tokens``,
        ``completion_tokens``, ``finish_reason``.

    Raises
    ------
    InvalidInput
        There are no prompts, or texts and chats are mixed.
    """
    prompts = list(prompts) if not isinstance(prompts, str) else [prompts]
    if not prompts:
        raise InvalidInput("give at least one prompt")
    if len({isinstance(prompt, str) for prompt in prompts}) > 1:
        raise InvalidInput("prompts are either all texts or all chats (lists of messages)")
    _, order = resolve(source, checkpoint, arguments, deployment)
    if order.engine is not VLLM:
        title = order.engine.title
        raise InvalidInput(f"many prompts at once without a server need vLLM; serve it with {title} and ask the server")
    fetch = order.fetch

    def prepare(tell: Callable[[Progress], None], _: threading.Event) -> dict[str, Any]:
        return {"model": str(fetch(tell))} if fetch is not None else {}

    return jobs.start(
        f"generate {len(prompts)} answers",
        _WORKER,
        {"words": _engine_words(order.command), "prompts": prompts, "sampling": dict(sampling or {})},
        order.environment,
        prepare=prepare,
        variables=launch.process_environment({}, offline=order.offline or fetch is not None, more=order.variables),
    )


def _engine_words(command: Sequence[str]) -> list[str]:
    """The command without what only a server has."""
    words = list(command)
    if "--served-model-name" in words:
        at = words.index("--served-model-name")
        del words[at : at + 2]
    return words
