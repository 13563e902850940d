"""Quantise a model, in sight: the method's own parameters, progress, log, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.cluster import Cluster
from workbench.errors import InvalidInput, UnknownName, WorkbenchError
from workbench.quantizers import Method, find, methods
from workbench.ui.choosing import ChoosingPanel
from workbench.ui.panel import Refused, Throttle, sentence
from workbench.ui.where import PlacedPanel, spoken

if TYPE_CHECKING:
    from workbench.jobs import Job

LOG_LINES = 200


def _offer(found: Method) -> dict[str, Any]:
    return {
        "id": found.id,
        "title": found.title,
        "library": found.library,
        "note": found.note,
        "engines": list(found.engines),
        "parameters": [
            {
                "name": p.name,
                "default": p.default,
                "doc": p.doc,
                "kind": p.type.__name__,
                "choices": list(p.choices),
                "low": p.low,
                "high": p.high,
                "optional": p.optional,
            }
            for p in found.parameters
        ],
    }


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


class QuantizePanel(ChoosingPanel, PlacedPanel):
    """Choose a model and a method, start, watch, cancel.

    Parameters
    ----------
    model : str or Path
        "builtin", a local folder or a hub id.
    method : str
        One of ``workbench.quantizers.methods()``.
    out : str or Path
        Folder that the result becomes; named after model and method when left empty.
    data : str or Path
        Calibration text of your own; the built-in text when left empty.
    overwrite : bool
        Whether a folder that exists is replaced.
    download : bool
        Whether a model that is not on this machine may be fetched from the Hugging Face Hub.
    on : str or Cluster, optional
        The cluster that it is done on, to begin with; the page may name one.
    **parameters
        The method's own.

    Attributes
    ----------
    choice : dict
        ``model``, ``method``, ``out``, ``data``, ``overwrite``, ``download``, ``parameters``.
    job : Job or None
        The last one started or watched.
    state : dict
        Its status, progress, error, end of log and result.
    """

    script = "quantize.js"
    texts: ClassVar[tuple[str, ...]] = ("model", "out", "data")
    actions: ClassVar[dict[str, str]] = {"start": "start", "cancel": "cancel", **PlacedPanel.placing}

    options = traitlets.List(read_only=True).tag(sync=True)
    state = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(
        self,
        model: str | Path = "builtin",
        method: str = "awq",
        out: str | Path = "",
        *,
        data: str | Path = "",
        overwrite: bool = False,
        download: bool = False,
        on: str | Cluster | None = None,
        **parameters: Any,
    ) -> None:
        self.job: Job | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        super().__init__()
        self._throttle = Throttle(self._show)
        self.set_trait("options", [_offer(found) for found in methods().values()])
        self.choice = {
            "model": str(model),
            "method": method,
            "out": str(out),
            "data": str(data),
            "overwrite": overwrite,
            "download": download,
            "parameters": parameters,
        }
        self.put(on)

    def _checked(self, proposed: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        if not proposed["model"].strip():
            raise Refused("Name a model: builtin, a folder or a hub id.", "model")
        for name in ("overwrite", "download"):
            if not isinstance(proposed[name], bool):
                raise Refused(f"{name} is yes or no.", name)
        given = proposed["parameters"]
        if not isinstance(given, Mapping):
            raise Refused("The parameters are names and values.", "parameters")
        try:
            found = find(proposed["method"])
        except WorkbenchError as error:
            raise Refused(sentence(error), "method") from error
        # A method changed in the page keeps what both methods know.
        if before and proposed["method"] != before["method"]:
            given = {k: v for k, v in given.items() if k in {p.name for p in found.parameters}}
        for name, value in given.items():
            try:
                found.check({name: value})
            except (InvalidInput, UnknownName) as error:
                raise Refused(sentence(error), f"parameters.{name}") from error
        defaults = {p.name: p.default for p in found.parameters}
        changed = {k: v for k, v in given.items() if defaults.get(k, object()) != v}
        return {**proposed, "parameters": changed}

    def _placed(self) -> None:
        self._say(None)

    def _arguments(self) -> dict[str, Any]:
        """What ``wb.quantize`` is given besides the model, in its order; what says nothing is left out."""
        chosen = self.choice
        given = {name: chosen[name] for name in ("out", "data", "overwrite", "download") if chosen[name]}
        return {"method": chosen["method"], **given, **chosen["parameters"]}

    def _call(self) -> str:
        words = [self.choice["model"], *self._arguments().items()]
        shown = [_literal(words[0])] + [f"{name}={_literal(value)}" for name, value in words[1:]]
        shown += [f"on={spoken(self.on)}"] if self.on is not None else []
        return f"job = wb.quantize({', '.join(shown)})\njob.wait()"

    def start(self) -> Job:
        """Start the job that is chosen.

        Raises
        ------
        WorkbenchError
            It cannot be started: the message says why. Also while one runs.
        """
        from workbench.quantizers import quantize

        if self.job is not None and self.job.status in ("queued", "running"):
            raise WorkbenchError("a job runs already; cancel it first")
        job = quantize(self.choice["model"], on=self.on, **self._arguments())
        self.watch(job)
        return job

    def cancel(self) -> None:
        """Cancel the job, if one runs."""
        if self.job is not None:
            self.job.cancel()

    def watch(self, job: Job) -> None:
        """Show a job started elsewhere."""
        self._unsubscribe()
        self.job = job
        self._unsubscribe = job.observe(self._throttle)
        self._throttle()

    def _show(self) -> None:
        job = self.job
        if job is None:
            return
        result = job.result if isinstance(job.result, dict) else {}
        self.set_trait(
            "state",
            {
                "name": job.name,
                "status": job.status,
                "progress": vars(job.progress),
                "error": job.error or "",
                "log": job.log(LOG_LINES),
                "seconds": job.seconds,
                "result": {
                    k: v for k, v in result.items() if isinstance(v, str | int | float) and not isinstance(v, bool)
                },
            },
        )
