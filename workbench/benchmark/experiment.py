"""``wb.experiment``: engines by formats on one model, each really started, under the same load.

On this machine one after the other, on a cluster side by side.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench import builtin
from workbench.benchmark import rows
from workbench.benchmark.bench import bench, levels
from workbench.benchmark.footprint import Footprint, on_disk
from workbench.benchmark.generator import TIME_LIMIT
from workbench.benchmark.load import LoadResult
from workbench.benchmark.planned import Planned
from workbench.benchmark.target import configuration
from workbench.cluster import AT_ONCE, Cluster, cluster_of
from workbench.deployment import ENGINES, Workload
from workbench.errors import InvalidInput, UnknownName, WorkbenchError
from workbench.jobs import JobCancelled
from workbench.jobs.beside import side_by_side
from workbench.progress import Progress
from workbench.quantizers import quantize
from workbench.serving import Server, serve
from workbench.trials.choice import Choice

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

#: What is compared -> whether more of it is better.
COLUMNS: Mapping[str, bool] = {
    "output_tokens_per_s": True,
    "ttft": False,
    "tpot": False,
    "memory": False,
    "gpu_memory": False,
    "disk": False,
    "perplexity": False,
    "kl_divergence": False,
    "ready_seconds": False,
}
_PROVENANCE = "workbench.json"


@dataclass(frozen=True)
class Contender:
    """An engine, and what it serves.

    Parameters
    ----------
    engine : str
        In a Deployment's words.
    what : str or None
        None: the model as it is. Else a folder or GGUF file, a type of GGUF ("Q4_K_M"), or a method of
        :func:`workbench.quantize` with its parameters ("awq", "gptq:bits=8"), which is run first.

    Raises
    ------
    InvalidInput, UnknownName
        For an engine or a method that there is not.
    """

    engine: str
    what: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownName("engine", self.engine, ENGINES, f"one of {', '.join(ENGINES)}")
        if self.engine == "llama.cpp" and self.what is None:
            raise InvalidInput("llama.cpp loads GGUF: name a type such as Q4_K_M, or a .gguf file")
        if self.choice is not None and (self.choice.method == "gguf") != (self.engine == "llama.cpp"):
            raise InvalidInput(f"{self.engine} does not load what {self.choice.method} makes")

    @property
    def place(self) -> Path | None:
        """The folder or file that it names; None where something is made first."""
        if self.what is None:
            return None
        path = Path(self.what).expanduser()
        return path if path.exists() else None

    @property
    def choice(self) -> Choice | None:
        """How what it serves is made; None where nothing is."""
        if self.what is None or self.place is not None:
            return None
        if re.fullmatch(r"i?q\d\w*|b?f(16|32)", self.what, re.IGNORECASE):
            return Choice("gguf", {"type": self.what.upper()})
        return Choice.parse(self.what)

    @property
    def label(self) -> str:
        """As people read it.

        >>> Contender("vllm").label, Contender("llama.cpp", "Q4_K_M").label
        ('vllm', 'llama.cpp Q4_K_M')
        """
        if self.what is None:
            return self.engine
        return f"{self.engine} {self.place.name if self.place is not None else self.what}"

    @classmethod
    def parse(cls, word: str) -> Contender:
        """Read "ENGINE" or "ENGINE:WHAT".

        >>> Contender.parse("vllm:gptq:bits=8").what
        'gptq:bits=8'
        """
        engine, _, what = word.partition(":")
        return cls(engine, what or None)


@dataclass(frozen=True)
class Entry:
    """What came of one contender; nothing but what was measured.

    Attributes
    ----------
    contender : Contender
    outcome : {"done", "failed"}
    reason : str
        Why it failed.
    result : LoadResult or None
        Under load.
    ready_seconds : float or None
        From its start to its first healthy answer [s].
    memory, gpu_memory : int or None
        The most its processes held together, on the host and on cards [B].
    said_weights, said_kv_cache : float or None
        Weights and KV cache by the engine's own word [B].
    disk : int or None
        Weights on disk [B].
    perplexity, kl_divergence : float or None
        By the provenance of what was served, on the text that its quantisation was measured on [-, nats a token].
    planned : tuple of Planned
        The plan beside the load.
    """

    contender: Contender
    outcome: Literal["done", "failed"]
    reason: str = ""
    result: LoadResult | None = None
    ready_seconds: float | None = None
    memory: int | None = None
    gpu_memory: int | None = None
    said_weights: float | None = None
    said_kv_cache: float | None = None
    disk: int | None = None
    perplexity: float | None = None
    kl_divergence: float | None = None
    planned: tuple[Planned, ...] = ()

    def row(self) -> dict[str, Any]:
        """As a row of the table: times [s], sizes [B], rates [1/s]."""
        found = self.result
        return {
            "contender": self.contender.label,
            "engine": self.contender.engine,
            "scheme": self.contender.what or "",
            "version": found.target.engine_version if found else "",
            "outcome": self.outcome,
            "output_tokens_per_s": found.output_tokens_per_s if found else None,
            "requests_per_s": found.requests_per_s if found else None,
            "ttft": found.ttft.mean if found else None,
            "ttft_p95": found.ttft.p95 if found else None,
            "tpot": found.tpot.mean if found and found.tpot else None,
            "tpot_p95": found.tpot.p95 if found and found.tpot else None,
            "memory": self.memory,
            "gpu_memory": self.gpu_memory,
            "said_weights": self.said_weights,
            "said_kv_cache": self.said_kv_cache,
            "disk": self.disk,
            "perplexity": self.perplexity,
            "kl_divergence": self.kl_divergence,
            "ready_seconds": self.ready_seconds,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Experiment:
    """Contenders side by side, the fastest first; what failed stands last.

    Attributes
    ----------
    model : str
    entries : tuple of Entry
    """

    model: str
    entries: tuple[Entry, ...]

    @property
    def ok(self) -> bool:
        """Whether every contender was measured."""
        return all(entry.outcome == "done" for entry in self.entries)

    @property
    def winners(self) -> dict[str, str]:
        """Column -> the contender that is best in it; one that fewer than two have, or two have alike, has none."""
        found = {}
        for column, more in COLUMNS.items():
            held = [(row[column], row["contender"]) for row in map(Entry.row, self.entries) if row[column] is not None]
            ranked = sorted(held, reverse=more)
            if len(ranked) > 1 and ranked[0][0] != ranked[1][0]:
                found[column] = ranked[0][1]
        return found

    def frame(self) -> pd.DataFrame:
        """A row per contender, best throughput first; ``attrs["winners"]`` names the best of each column."""
        import pandas as pd

        table = pd.DataFrame([entry.row() for entry in self.entries])
        table.attrs["winners"] = self.winners
        return table

    def figure(self) -> Figure:
        """Bars of each column, the winner marked, as a plotly figure."""
        from workbench.benchmark.chart import figure

        return figure([entry.row() for entry in self.entries], self.winners)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "model": self.model,
            "ok": self.ok,
            "entries": [
                {
                    **entry.row(),
                    "result": entry.result.to_json() if entry.result else None,
                    "planned": [each.row() for each in entry.planned],
                }
                for entry in self.entries
            ],
            "winners": self.winners,
        }


def experiment(
    model: str | Path,
    contenders: Iterable[Contender | tuple[str, str | Path | None] | str],
    *,
    folder: str | Path = "experiment",
    workload: Workload | None = None,
    concurrency: int | None = None,
    requests: int | None = None,
    seed: int | None = None,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    time_limit: float = TIME_LIMIT,
    on: str | Cluster | None = None,
    tell: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> Experiment:
    """Serve a model in several ways, on this machine one after the other, and put the same load on each.

    Parameters
    ----------
    model : str or Path
        "builtin", a folder, a model id.
    contenders : sequence
        Engines and what they serve: ``("vllm", None)``, ``("vllm", "awq")``, ``("llama.cpp", "Q4_K_M")``, ``("vllm",
        folder)``; see :class:`Contender`.
    folder : str or Path
        Where quantised models, results and ``serving_latency.csv`` are kept; what was quantised before is used again.
    workload : Workload, optional
        Lengths of the requests.
    concurrency, requests, seed : int, optional
        Of the load, as in :func:`workbench.bench`; the prompts are the same for all.
    fields : mapping, optional
        Engine -> fields of its Deployment: ``{"vllm": {"enforce_eager": True}}``.
    time_limit : float
        Longest load [s].
    on : str or Cluster, optional
        A Ray cluster, ``"ray://HOST:10001"``: every contender is quantised, served and measured on one of its nodes,
        side by side. Ask for all of a node (``Cluster(address, cpus=64)``) where none shall share one with another.
    tell, cancel
        Called with a Progress as it goes; ends it when set.

    Returns
    -------
    Experiment
        A contender that does not start or breaks under the load is in it with the reason; the others are measured.

    Raises
    ------
    InvalidInput
        For contenders that cannot be, or are named twice.
    JobCancelled
        ``cancel`` was set.
    """
    asked = [_read(each) for each in contenders]
    if not asked:
        raise InvalidInput("name at least one contender, such as ('vllm', None)")
    if len(set(asked)) < len(asked):
        raise InvalidInput("a contender is named twice")
    for engine in fields or {}:
        if engine not in ENGINES:
            raise UnknownName("engine", engine, ENGINES, f"one of {', '.join(ENGINES)}")
    load = levels(workload or Workload(), concurrency=concurrency, requests=requests, seed=seed)[0]
    place = Path(folder).expanduser()
    cluster = None if on is None else cluster_of(on)
    making = {contender.what: threading.Lock() for contender in asked}  # two may serve what is made once
    shares = [0.0] * len(asked)

    def one(at: int) -> Entry:
        contender = asked[at]

        def told(progress: Progress) -> None:
            if tell is not None:
                shares[at] = progress.fraction or 0.0
                tell(Progress(sum(shares) / len(asked), f"{contender.label}: {progress.stage}", progress.detail))

        if cancel is not None and cancel.is_set():
            raise JobCancelled("the experiment was cancelled")
        try:
            with making[contender.what]:
                served = _made(model, contender, place, told, cancel, cluster)
            return _measured(
                model, contender, served, place, told, cancel, dict((fields or {}).get(contender.engine, {})),
                {
                    "workload": load.workload, "requests": load.requests, "warmups": load.warmups,
                    "seed": load.seed, "time_limit": time_limit,
                },
                cluster,
            )  # fmt: skip
        except JobCancelled:
            raise
        except WorkbenchError as error:
            return Entry(contender, "failed", str(error))
        finally:
            shares[at] = 1.0

    entries = side_by_side(one, range(len(asked)), 1 if cluster is None else AT_ONCE)
    rate = {id(entry): entry.result.output_tokens_per_s if entry.result else -1.0 for entry in entries}
    found = Experiment(str(model), tuple(sorted(entries, key=lambda entry: -rate[id(entry)])))
    place.mkdir(parents=True, exist_ok=True)
    (place / "experiment.json").write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
    return found


def _read(given: Contender | tuple[str, str | Path | None] | str) -> Contender:
    if isinstance(given, Contender):
        return given
    if isinstance(given, str):
        return Contender.parse(given)
    engine, what = given
    return Contender(engine, None if what is None else str(what))


def _made(
    model: str | Path,
    contender: Contender,
    place: Path,
    tell: Callable[[Progress], None],
    cancel: threading.Event | None,
    on: Cluster | None,
) -> str:
    """What the engine serves, quantised now if it is not there yet."""
    if contender.place is not None:
        return str(contender.place)
    choice = contender.choice
    if choice is None:
        return str(model)
    out = place / choice.folder
    if not out.is_dir():
        job = quantize(model, choice.method, out, on=on, **choice.parameters)
        job.observe(lambda each: tell(each.progress))
        while True:
            try:
                job.wait(0.5)
                break
            except TimeoutError:
                if cancel is not None and cancel.is_set():
                    job.cancel()
    return str(out)


def _measured(
    model: str | Path,
    contender: Contender,
    served: str,
    place: Path,
    tell: Callable[[Progress], None],
    cancel: threading.Event | None,
    fields: dict[str, Any],
    load: dict[str, Any],
    on: Cluster | None,
) -> Entry:
    """Start, measure, stop."""
    if contender.engine != "llama.cpp":
        fields = {"engine": contender.engine, **fields}
    with serve(served, on=on, **fields) as server:
        _await(server, tell, cancel)
        with Footprint(server.pid) as took:
            found = bench(server, tokenizer=_words(model), tell=tell, cancel=cancel, **load)
        (result,) = found.results
        named = [configuration(server.plan)] if server.plan is not None else []
        rows.keep([result], place, {name: kept for name, kept in named if kept is not None})
        source = builtin.folder() if served == builtin.NAME else Path(served).expanduser()
        if source.is_dir() and contender.engine == "llama.cpp":
            source = Path(server.command[2])
        quality = _quality(source if source.is_dir() else source.parent)
        return Entry(
            contender,
            "done",
            result=replace(result, target=replace(result.target, engine=contender.engine)),
            ready_seconds=server.ready_seconds,
            memory=took.memory,
            gpu_memory=took.gpu_memory,
            said_weights=_number(server.report.weights),
            said_kv_cache=_number(server.report.kv_cache),
            disk=on_disk(source),
            perplexity=_number(quality.get("perplexity_after")),
            kl_divergence=_number(quality.get("kl_divergence")),
            planned=found.planned,
        )


def _await(server: Server, tell: Callable[[Progress], None], cancel: threading.Event | None) -> None:
    while server.status == "starting":
        if cancel is not None and cancel.is_set():
            raise JobCancelled("the experiment was cancelled")
        tell(server.progress)
        try:
            server.wait_ready(0.5)
        except TimeoutError:
            continue
    server.wait_ready()


def _words(model: str | Path) -> str | None:
    """The tokenizer of the model that all contenders are made of."""
    if str(model) == builtin.NAME or Path(model).expanduser().is_dir():
        return str(model)
    return None


def _quality(folder: Path) -> Mapping[str, Any]:
    """What was measured when the model was quantised, by its provenance."""
    try:
        made = json.loads((folder / _PROVENANCE).read_text(encoding="utf-8"))
        result = made.get("result")
    except (OSError, ValueError, AttributeError):
        return {}
    return result if isinstance(result, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


__all__: Sequence[str] = ("Contender", "Entry", "Experiment", "experiment")
