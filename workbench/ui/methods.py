"""Methods of quantisation side by side: what each will need, run, and what each cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench import cpu, hardware
from workbench.architecture import Model
from workbench.cluster import Cluster
from workbench.errors import InvalidInput, UnknownName, UnsupportedModel, WorkbenchError
from workbench.quantizers import check, source_folder
from workbench.trials import Choice, Series, Trials, every, open_folder, try_methods, which_method
from workbench.trials.choice import read, shown
from workbench.ui.choosing import ChoosingPanel
from workbench.ui.panel import Refused, Throttle, sentence
from workbench.ui.where import PlacedPanel, spoken

#: Rows of the table of results: name in ``Trials.frame()``.
SHOWN = (
    "label", "title", "outcome", "reason", "seconds", "bytes", "bits", "perplexity_before", "perplexity", "change",
    "change_low", "change_high", "kl_divergence", "top1_agreement", "layer_error", "loads_in", "front", "out",
)  # fmt: skip


class MethodsPanel(ChoosingPanel, PlacedPanel):
    """Choose methods, see what each will need, run them, see what each cost.

    Parameters
    ----------
    model : str or Path
        "builtin", a local folder or a hub id.
    methods : sequence of str
        Choices, as :class:`workbench.trials.Choice` writes them.
    folder : str or Path
        Where what is tried is kept; what it holds already is shown.
    gpu : str
        Card the results are for; nothing is asked of it when left empty.
    data : str or Path
        Calibration text of your own; the built-in text when left empty.
    load : bool
        Whether each result is started in the engines it is for.
    on : str or Cluster, optional
        The cluster whose nodes do it side by side, to begin with; the page may name one.

    Attributes
    ----------
    choice : dict
        ``model``, ``methods``, ``folder``, ``gpu``, ``data``, ``load``.
    advice : list of dict
        What suits the card that is chosen, the best first, with reasons.
    preflight : list of dict
        What each method will need, or why it cannot be.
    steps : list of dict
        What is being tried.
    rows : list of dict
        What was tried; observe it to draw it.
    picked : str
        Folder of the result that is to be served.
    trials : Trials
        The file of it all.
    series : Series or None
        What was started or is watched.
    """

    script = "methods.js"
    style = "methods.css"
    texts: ClassVar[tuple[str, ...]] = ("model", "folder", "gpu", "data")
    actions: ClassVar[dict[str, str]] = {
        "start": "start",
        "cancel": "cancel",
        "pick": "pick",
        "add": "add",
        **PlacedPanel.placing,
    }

    advice = traitlets.List(read_only=True).tag(sync=True)
    preflight = traitlets.List(read_only=True).tag(sync=True)
    steps = traitlets.List(read_only=True).tag(sync=True)
    rows = traitlets.List(read_only=True).tag(sync=True)
    picked = traitlets.Unicode("", read_only=True).tag(sync=True)

    def __init__(
        self,
        model: str | Path = "builtin",
        methods: Any = ("fp8_dynamic", "gptq", "awq"),
        folder: str | Path = "trials",
        *,
        gpu: str = "",
        data: str | Path = "",
        load: bool = True,
        on: str | Cluster | None = None,
    ) -> None:
        self.series: Series | None = None
        self.trials: Trials | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        super().__init__()
        self._throttle = Throttle(self._follow)
        self.choice = {
            "model": str(model),
            "methods": [choice.word for choice in read(methods)],
            "folder": str(folder),
            "gpu": gpu,
            "data": str(data),
            "load": load,
        }
        self.put(on)

    def _checked(self, proposed: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        if not proposed["model"].strip():
            raise Refused("Name a model: builtin, a folder or a hub id.", "model")
        if not proposed["folder"].strip():
            raise Refused("Name a folder for what is made.", "folder")
        if not isinstance(proposed["load"], bool):
            raise Refused("load is yes or no.", "load")
        if not isinstance(proposed["methods"], list):
            raise Refused("The methods are a list.", "methods")
        try:
            chosen = [Choice.parse(str(word)) for word in proposed["methods"]]
            if not before or proposed["folder"] != before["folder"]:
                self.trials = open_folder(proposed["folder"])
            place = (proposed["model"], Path(proposed["folder"]), proposed["gpu"], self.on is not None)
            if not before or any(proposed[name] != before[name] for name in ("model", "folder", "gpu")):
                self.set_trait("advice", suggestions(proposed["model"], proposed["gpu"], self.trials))
                self.set_trait("preflight", preflight(*place, chosen))
            listed = {row["word"] for row in self.preflight}
            if fresh := [choice for choice in chosen if choice.word not in listed]:
                self.set_trait("preflight", [*self.preflight, *(needs(*place, choice) for choice in fresh)])
        except WorkbenchError as error:
            named = next(
                (name for name in ("folder", "gpu", "model") if proposed[name] != (before or {}).get(name)), ""
            )
            raise Refused(sentence(error), named or "methods") from error
        return {**proposed, "methods": list(dict.fromkeys(choice.word for choice in chosen))}

    @traitlets.observe("choice")
    def _shown_too(self, _change: Any) -> None:
        self._show_rows()

    def _placed(self) -> None:
        """Nothing is asked of this machine's memory for what a node does."""
        chosen = self.choice
        words = [Choice.parse(word) for word in chosen["methods"]]
        place = (chosen["model"], Path(chosen["folder"]), chosen["gpu"], self.on is not None)
        self.set_trait("preflight", preflight(*place, words))
        self._say(None)

    def _call(self) -> str:
        chosen = self.choice
        words = [repr(chosen["model"]), repr(chosen["methods"]), repr(chosen["folder"])]
        words += [f"{name}={chosen[name]!r}" for name in ("gpu", "data") if chosen[name]]
        words += [] if chosen["load"] else ["load=False"]
        words += [f"on={spoken(self.on)}"] if self.on is not None else []
        return f"series = wb.try_methods({', '.join(words)})\nseries.wait().frame()"

    def start(self) -> Series:
        """Try what is chosen.

        Raises
        ------
        WorkbenchError
            It cannot be started: the message says why. Also while a series runs.
        """
        if self.series is not None and self.series.running:
            raise WorkbenchError("methods are being tried already; cancel that first")
        chosen = self.choice
        options = {name: chosen[name] for name in ("gpu", "data") if chosen[name]}
        series = try_methods(
            chosen["model"], chosen["methods"], chosen["folder"], load=chosen["load"], overwrite=True, on=self.on,
            **options,
        )  # fmt: skip
        self.watch(series)
        return series

    def add(self, word: str) -> None:
        """Choose a method with parameters of one's own, as ``awq:q_group_size=64``.

        Raises
        ------
        TraitError
            It cannot be read, or is chosen already; at the field "methods".
        """
        before = self.choice["methods"]
        self.choice = {"methods": [*before, word]}
        if self.choice["methods"] == before:
            raise Refused(f"{word} is chosen already.", "methods")
        self.send({"added": word})

    def cancel(self, word: str | None = None) -> None:
        """Cancel one method, or all."""
        if self.series is not None:
            self.series.cancel(word)

    def pick(self, word: str) -> None:
        """Choose the result that is to be served.

        Raises
        ------
        WorkbenchError
            If there is none of that choice.
        """
        assert self.trials is not None
        found = next((row for row in self.trials.rows if row.choice.word == word and row.outcome == "done"), None)
        if found is None:
            raise WorkbenchError(f"there is no result of {word}")
        self.set_trait("picked", str(found.result["out"]))

    def watch(self, series: Series) -> None:
        """Show a series started elsewhere."""
        self._unsubscribe()
        self.series, self.trials = series, series.trials
        self._unsubscribe = series.observe(self._throttle)
        self._throttle()

    def _follow(self) -> None:
        assert self.series is not None
        self.set_trait(
            "steps",
            [
                {
                    "word": step.choice.word,
                    "title": step.choice.title,
                    "status": step.status,
                    "progress": vars(step.progress),
                    "reason": step.reason,
                }
                for step in self.series.steps
            ],
        )
        self._show_rows()

    def _show_rows(self) -> None:
        rows: list[dict[str, Any]] = []
        if self.trials is not None and self.trials.rows:
            table = self.trials.frame().sort_values("bytes")[list(SHOWN)]
            rows = table.astype(object).where(table.notna(), None).to_dict("records")
        self.set_trait("rows", rows)


def suggestions(model: str, gpu: str, trials: Trials | None) -> list[dict[str, Any]]:
    """The three methods that suit a card best; none where no card is chosen or the model's sizes are not known."""
    if not gpu or cpu.is_cpu(gpu):
        return []
    try:
        known = Model.from_config(source_folder(model) or model)
        found = which_method(known, gpu, trials=trials)
    except (UnsupportedModel, UnknownName, InvalidInput):
        return []  # the preflight says what is wrong with it
    return [
        {"word": one.word, "title": one.title, "loss": one.loss, "why": list(one.why)} for one in found if one.suits
    ][:3]


def preflight(
    model: str, folder: Path, gpu: str, elsewhere: bool = False, also: Sequence[Choice] = ()
) -> list[dict[str, Any]]:
    """What each method, and each choice of one's own, will need for this model; nothing is started or written.

    With ``elsewhere`` another machine will do it, and nothing but the disk is asked of this one.

    Raises
    ------
    WorkbenchError
        If there is no such model or card.
    """
    if gpu and not cpu.is_cpu(gpu):
        hardware.gpu(gpu)  # refused once, not by every method
    return [needs(model, folder, gpu, elsewhere, choice) for choice in dict.fromkeys([*every(), *also])]


def needs(model: str, folder: Path, gpu: str, elsewhere: bool, choice: Choice) -> dict[str, Any]:
    """One row of :func:`preflight`."""
    source, how = source_folder(model), choice.how
    row: dict[str, Any] = {
        "word": choice.word,
        "title": choice.title,
        "library": how.library,
        "note": how.note,
        "engines": list(how.engines),
        "parameters": [{"name": p.name, "default": shown(p.default), "accepts": p.accepts()} for p in how.parameters],
        "bytes": None,
        "bits": None,
        "memory": None,
        "seconds": None,
        "against": "",
        "notes": [],
    }
    return row if source is None else {**row, **_sizes(source, choice, folder, gpu, elsewhere)}


def _sizes(source: Path, choice: Choice, folder: Path, gpu: str, elsewhere: bool) -> Mapping[str, Any]:
    try:
        place = (folder / choice.folder).absolute()
        found = check(source, choice.method, choice.parameters, place, gpu or None, elsewhere=elsewhere)
    except WorkbenchError as error:
        return {"against": sentence(error)}
    return {
        "bytes": found.bytes_after,
        "bits": found.bits,
        "memory": found.memory,
        "seconds": found.seconds.value if found.seconds else None,
        "notes": list(found.notes),
    }
