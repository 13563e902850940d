"""The load generator, ``vllm bench serve``, run as a job on any server of OpenAI's API.

Three were looked at. All are Apache-2.0 and alive, know fixed concurrency and Poisson arrivals, and tell each request's
time to the first token and gaps between tokens.

* ``vllm bench serve`` (vLLM 0.32, github:vllm-project/vllm ``vllm/benchmarks/serve.py``) comes with the environment
  that serves models here, so it needs nothing more, and InferenceMAX, whose figures the planner was fitted to, measures
  with its ancestor. Its tokenizer may be a local folder.
* ``guidellm`` 0.8.1 (github:vllm-project/guidellm) needs PyTorch and transformers in an environment of its own.
* ``aiperf`` 0.13.0 (github:ai-dynamo/aiperf) needs 46 packages directly, Dash, a Kubernetes client and seaborn among
  them, and pins pandas below the workbench's.

What the first lacks is added around it: it ends with 0 and a table of zeros when no request was answered
(https://github.com/pytorch/pytorch/pull/172616 tells of dashboards fed so), it waits six hours for a silent server, it
counts a stream that breaks off as an answer, and its warm-ups are the load's own first prompt, which a prefix cache
then holds. So the endpoint is asked first (:mod:`workbench.benchmark.endpoint`), a run has a time limit, and what comes
back is judged before it is a result.

Prompts are random tokens, so that no cache holds them; two loads with one seed have the same.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench import jobs, processor
from workbench.benchmark.endpoint import WHOLE, Manner
from workbench.benchmark.load import PERCENTILES, LoadLevel, LoadResult, Served, Target, Times, Tool
from workbench.benchmark.meter import Meter
from workbench.benchmark.origin import HERE, Origin
from workbench.engines.starting import OFFLINE
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import Job, JobCancelled
from workbench.progress import Progress
from workbench.serving import Client

NAME = "vllm bench serve"
#: Share of the requests that may fail, or be broken off, in a run that still counts.
MOST_FAILED = 0.05
#: Longest time of one load [s].
TIME_LIMIT = 600.0
_WORKER = Path(__file__).with_name("generator_worker.py")
#: What the worker tells while it runs.
STAGES = ("starting the load generator", "under load")
#: Share of a machine's processor that may be at work before a load without a word about it [-].
_BUSY = 0.25
_LOCAL = ("127.0.0.1", "localhost", "::1")


def words(url: str, manner: Manner, level: LoadLevel, tokenizer: str) -> list[str]:
    """The options of ``vllm bench serve`` for a load.

    Lengths are uniform within mean × (1 ± √3 cv), the widest spread that the tool draws being cv = 1/√3; a share of the
    prompts that is to be cached is a beginning that all have in common, of which an engine finds whole blocks again.

    Raises
    ------
    InvalidInput
        For lengths that spread wider.

    Examples
    --------
    >>> from workbench.deployment import Workload
    >>> line = words("http://h:1", Manner("m"), LoadLevel(Workload(100, 20, 4, prefix_hit=0.25), 16, seed=3), "folder")
    >>> line[line.index("--random-prefix-len") + 1], line[line.index("--random-input-len") + 1]
    ('25', '75')
    """
    load = level.workload
    common = min(round(load.isl * load.prefix_hit), load.isl - 1)
    own = load.isl - common
    ratios = {"input": load.isl_cv * math.sqrt(3) * load.isl / own, "output": load.osl_cv * math.sqrt(3)}
    for name, ratio in ratios.items():
        if ratio >= 1:
            raise InvalidInput(
                f"the spread of the {name} lengths is wider than the load generator draws: {name[0]}sl_cv may be at "
                f"most {0.57 * (own / load.isl if name == 'input' else 1):.2f}"
            )
    rounded = {name: round(ratio, 6) for name, ratio in ratios.items()}
    if level.concurrency is not None:
        arrival = ["--request-rate", "inf", "--max-concurrency", str(level.concurrency)]
    else:
        arrival = ["--request-rate", f"{level.request_rate:g}", "--burstiness", "1.0"]
    least = max(1, math.floor(load.osl * (1 - rounded["output"])))
    return [
        *("--backend", "openai-chat" if manner.chat else "openai"),
        *("--base-url", url, "--endpoint", manner.endpoint),
        *("--model", manner.model, "--tokenizer", tokenizer),
        *("--dataset-name", "random", "--random-input-len", str(own), "--random-output-len", str(load.osl)),
        *("--random-prefix-len", str(common), "--random-range-ratio", json.dumps(rounded)),
        *("--num-prompts", str(level.requests), "--seed", str(level.seed)),
        *arrival,
        *("--ignore-eos", "--temperature", "0"),
        *(["--extra-body", json.dumps({"min_tokens": least})] if manner.minimum else []),
        *("--num-warmups", "0", "--ready-check-timeout-sec", "0"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", ",".join(map(str, PERCENTILES))),
        "--save-detailed",
    ]


def put(
    target: Target,
    manner: Manner,
    level: LoadLevel,
    *,
    tokenizer: str,
    api_key: str | None = None,
    time_limit: float = TIME_LIMIT,
    tell: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    origin: Origin = HERE,
) -> LoadResult:
    """Put one load on a server that is warm, and judge what came back.

    Parameters
    ----------
    target, manner, level
        Who is asked, how, and what.
    tokenizer : str
        Folder, or a model's id; it makes prompts of the asked length, and counts answers where the server does not.
    api_key : str, optional
        Goes to the tool as an environment variable; it is written nowhere.
    time_limit : float
        Longest time of the load [s].
    tell, cancel
        Called with a Progress as it goes; ends it when set.
    origin : Origin
        Which machine it comes from.

    Raises
    ------
    WorkbenchError
        The server died, hung, or failed too many requests: then there is no result.
    JobCancelled
        ``cancel`` was set.
    """
    line = words(target.url, manner, level, tokenizer)
    with origin.words(tokenizer) as near, Meter(target.url, api_key) as meter:
        job = jobs.start(
            f"load of {level.label}",
            _WORKER,
            {"words": line, "tokenizer": near, "whole": WHOLE, "percentiles": list(PERCENTILES)},
            origin.environment,
            heavy=False,
            variables=_variables(target.url, tokenizer, api_key, origin.node),
            place=origin.place,
            inputs=("tokenizer",),
        )
        found = _follow(job, level, target, time_limit, tell, cancel)
    _judge(found, target, manner, level, api_key)
    machine = {**found["machine"], **({"node": origin.node} if origin.node else {})}
    tool = Tool(NAME, found["version"], ("vllm", "bench", "serve", *line), machine, found["started"])
    return _result(found, meter.served, level, target, manner, tool)


def _variables(url: str, tokenizer: str, api_key: str | None, node: str = "") -> dict[str, str]:
    """What the tool runs with. Without a key, one that the environment holds for somebody else must not be sent."""
    variables = {"OPENAI_API_KEY": api_key or "", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    if Path(tokenizer).is_dir():
        variables |= OFFLINE
    host = urlsplit(url).hostname or ""
    if host in (*_LOCAL, node):  # a proxy that the environment names is not asked for a machine's own addresses
        for name in ("NO_PROXY", "no_proxy"):
            variables[name] = ",".join([*filter(None, [os.environ.get(name), node]), *_LOCAL])
    return variables


def _follow(
    job: Job,
    level: LoadLevel,
    target: Target,
    time_limit: float,
    tell: Callable[[Progress], None] | None,
    cancel: threading.Event | None,
) -> dict[str, Any]:
    """The tool's result; the time limit counts from the moment it runs, not from what comes before on its machine."""
    forget = job.observe(lambda each: tell(each.progress)) if tell is not None else None
    began: float | None = None
    try:
        while True:
            try:
                return dict(job.wait(0.2))
            except TimeoutError:
                pass
            if cancel is not None and cancel.is_set():
                raise JobCancelled("the benchmark was cancelled")
            if began is None and job.progress.stage in STAGES:
                began = job.seconds
            if began is not None and job.seconds - began > time_limit:
                over = job.progress.detail or "no request over"
                raise WorkbenchError(
                    f"the load of {level.label} on {target.url} was not over in {time_limit:g} s ({over}); the server "
                    "hangs, or needs fewer requests or a longer time limit"
                )
    finally:
        job.cancel()  # nothing to a job that is over
        if forget is not None:
            forget()
        with contextlib.suppress(WorkbenchError, TimeoutError):
            job.wait(30.0)


def _judge(found: Mapping[str, Any], target: Target, manner: Manner, level: LoadLevel, api_key: str | None) -> None:
    """Raise unless what came back is a measurement."""
    completed, failed, short = found["completed"], found["failed"], found["short"]
    total = completed + failed
    if failed > MOST_FAILED * total:
        with Client(target.url, api_key=api_key, timeout=10.0) as client:
            gone = "" if client.healthy(5.0) else " and does not answer any more"
        raise WorkbenchError(f"{target.url} failed {failed} of {total} requests{gone}{_reasons(found)}")
    if completed < 1 or found["output_tokens"] < 1:
        raise WorkbenchError(f"{target.url} answered none of {total} requests{_reasons(found)}")
    if manner.whole and short > MOST_FAILED * completed:
        raise WorkbenchError(
            f"{target.url} broke off {short} of {completed} answers before their {level.workload.osl} tokens were out, "
            "so its times mean nothing; does it give up a request when the next one comes?"
        )
    if found["at_once"] > MOST_FAILED * completed:
        raise WorkbenchError(
            f"{target.url} sent {found['at_once']} of {completed} answers in one piece, so there are no times to "
            "measure"
        )


def _reasons(found: Mapping[str, Any]) -> str:
    return ": " + "; ".join(f"{text} ({count} times)" for text, count in found["errors"]) if found["errors"] else ""


def _result(
    found: Mapping[str, Any], served: Served | None, level: LoadLevel, target: Target, manner: Manner, tool: Tool
) -> LoadResult:
    several = found["output_tokens"] > found["completed"]
    times = {name: Times(**each) for name, each in found["times"].items()}
    return LoadResult(
        level=level,
        target=target,
        tool=tool,
        completed=found["completed"],
        failed=found["failed"],
        short=found["short"],
        seconds=found["seconds"],
        input_tokens=found["input_tokens"],
        output_tokens=found["output_tokens"],
        ttft=times["ttft"],
        tpot=times["tpot"] if several else None,
        itl=times["itl"] if several else None,
        e2e=times["e2e"],
        served=served,
        remarks=tuple(_remarks(found, served, level, target, manner, tool)),
    )


def _remarks(
    found: Mapping[str, Any], served: Served | None, level: LoadLevel, target: Target, manner: Manner, tool: Tool
) -> list[str]:
    load, made = level.workload, []
    if found["failed"]:
        made.append(f"{found['failed']} of {level.requests} requests failed{_reasons(found)}.")
    mean = found["output_tokens"] / found["completed"]
    if not manner.whole or found["short"]:
        made.append(f"Answers have {mean:.1f} tokens on average where {load.osl} were asked for: the server ends them.")
    if found["uncounted"]:
        made.append("The server does not count its tokens: the pieces of its streams were counted instead.")
    if found["completed"] < 100:
        made.append(f"The 99th percentile of {found['completed']} requests is nearly the slowest of them.")
    if (
        served is not None
        and served.generated is not None
        and served.generated > 1.05 * found["output_tokens"] + load.osl
    ):
        made.append(
            f"The server generated {served.generated:,.0f} tokens and this load asked for {found['output_tokens']:,}: "
            "somebody else used it meanwhile."
        )
    if served is not None and served.prefix_hit is not None and served.prefix_hit > load.prefix_hit + 0.1:
        made.append(
            f"The prefix cache held {served.prefix_hit:.0%} of the prompts, not {load.prefix_hit:.0%}: it has seen "
            "this seed's prompts before."
        )
    made += _whence(target, tool.machine)
    if tool.machine["busy"] > _BUSY:
        made.append(
            f"Before the load of {level.label}, other work kept {tool.machine['busy']:.0%} of the generator's machine "
            "busy: measure again when it is idle."
        )
    return made


def _whence(target: Target, machine: Mapping[str, Any]) -> list[str]:
    """Where the load came from, where that bears on its times."""
    node, host, made = machine.get("node", ""), urlsplit(target.url).hostname, []
    shared = target.gpu in ("cpu", "")
    if node:
        took = ", and took some of its processor" if shared else ""
        made.append(f"The load came from the server's own node, {node}: no network lies in its times{took}.")
    elif host in _LOCAL and shared:
        made.append("The load generator ran on the server's own machine and took some of its processor.")
    elif host not in _LOCAL:
        made.append(f"The load was sent from this machine to {host}: the way there and back is in its times.")
    if node and target.gpu == "cpu" and not processor.is_this(machine):
        made.append(
            f"The server computed on {machine['cores']} cores of {machine['processor']}; the plan is of this machine's "
            "processor."
        )
    return made
