"""Runs in vLLM's environment: load a model, answer a list of prompts with ``LLM.generate``, end.

Run by its path (see :mod:`workbench.worker`); of the workbench it imports only what needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from workbench.engines.vllm.failures import read_failure
from workbench.errors import WorkbenchError


def work(request: dict[str, Any], worker: Any) -> list[dict[str, Any]]:
    """Answer ``request["prompts"]``.

    Parameters
    ----------
    request : dict
        ``words`` of ``vllm serve`` (read by vLLM's own parser, so that a batch runs as the server would), ``prompts``
        (texts, or lists of chat messages), ``sampling``, and ``model`` where another folder takes the words' place.
    worker : workbench.worker.Worker

    Returns
    -------
    list of dict
        ``prompt``, ``text``, ``prompt_tokens``, ``completion_tokens``, ``finish_reason``, in the prompts' order.
    """
    words = request["words"]
    if "--kv-cache-memory-bytes" in words:
        os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)  # it would override the flag
    worker.progress(0.0, "starting vLLM")
    from tqdm import tqdm
    from vllm import LLM, SamplingParams
    from vllm.engine.arg_utils import EngineArgs

    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:  # before 0.12
        from vllm.utils import FlexibleArgumentParser

    class Bar(tqdm):  # type: ignore[misc]
        """vLLM's own progress bar, which also tells the job."""

        def update(self, n: float | None = 1) -> bool | None:
            moved: bool | None = super().update(n)
            # vLLM draws one bar for taking the prompts in and one for answering; the second is the work.
            if self.total and "Processed" in (self.desc or ""):
                worker.progress(0.5 + 0.5 * self.n / self.total, "generating", f"{self.n} of {self.total}")
            return moved

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser(exit_on_error=False))
    arguments = parser.parse_args(["--model", request.get("model") or words[2], *words[3:]])
    sampling = SamplingParams(**request["sampling"])
    worker.progress(0.1, "loading the model")
    try:
        llm = LLM.from_engine_args(EngineArgs.from_cli_args(arguments))
    except Exception as error:
        raise WorkbenchError(_cause(error)) from error
    worker.progress(0.5, "generating", f"0 of {len(request['prompts'])}")
    prompts = request["prompts"]
    chat = prompts and not isinstance(prompts[0], str)
    outputs = (llm.chat if chat else llm.generate)(prompts, sampling, use_tqdm=Bar)
    with contextlib.suppress(AttributeError):  # left to itself, the engine's process outlives this one by seconds
        llm.llm_engine.engine_core.shutdown()
    return [
        {
            "prompt": prompt,
            "text": output.outputs[0].text,
            "prompt_tokens": len(output.prompt_token_ids or ()),
            "completion_tokens": len(output.outputs[0].token_ids),
            "finish_reason": output.outputs[0].finish_reason,
        }
        for prompt, output in zip(prompts, outputs, strict=True)
    ]


def _cause(error: Exception) -> str:
    """Why the engine did not start: its processes say so in the log, the exception here only that one died."""
    log = Path("/proc/self/fd/2")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return str(read_failure([*lines, f"{type(error).__name__}: {error}"]))
