"""Quantise a model, in sight: the method's own parameters, progress, log, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.errors import InvalidInput, UnknownName, WorkbenchError
from workbench.quantizers.method import Method, method, methods
from workbench.ui.panel import Panel, Refused, Throttle, sentence

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


class QuantizePanel(Panel):
    """Choose a model and a method, start, watch, cancel.

    Parameters
    ----------
    model : str or Path
        "builtin", a local folder or a hub id.
    method : str
        One of ``workbench.quantizers.methods()``.
    out : str or Path
        Folder that the result becomes; named after model and method when left empty.
    overwrite : bool
        Whether a folder that exists is replaced.
    **parameters
        The method's own.

    Attributes
    ----------
    choice : dict
        ``model``, ``method``, ``out``, ``overwrite``, ``parameters``.
    job : Job or None
        The last one started or watched.
    state : dict
        Its status, progress, error, end of log and result.
    """

    script = "quantize.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    actions: ClassVar[dict[str, str]] = {"start": "start", "cancel": "cancel"}

    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    options = traitlets.List(read_only=True).tag(sync=True)
    state = traitlets.Dict(read_only=True).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self,
        model: str | Path = "builtin",
        method: str = "awq",
        out: str | Path = "",
        *,
        overwrite: bool = False,
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
            "overwrite": overwrite,
            "parameters": parameters,
        }

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, Any]:
        before = self.choice or {
            "model": "builtin",
            "method": "awq",
            "out": "",
            "overwrite": False,
            "parameters": {},
        }
        proposed = {**before, **proposal["value"]}
        for name in proposed:
            if name not in before:
                raise Refused(f"there is no {name!r} to choose", name)
        if not isinstance(proposed["model"], str) or not proposed["model"].strip():
            raise Refused("Name a model: builtin, a folder or a hub id.", "model")
        if not isinstance(proposed["out"], str):
            raise Refused("The target is a folder's path.", "out")
        if not isinstance(proposed["overwrite"], bool):
            raise Refused("Replace an existing folder: yes or no.", "overwrite")
        given = proposed["parameters"]
        if not isinstance(given, Mapping):
            raise Refused("The parameters are names and values.", "parameters")
        try:
            found = method(proposed["method"])
        except WorkbenchError as error:
            raise Refused(sentence(error), "method") from error
        # A method changed in the page keeps what both methods know.
        if proposed["method"] != before["method"]:
            given = {k: v for k, v in given.items() if k in {p.name for p in found.parameters}}
        for name, value in given.items():
            try:
                found.check({name: value})
            except (InvalidInput, UnknownName) as error:
                raise Refused(sentence(error), f"parameters.{name}") from error
        defaults = {p.name: p.default for p in found.parameters}
        changed = {k: v for k, v in given.items() if defaults.get(k, object()) != v}
        return {**proposed, "parameters": changed}

    @traitlets.observe("choice")
    def _say(self, _change: Any) -> None:
        self.problems = {}
        self.set_trait("python", self._call())

    def _target(self) -> str:
        name = self.choice["model"].rstrip("/").rsplit("/", 1)[-1]
        return self.choice["out"] or f"{name}-{self.choice['method']}"

    def _call(self) -> str:
        lines = [repr(self.choice["model"]), f"method={self.choice['method']!r}", f"out={self._target()!r}"]
        if self.choice["overwrite"]:
            lines.append("overwrite=True")
        lines += [f"{name}={value!r}" for name, value in self.choice["parameters"].items()]
        text = ", ".join(lines).replace("'", '"')
        return f"job = wb.quantize({text})\njob.wait()"

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
        chosen = self.choice
        job = quantize(
            chosen["model"],
            method=chosen["method"],
            out=self._target(),
            overwrite=chosen["overwrite"],
            **chosen["parameters"],
        )
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
                    k: v
                    for k, v in result.items()
                    if isinstance(v, str | int | float) and not isinstance(v, bool)
                },
            },
        )
