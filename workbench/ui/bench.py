"""Measure: load on a server, one load or rising ones, the plan beside it, and what is learned of it for later plans."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.benchmark.bench import Benchmark, bench, levels
from workbench.benchmark.correction import correct
from workbench.benchmark.load import PERCENTILES, LoadLevel, LoadResult
from workbench.benchmark.planned import Planned, agreement, beside
from workbench.cluster import Cluster
from workbench.deployment import ServiceLevel, Workload
from workbench.errors import WorkbenchError
from workbench.jobs import JobCancelled
from workbench.planner import Plan
from workbench.progress import Progress
from workbench.serving import Server
from workbench.ui import loads as shown
from workbench.ui.answering import field_of
from workbench.ui.bench_chart import LEGEND, figure
from workbench.ui.chart import widget
from workbench.ui.choices import in_words
from workbench.ui.choosing import ChoosingPanel
from workbench.ui.panel import Refused, Throttle, log, sentence
from workbench.ui.where import PlacedPanel, spoken

#: Fields of a workload that the page may change.
SHAPE = ("isl", "osl", "isl_cv", "osl_cv", "prefix_hit")


class BenchPanel(ChoosingPanel, PlacedPanel):
    """Choose loads, put them on a server, see what came back beside the plan, use it for later plans.

    Parameters
    ----------
    source : Plan, Server, str or Path, optional
        What ``wb.bench`` takes: a server, its address, or what is started for it. The page may name an address instead.
    plan : Plan, optional
        What a running server was started by; a server that ``wb.serve`` started brings its own.
    workload : Workload, optional
        Lengths of the requests; by default the plan's.
    concurrency, request_rate : int, float or sequence, optional
        Loads to begin with: requests in flight, or requests a second.
    sweep : bool
        Whether to stop at the load that saturates the server or breaks the service level.
    slo : ServiceLevel, optional
        What is asked of the server.
    out : str or Path
        Folder that keeps what is measured; nothing is kept when empty.
    requests : int, optional
        Of each load.
    model, tokenizer : str
        As in ``wb.bench``.
    api_key : str, optional
        Kept in the kernel; the page may set it and never holds it.
    on : str or Cluster, optional
        The cluster that what is started is started on, to begin with; the page may name one.
    **options
        Of ``wb.serve``, for what is started.

    Attributes
    ----------
    choice : dict
        All of the above but the source, the plan, the key and the cluster.
    loads : list of dict
        What will be asked: ``label``, ``requests``.
    rows : list of dict
        The loads measured so far; observe it to draw it.
    state : dict
        Status, progress, error, what is to be said of it.
    chart : str
        The picture of the rows, as anywidget refers to one; empty without any.
    correction : dict
        What was learned for later plans.
    found : Benchmark or None
        The last one that is complete.
    """

    script = "bench.js"
    style = "bench.css"
    texts: ClassVar[tuple[str, ...]] = ("url", "out", "model", "tokenizer")
    actions: ClassVar[dict[str, str]] = {
        "start": "start",
        "cancel": "cancel",
        "correct": "correct",
        "key": "set_key",
        **PlacedPanel.placing,
    }

    about = traitlets.Dict(read_only=True).tag(sync=True)
    loads = traitlets.List(read_only=True).tag(sync=True)
    rows = traitlets.List(read_only=True).tag(sync=True)
    state = traitlets.Dict(read_only=True).tag(sync=True)
    chart = traitlets.Unicode("", read_only=True).tag(sync=True)
    correction = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(
        self,
        source: Plan | Server | str | Path | None = None,
        *,
        plan: Plan | None = None,
        workload: Workload | None = None,
        concurrency: int | Sequence[int] = (1, 2, 4, 8),
        request_rate: float | Sequence[float] | None = None,
        sweep: bool = False,
        slo: ServiceLevel | None = None,
        out: str | Path = "measured",
        requests: int | None = None,
        model: str = "",
        tokenizer: str | Path = "",
        api_key: str | None = None,
        on: str | Cluster | None = None,
        **options: Any,
    ) -> None:
        self._source, self._plan, self._options, self._key = source, plan or _plan_of(source), options, api_key
        self._workload = workload or (self._plan.workload if self._plan is not None else None) or Workload()
        self.found: Benchmark | None = None
        self._work = _Work()
        self._learning = threading.Lock()
        self._chart: Any = None
        self._drawn: list[dict[str, Any]] = []
        super().__init__()
        self._throttle = Throttle(self._follow)
        given = concurrency if request_rate is None else request_rate
        address = str(source) if isinstance(source, str) and shown.is_address(source) else ""
        source_said = "" if address else shown.named(source)
        starts = not address and source is not None and not isinstance(source, Server)
        about = {"source": source_said, "starts": starts, "percentiles": list(PERCENTILES), "legend": LEGEND}
        self.set_trait("about", about)
        self._follow()
        self.choice = {
            "url": address,
            "kind": shown.KINDS[request_rate is not None],
            "loads": list(given) if isinstance(given, Sequence) else [given],
            "sweep": sweep,
            "requests": requests,
            "out": str(out),
            "model": model,
            "tokenizer": str(tokenizer),
            **{name: getattr(self._workload, name) for name in SHAPE},
            **{name: getattr(slo or ServiceLevel(percentile=95), name) for name in shown.ASKED},
        }
        self._say_key()
        self.put(on)

    # --- what is chosen -----------------------------------------------------------------------------------------

    def _checked(self, proposed: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        if proposed["url"] and not shown.is_address(proposed["url"]):
            raise Refused("The server's address begins with http:// or https://.", "url")
        if proposed["kind"] not in shown.KINDS:
            raise Refused("Requests are kept in flight, or come at a rate.", "kind")
        if not isinstance(proposed["sweep"], bool):
            raise Refused("sweep is yes or no.", "sweep")
        if proposed["percentile"] not in PERCENTILES:
            raise Refused(f"The percentile is one of {', '.join(map(str, PERCENTILES))}.", "percentile")
        proposed["loads"] = shown.numbers(proposed["loads"], proposed["kind"])
        try:
            shown.service_level(proposed)
            planned = self._levels(proposed)
        except WorkbenchError as error:
            named = field_of(error, before, proposed)
            words = sentence(WorkbenchError(in_words(str(error))))
            raise Refused(words, "loads" if named in ("", "kind") else named) from error
        self.set_trait("loads", [{"label": each.label, "requests": each.requests} for each in planned])
        return proposed

    def _levels(self, chosen: Mapping[str, Any]) -> list[LoadLevel]:
        load = replace(self._workload, **{name: chosen[name] for name in SHAPE})
        asked: dict[str, Any] = {chosen["kind"]: chosen["loads"]}
        return levels(load, **asked, sweep=chosen["sweep"], requests=chosen["requests"], seed=0)

    def _placed(self) -> None:
        self._say(None)

    @property
    def _started_on(self) -> Cluster | None:
        """The cluster, where anything is started; what runs stays where it is."""
        return self.on if self.about["starts"] and not self.choice["url"] else None

    def _arguments(self) -> dict[str, Any]:
        """What ``wb.bench`` is given besides the source; what says nothing is left out."""
        chosen, slo = self.choice, shown.service_level(self.choice)
        given: dict[str, Any] = {
            "workload": replace(self._workload, **{name: chosen[name] for name in SHAPE}, request_rate=None),
            chosen["kind"]: chosen["loads"],
        }
        given |= {"sweep": True} if chosen["sweep"] else {}
        given |= {"slo": slo} if slo is not None else {}
        return given | {name: chosen[name] for name in ("requests", "model", "tokenizer", "out") if chosen[name]}

    def _call(self) -> str:
        words = [repr(self.choice["url"]) if self.choice["url"] else shown.spoken(self._source)]
        words += ["plan=plan"] if self._compared is not None and words[0] != "plan" else []
        words += [f"{name}={shown.written(value)}" for name, value in self._arguments().items()]
        words += ["api_key=API_KEY"] if self._key else []
        words += [f"on={spoken(self._started_on)}"] if self._started_on is not None else []
        learned = ", plan" if self._compared is not None else ""
        return f"found = wb.bench({', '.join(words)})\nfound.frame()\nwb.correct(found{learned}).sentences"

    def set_key(self, value: str) -> None:
        """Take the server's key from the page, which does not get it back; an empty one is forgotten."""
        if not isinstance(value, str) or len(value) > 10_000 or not value.isascii() or not value.isprintable():
            raise Refused("A key is a line of ASCII text.", "key")
        self._key = value or None
        self._say_key()

    def _say_key(self) -> None:
        self.set_trait("about", {**self.about, "key": bool(self._key)})
        self._say(None)

    # --- measuring ----------------------------------------------------------------------------------------------

    @property
    def _compared(self) -> Plan | None:
        """The plan of what is measured: that of a server given here says nothing of another one that the page names."""
        return None if self.choice["url"] and isinstance(self._source, Server | Plan) else self._plan

    @property
    def running(self) -> bool:
        """Whether a load is being measured."""
        return self._work.status == "running"

    def start(self) -> None:
        """Put the loads on that are chosen; returns at once.

        Raises
        ------
        WorkbenchError
            There is no server to measure, or one is being measured already.
        """
        if self.running:
            raise WorkbenchError("loads are being measured already; cancel them first")
        source = self.choice["url"] or self._source
        if source is None:
            raise Refused("Name the server's address.", "url")
        given = {**self._arguments(), "plan": self._compared, "api_key": self._key}
        if not self.choice["url"]:
            given |= {**self._options, "on": self._started_on}
        self.found, self._work = None, _Work("running", (), given["plan"], given.get("slo"), given.get("out", ""))
        self.set_trait("correction", {})
        threading.Thread(target=self._measure, args=(self._work, source, given), daemon=True, name="benchmark").start()
        self._follow()

    def cancel(self) -> None:
        """End what is being measured; the load under way counts for nothing."""
        self._work.cancel.set()

    def wait(self, timeout: float | None = None) -> Benchmark:
        """What was measured, once it is over.

        Raises
        ------
        TimeoutError
            It is not over yet.
        WorkbenchError
            It failed, or was cancelled; the message says why.
        """
        if not self._work.over.wait(timeout):
            raise TimeoutError(f"the benchmark is not over after {timeout:g} s")
        if self.found is None:
            raise WorkbenchError(self._work.error or "nothing was measured")
        return self.found

    def show(self, found: Benchmark) -> None:
        """Show what was measured elsewhere."""
        parts = [(each, shown.of(each, found.planned)) for each in found.results]
        self.found, self._work = found, _Work("done", parts, self._plan, found.slo)
        self._work.over.set()
        self.set_trait("correction", {})
        self._throttle()

    def _measure(self, work: _Work, source: Any, given: dict[str, Any]) -> None:
        def told(progress: Progress) -> None:
            work.progress = progress
            self._throttle()

        def measured(result: LoadResult) -> None:
            work.results.append((result, tuple(beside(work.plan, result)) if work.plan is not None else ()))
            self._throttle()

        try:
            found = bench(source, tell=told, on_result=measured, cancel=work.cancel, **given)
            work.results = [(each, shown.of(each, found.planned)) for each in found.results]
            self.found, work.status = found, "done"
        except JobCancelled as error:
            work.error, work.status = sentence(error), "cancelled"
        except Exception as error:  # a sentence in the page, whatever the server did
            if not isinstance(error, WorkbenchError):
                log.exception("a benchmark failed", exc_info=error)
            work.error, work.status = sentence(error), "failed"
        finally:
            work.over.set()
            self._throttle()

    def _follow(self) -> None:
        work = self._work
        status, found = work.status, self.found  # in this order: what is done has been found
        within = found.within if found is not None and (found.ended or found.slo is not None) else None
        figures = [figure for _, planned in work.results for figure in planned]
        with self.hold_sync():
            self.set_trait(
                "rows", [shown.row(each, planned, work.slo, each is within) for each, planned in work.results]
            )
            self.set_trait(
                "state",
                {
                    "status": status,
                    "progress": vars(work.progress),
                    "error": work.error,
                    "conclusions": list(found.conclusions) if found is not None else [],
                    "remarks": list(found.remarks) if found is not None else [],
                    "agreement": agreement(figures) if found is not None else "",
                    "planned": [figure.sentence for figure in figures],
                    "kept": found.kept if found is not None else work.kept if work.error else "",
                    "table": found is not None and found.table is not None,
                },
            )

        self._draw()

    def _draw(self) -> None:
        """The picture of the rows; a new one takes an old one's place, since one that is changed loses its layout."""
        if self.rows == self._drawn:
            return
        old, self._drawn, self._chart = self._chart, self.rows, None
        if self.rows:
            self._chart = widget(figure(self.rows))
        self.set_trait("chart", f"anywidget:{self._chart.model_id}" if self._chart is not None else "")
        if old is not None:
            old.close()

    # --- learning -----------------------------------------------------------------------------------------------

    def correct(self) -> None:
        """Learn from what was measured, for later plans; returns at once, what came of it is in ``correction``.

        Raises
        ------
        WorkbenchError
            Nothing was measured, or it is being learned from already.
        """
        if self.found is None:
            raise WorkbenchError("there is nothing to learn from yet; measure first")
        if not self._learning.acquire(blocking=False):
            raise WorkbenchError("it is being learned from; wait for it")
        self.set_trait("correction", {"status": "running"})
        threading.Thread(target=self._learn, args=(self.found, self._work.plan), daemon=True, name="learn").start()

    def _learn(self, found: Benchmark, plan: Plan | None) -> None:
        try:
            made = correct(found, plan)
            said: dict[str, Any] = {"status": "done", "said": list(made.sentences), "changes": list(made.changes)}
        except Exception as error:  # a sentence in the page
            if not isinstance(error, WorkbenchError):
                log.exception("nothing was learned", exc_info=error)
            said = {"status": "failed", "error": sentence(error)}
        finally:
            self._learning.release()
        self.set_trait("correction", said)


class _Work:
    """One benchmark under way, or over."""

    def __init__(
        self,
        status: str = "",
        results: Sequence[tuple[LoadResult, tuple[Planned, ...]]] = (),
        plan: Plan | None = None,
        slo: ServiceLevel | None = None,
        out: str = "",
    ) -> None:
        self.status, self.results, self.plan, self.slo, self.out = status, list(results), plan, slo, out
        self.progress, self.error = Progress(None, "beginning"), ""
        self.cancel, self.over = threading.Event(), threading.Event()

    @property
    def kept(self) -> str:
        """Where the loads are that were measured before the end came too early, in words; empty without any."""
        if not self.results:
            return ""
        return f"What was measured until then is shown{f', and kept in {self.out}' if self.out else ''}."


def _plan_of(source: Any) -> Plan | None:
    """The plan that a source brings along."""
    if isinstance(source, Plan):
        return source
    return source.plan if isinstance(source, Server) else None
