"""``wb.bench``: a server put under load, one load or rising ones, and what came of it."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.benchmark import rows
from workbench.benchmark.endpoint import approach, warm_up
from workbench.benchmark.generator import TIME_LIMIT, put
from workbench.benchmark.load import LoadLevel, LoadResult
from workbench.benchmark.origin import origin_of
from workbench.benchmark.planned import Planned, beside
from workbench.benchmark.sweep import Sweep, climb, doubling, largest
from workbench.benchmark.target import configuration, describe, tokenizer
from workbench.cluster import Cluster
from workbench.deployment import ServiceLevel, Workload
from workbench.errors import InvalidInput
from workbench.jobs import JobCancelled
from workbench.planner import Plan
from workbench.progress import Progress
from workbench.serving import Server, serve

if TYPE_CHECKING:
    import pandas as pd

#: The largest concurrency of a sweep that is given no loads.
MOST = 256
#: Requests of a load: so many rounds of those in flight, so many seconds of those that arrive; never fewer than the
#: least, of which percentiles still say something.
ROUNDS, SECONDS, LEAST = 4, 20.0, 16
#: Warm-ups are as many as will be in flight, up to here.
_WARM = 16


@dataclass(frozen=True)
class Benchmark:
    """What :func:`bench` measured.

    Attributes
    ----------
    results : tuple of LoadResult
        A load each, in the order they were put on.
    slo : ServiceLevel or None
        What was asked of the server.
    within : LoadResult or None
        The load of the largest throughput that held ``slo``; None if none did.
    ended : str
        Why a sweep went no further; empty without one.
    planned : tuple of Planned
        The plan beside each load, where there is a plan.
    folder, table : Path or None
        Where they were added, and the file of measurements there.
    """

    results: tuple[LoadResult, ...]
    slo: ServiceLevel | None = None
    within: LoadResult | None = None
    ended: str = ""
    planned: tuple[Planned, ...] = ()
    folder: Path | None = None
    table: Path | None = None

    @property
    def kept(self) -> str:
        """Where it is kept, in words; empty where nothing is."""
        if self.folder is None:
            return ""
        if self.table is None:
            return (
                f"Kept in {self.folder}, a file for each load. There is no table to learn from: that takes loads at a "
                "concurrency, and a plan that says model, engine and card."
            )
        return f"Kept in {self.folder}, a file for each load, and all of them in {self.table.name}."

    @property
    def ok(self) -> bool:
        """Whether the service level is held: by every load that was asked for, in a sweep by one at least."""
        if self.slo is None:
            return True
        return self.within is not None if self.ended else not any(each.breaks(self.slo) for each in self.results)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What came of it: the end of the sweep, the largest load, whether the service level is held."""
        said = []
        if self.ended:
            said.append(f"The sweep ended: {self.ended}.")
        elif self.slo is not None and not self.ok:
            broken = next(each for each in self.results if each.breaks(self.slo))
            said.append(f"The service level is not held: at {broken.level.label}, {broken.breaks(self.slo)}.")
        elif self.slo is not None:
            said.append("The service level is held by every load that was asked for.")
        if self.within is not None and (self.ended or self.slo is not None):
            held = "within the service level" if self.slo else "by throughput"
            rate = f"{self.within.output_tokens_per_s:,.1f} output tokens/s"
            said.append(f"The largest load {held} is {self.within.level.label}: {rate}.")
        return tuple(said)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know before the numbers are used, each once."""
        return tuple(dict.fromkeys(remark for each in self.results for remark in each.remarks))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is to be said of it."""
        return (*self.conclusions, *self.remarks)

    def frame(self) -> pd.DataFrame:
        """A row per load: times [s], rates [1/s]."""
        import pandas as pd

        return pd.DataFrame([_row(each) for each in self.results])

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "results": [each.to_json() for each in self.results],
            "slo": None if self.slo is None else vars(self.slo),
            "ok": self.ok,
            "within": None if self.within is None else self.results.index(self.within),
            "ended": self.ended,
            "planned": [each.row() for each in self.planned],
            "sentences": list(self.sentences),
            "table": str(self.table) if self.table else None,
        }


def _row(result: LoadResult) -> dict[str, Any]:
    level, served = result.level, result.served
    return {
        "load": level.label,
        "concurrency": level.concurrency,
        "request_rate": level.request_rate,
        "completed": result.completed,
        "failed": result.failed,
        "ttft": result.ttft.mean,
        "ttft_p95": result.ttft.p95,
        "tpot": result.tpot.mean if result.tpot else None,
        "tpot_p95": result.tpot.p95 if result.tpot else None,
        "itl_p99": result.itl.p99 if result.itl else None,
        "e2e": result.e2e.mean,
        "output_tokens_per_s": result.output_tokens_per_s,
        "total_tokens_per_s": result.total_tokens_per_s,
        "requests_per_s": result.requests_per_s,
        "kv_cache_usage": served.kv_cache_usage if served else None,
        "waiting": served.waiting if served else None,
        "preemptions": served.preemptions if served else None,
        "prefix_hit": served.prefix_hit if served else None,
        "acceptance": served.acceptance if served else None,
    }


def levels(
    workload: Workload,
    *,
    concurrency: int | Iterable[int] | None = None,
    request_rate: float | Iterable[float] | None = None,
    sweep: bool = False,
    requests: int | None = None,
    warmups: int | None = None,
    seed: int | None = None,
) -> list[LoadLevel]:
    """The loads that are asked for, each with prompts of its own.

    Examples
    --------
    >>> [(each.concurrency, each.requests) for each in levels(Workload(64, 16), concurrency=[1, 8], seed=1)]
    [(1, 16), (8, 32)]
    """
    if concurrency is not None and request_rate is not None:
        raise InvalidInput("give concurrency (requests in flight) or request_rate (requests a second), not both")
    loads: list[Workload]
    if request_rate is not None:
        rates = list(request_rate) if isinstance(request_rate, Iterable) else [request_rate]
        loads = [replace(workload, request_rate=rate, requests=None) for rate in rates]
    elif concurrency is None and workload.request_rate is not None and not sweep:
        loads = [workload]
    else:
        given = concurrency if concurrency is not None else doubling(MOST) if sweep else workload.concurrency
        numbers = list(given) if isinstance(given, Iterable) else [given]
        loads = [replace(workload, concurrency=number, request_rate=None, requests=None) for number in numbers]
    if not loads:
        raise InvalidInput("give at least one concurrency or request_rate")
    if sweep:
        loads.sort(key=lambda load: load.request_rate or load.concurrency)
    # A seed that was used before finds its prompts in a prefix cache; so none is used twice unless it is asked for.
    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    made = []
    for at, load in enumerate(loads):
        rate = load.request_rate
        several = ROUNDS * load.concurrency if rate is None else math.ceil(rate * SECONDS)
        together = load.concurrency if rate is None else max(1, math.ceil(rate))
        made.append(
            LoadLevel(
                load,
                requests=max(LEAST, several) if requests is None else requests,
                warmups=min(together, _WARM) if warmups is None else warmups,
                seed=first + at,
            )
        )
    return made


def bench(
    source: Plan | Server | str | Path,
    *,
    workload: Workload | None = None,
    concurrency: int | Sequence[int] | None = None,
    request_rate: float | Sequence[float] | None = None,
    sweep: bool = False,
    slo: ServiceLevel | None = None,
    out: str | Path | None = None,
    plan: Plan | None = None,
    requests: int | None = None,
    warmups: int | None = None,
    seed: int | None = None,
    model: str | None = None,
    tokenizer: str | Path | None = None,
    api_key: str | None = None,
    time_limit: float = TIME_LIMIT,
    on: str | Cluster | None = None,
    tell: Callable[[Progress], None] | None = None,
    on_result: Callable[[LoadResult], None] | None = None,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Benchmark:
    """Put load on a server and measure it.

    Parameters
    ----------
    source : Plan, Server, str or Path
        The ``http://…`` address of a running server of OpenAI's API, a :class:`workbench.serving.Server`, or what
        :func:`workbench.serve` starts (a plan, a folder, "builtin"): that is started, measured and stopped.
    workload : Workload, optional
        Lengths, their spread, prefix; by default the plan's.
    concurrency : int or sequence, optional
        Requests in flight: one load for each. By default the workload's.
    request_rate : float or sequence, optional
        Requests a second instead, at random (Poisson) [1/s].
    sweep : bool
        Whether to stop at the load that saturates the server or breaks ``slo``; without loads, 1, 2, 4 … in flight.
    slo : ServiceLevel, optional
        What is asked of the server; its percentile is 50, 90, 95 or 99.
    out : str or Path, optional
        Folder that each result is added to as it is measured: a JSON file each and ``serving_latency.csv``, which
        ``workbench validate latency`` and ``workbench calibrate latency`` read.
    plan : Plan, optional
        What a running server was started by; it says model, engine and card, and stands beside what is measured.
    requests, warmups : int, optional
        Of each load; by default four rounds of those in flight, or 20 seconds, 16 at least, after as many warm-ups as
        are in flight, up to 16.
    seed : int, optional
        Of the first load, the next one has the next; drawn anew by default, because a prefix cache holds the prompts
        of a seed that was used before.
    model : str, optional
        By default the first that the server names.
    tokenizer : str or Path, optional
        A folder or a model's id; by default the served model's.
    api_key : str, optional
        For a server that wants one; it is kept nowhere.
    time_limit : float
        Longest time of one load [s].
    on : str or Cluster, optional
        A Ray cluster, ``"ray://HOST:10001"``: what is started is started on one of its nodes, and the load comes from
        that node, as it does for every server that was started on one (see :mod:`workbench.benchmark.origin`). Several
        calls at once, in threads or processes, are measured side by side; ask for all of a node's cards or processors
        (``Cluster(address, cpus=64)``) where none shall share a node.
    tell, on_result, cancel
        Called with a Progress as it goes; called with each load's result as it is measured; ends it when set.
    **options
        Of :func:`workbench.serve`, for what is started: ``port``, ``checkpoint``, ``arguments``, fields of the
        Deployment.

    Returns
    -------
    Benchmark

    Raises
    ------
    InvalidInput
        A load that cannot be; a server that refuses model or key.
    WorkbenchError
        The server is dead or half dead: it does not answer, fails more than one request in twenty, breaks answers off,
        sends something else, or is not done in time.
    JobCancelled
        ``cancel`` was set.

    Examples
    --------
    >>> import workbench as wb
    >>> found = wb.bench("builtin", workload=wb.Workload(128, 32), concurrency=[1, 2, 4])     # doctest: +SKIP
    >>> found.frame()[["concurrency", "ttft", "tpot", "output_tokens_per_s"]]                 # doctest: +SKIP
    """
    if slo is not None and (slo.ttft is not None or slo.tpot is not None):
        _kept(slo)
    asked = {"concurrency": concurrency, "request_rate": request_rate, "sweep": sweep, "requests": requests}
    with ExitStack() as stack:
        server: Server | None = None
        running = isinstance(source, Server) or str(source).startswith(("http://", "https://"))
        if running and on is not None:
            raise InvalidInput("a running server stays where it is; leave out on, or say what shall be started there")
        if isinstance(source, str) and running:
            if options:
                raise InvalidInput(f"a running server keeps its own settings; leave out {', '.join(options)}")
            url = source.rstrip("/").removesuffix("/v1")
        else:
            given = isinstance(source, Server)
            server = source if isinstance(source, Server) else serve(source, on=on, **options)
            if not given:
                stack.enter_context(server)
            _await(server, tell, cancel)
            url, plan = server.url, plan or server.plan
            api_key = api_key if api_key is not None else server._api_key
        load = workload or (plan.workload if plan is not None else None) or Workload()
        loads = levels(load, **asked, warmups=warmups, seed=seed)  # type: ignore[arg-type,unused-ignore]
        table, folder = None, Path(out).expanduser() if out is not None else None
        named = dict([configuration(plan)]) if plan is not None else {}
        configurations = {name: fields for name, fields in named.items() if fields is not None}

        def measured(result: LoadResult) -> None:
            nonlocal table
            if folder is not None:  # at once: what was measured outlives a later load that fails
                table = rows.keep([result], folder, configurations)
            if on_result is not None:
                on_result(result)

        found = measure(
            url, loads, server=server, plan=plan, slo=slo, sweep=sweep, model=model, tokenizer_folder=tokenizer,
            api_key=api_key, time_limit=time_limit, tell=tell, on_result=measured, cancel=cancel,
        )  # fmt: skip
    planned = tuple(each for result in found.results for each in beside(plan, result)) if plan is not None else ()
    return Benchmark(
        found.results, slo, largest(found.results, slo), found.ended if sweep else "", planned, folder, table
    )


def measure(
    url: str,
    loads: Sequence[LoadLevel],
    *,
    server: Server | None = None,
    plan: Plan | None = None,
    slo: ServiceLevel | None = None,
    sweep: bool = False,
    model: str | None = None,
    tokenizer_folder: str | Path | None = None,
    api_key: str | None = None,
    time_limit: float = TIME_LIMIT,
    tell: Callable[[Progress], None] | None = None,
    on_result: Callable[[LoadResult], None] | None = None,
    cancel: threading.Event | None = None,
) -> Sweep:
    """Put loads on a running server, one after the other; parameters and errors are :func:`bench`'s."""
    first = loads[0].workload
    if tell is not None:
        tell(Progress(None, "asking the server", url))
    manner = approach(
        url, api_key=api_key, model=model, isl=first.isl, osl=first.osl, patience=time_limit, cancel=cancel
    )
    cut = tokenizer(tokenizer_folder, server, manner, plan)
    origin = origin_of(server)
    target = describe(url, manner, plan=plan, version=server.version if server else None, api_key=api_key)

    def one(level: LoadLevel) -> LoadResult:
        if cancel is not None and cancel.is_set():
            raise JobCancelled("the benchmark was cancelled")
        at = loads.index(level)

        def told(progress: Progress) -> None:
            if tell is not None:
                share = None if progress.fraction is None else (at + progress.fraction) / len(loads)
                tell(Progress(share, f"load of {level.label}", progress.detail or progress.stage))

        told(Progress(None, "warming up"))
        osl = min(level.workload.osl, 32)
        warm_up(
            url, manner, api_key=api_key, isl=level.workload.isl, osl=osl, requests=level.warmups,
            patience=time_limit, cancel=cancel,
        )  # fmt: skip
        result = put(
            target, manner, level, tokenizer=cut, api_key=api_key, time_limit=time_limit, tell=told, cancel=cancel,
            origin=origin,
        )  # fmt: skip
        if on_result is not None:
            on_result(result)
        return result

    if sweep:
        return climb(loads, one, slo)
    return Sweep(tuple(one(level) for level in loads), None, "")


def _kept(slo: ServiceLevel) -> None:
    """Refuse at once a percentile that no result will have."""
    from workbench.benchmark.load import Times

    Times(0, 0, 0, 0, 0).at(slo.percentile)


def _await(server: Server, tell: Callable[[Progress], None] | None, cancel: threading.Event | None) -> None:
    """Until it is ready, telling how it comes up."""
    while server.status == "starting":
        if cancel is not None and cancel.is_set():
            raise JobCancelled("the benchmark was cancelled")
        if tell is not None:
            tell(server.progress)
        try:
            server.wait_ready(0.5)
        except TimeoutError:
            continue
    server.wait_ready()
