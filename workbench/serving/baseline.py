"""The baseline that an engine is measured against: ``model.generate`` of transformers, batch by batch, in one process.

Guides time it with a loop in a notebook. Done here it is a job in the engine's own environment, on the same PyTorch,
with what such a loop forgets: the warm-up is not counted, the device is synchronised before the clock is read, the
prompt's pass is timed apart from the tokens after it, no answer ends early, and each batch is run several times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench import jobs
from workbench.engines.starters import TRANSFORMERS
from workbench.engines.transformers import launch
from workbench.errors import InvalidInput
from workbench.jobs import Job, Progress
from workbench.planner import Plan
from workbench.serving.start import resolve

_WORKER = Path(__file__).with_name("baseline_worker.py")


def baseline(
    source: Plan | str | Path,
    *,
    batches: Sequence[int] = (1, 2, 4, 8),
    prompt_tokens: int = 128,
    new_tokens: int = 64,
    warmup: int = 1,
    repeats: int = 3,
    checkpoint: str | Path | None = None,
    **deployment: Any,
) -> Job:
    """Measure what transformers' ``generate`` reaches without an engine, as a job.

    Parameters
    ----------
    source, checkpoint
        As in :func:`workbench.serve`; of a plan, its model and device count.
    batches : sequence of int
        Prompts at once, in this order; the sweep ends at the first batch for which memory runs out.
    prompt_tokens, new_tokens : int
        Length of every prompt and of every answer, exactly [tokens].
    warmup : int
        Runs of each batch before those that count.
    repeats : int
        Runs of each batch that count.
    **deployment
        Fields of :class:`workbench.Deployment` that transformers has: ``gpu``, ``dtype`` …

    Returns
    -------
    Job
        Its result is a dict: ``engine``, ``version``, ``torch``, ``device``, ``threads``, ``dtype``, ``prompt_tokens``,
        ``new_tokens``, ``stopped`` (why the sweep ended early, or None) and ``rows``, a dict for each batch:
        ``batch``; ``ttft``, the prompts' pass and the first token [s]; ``tpot``, the time between one token and the
        next [s]; ``output_tokens_per_s`` of the whole batch, prompt's pass included, with ``…_low`` and ``…_high``,
        the slowest and the fastest run; ``peak_memory``, PyTorch's on a GPU [bytes], None on a CPU.

    Raises
    ------
    InvalidInput
        A length or a batch is out of range; there is no such folder.

    Notes
    -----
    Prompts are random tokens: dense models take as long for them as for text. All prompts of a batch are equally long,
    so none is padded; with prompts of many lengths a padded batch is slower than this.

    Examples
    --------
    >>> import workbench as wb
    >>> job = wb.baseline("builtin", batches=[1, 2, 4])                                     # doctest: +SKIP
    >>> [round(row["output_tokens_per_s"]) for row in job.wait()["rows"]]                   # doctest: +SKIP
    """
    sizes = [batches] if isinstance(batches, int) else list(batches)
    whole = [*sizes, prompt_tokens, new_tokens, warmup, repeats]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in whole):
        raise InvalidInput("batches, lengths and numbers of runs are whole numbers")
    if not sizes or min(sizes) < 1:
        raise InvalidInput("give at least one batch, of one prompt or more")
    if prompt_tokens < 1 or new_tokens < 2:
        raise InvalidInput("a prompt has at least 1 token and an answer at least 2, or there is no time between tokens")
    if warmup < 0 or repeats < 1:
        raise InvalidInput("warmup is 0 or more and repeats 1 or more")
    if isinstance(source, Plan):
        deployment = {"gpu": source.deployment.gpu, **deployment}
        checkpoint = source.checkpoint if checkpoint is None else checkpoint
        source = checkpoint
    if deployment.pop("engine", TRANSFORMERS.title) != TRANSFORMERS.title:
        raise InvalidInput("the baseline is transformers'; leave engine out")
    _, order = resolve(source, checkpoint, (), {**deployment, "engine": TRANSFORMERS.title})
    if order.engine is not TRANSFORMERS:
        raise InvalidInput("transformers is measured on a folder of safetensors; for a GGUF file start llama.cpp")
    fetch = order.fetch

    def prepare(tell: Callable[[Progress], None], _: threading.Event) -> dict[str, Any]:
        return {"model": str(fetch(tell))} if fetch is not None else {}

    words = order.command
    request = {
        "model": words[2],
        "device": words[words.index("--device") + 1] if "--device" in words else "",
        "dtype": words[words.index("--dtype") + 1] if "--dtype" in words else "auto",
        "batches": sizes,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "warmup": warmup,
        "repeats": repeats,
    }
    return jobs.start(
        "measure transformers",
        _WORKER,
        request,
        order.environment,
        prepare=prepare,
        variables=launch.process_environment({}, offline=order.offline or fetch is not None, more=order.variables),
    )
