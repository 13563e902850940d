"""Readiness: what is judged and by which evidence on the left, the verdict and every answer on the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import traitlets

from workbench.checklist import STAGES, Report, Run, checks, start, thresholds
from workbench.checklist.figures import PROFILES
from workbench.checklist.subject import subject
from workbench.errors import WorkbenchError
from workbench.ui.panel import Panel, Refused, Throttle, sentence

#: Fields of the page that are texts, in its order; empty means not given.
TEXTS = ("url", "model", "folder", "needs", "manifests", "log", "metrics", "prometheus", "grafana", "thresholds")
#: Keys: the page may set them and never reads them back.
KEYS = ("api_key", "other_key", "grafana_key")


class ReadinessPanel(Panel):
    """Name an endpoint and its evidence, run the checks, open each answer.

    Parameters
    ----------
    url : str
        Where users come in.
    profile : {"chat", "batch"}
        Whose targets decide.
    api_key, other_key, grafana_key : str, optional
        Kept in the kernel; neither the page nor a report ever holds them.
    changes : mapping, optional
        Other figures, by name.
    **given
        ``model``, ``folder``, ``needs``, ``manifests`` (paths, separated by commas), ``log``, ``metrics``,
        ``prometheus``, ``grafana``, ``thresholds`` (a file), as texts.

    Attributes
    ----------
    choice : dict
        All of the above but the keys.
    keys_given : list of str
        Which keys are known.
    answers : list of dict
        What was answered so far, in the order of the list; observe it.
    verdict : dict
        ``state`` ("", "running", "ready", "not ready"), ``summary``, ``counts``, ``progress``.
    report : Report or None
        The last one.
    """

    script = "readiness.js"
    style = "readiness.css"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    actions: ClassVar[dict[str, str]] = {"start": "start", "cancel": "cancel", "key": "set_key", "page": "send_page"}

    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    keys_given = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    stages: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    answers: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    verdict = traitlets.Dict(read_only=True).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, url: str = "http://127.0.0.1:8000", *, profile: str = "chat", changes: Any = None, **given: Any):
        self.run: Run | None = None
        self.report: Report | None = None
        self._keys = {name: given.pop(name, None) for name in KEYS}
        self._changes = dict(changes or {})
        self._unsubscribe: Callable[[], None] = lambda: None
        super().__init__()
        self._throttle = Throttle(self._follow)
        listed = [{"name": c.name, "stage": c.stage, "title": c.title, "item": c.item} for c in checks().values()]
        rows = [{"title": t, "checks": [c for c in listed if c["stage"] == stage]} for stage, t in STAGES.items()]
        self.set_trait("stages", rows)
        self.choice = {"url": url, "profile": profile, "strict": False} | dict.fromkeys(TEXTS[1:], "") | given
        self._show_keys()

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, Any]:
        before = self.choice
        proposed = {**before, **proposal["value"]}
        for name, value in proposed.items():
            if name not in (*TEXTS, "profile", "strict"):
                raise Refused(f"there is no {name!r} to choose", name)
            if not isinstance(value, bool if name == "strict" else str):
                raise Refused(f"{name} is {'yes or no' if name == 'strict' else 'a text'}.", name)
        if proposed["profile"] not in PROFILES:
            raise Refused(f"The profile is {' or '.join(PROFILES)}.", "profile")
        changed = [name for name in TEXTS if proposed[name] != (before or {}).get(name)]
        for name in changed:
            try:
                self._try(name, proposed)
            except WorkbenchError as error:
                raise Refused(sentence(error), name) from error
        return proposed

    @staticmethod
    def _try(name: str, proposed: dict[str, Any]) -> None:
        """Whether one field can be used, whatever the others hold."""
        if name == "thresholds":
            thresholds(proposed["profile"], None, proposed["thresholds"] or None)
        elif name == "url" or proposed[name]:
            evidence = _evidence({**dict.fromkeys(TEXTS, ""), name: proposed[name]})
            subject(proposed["url"] if name == "url" else "http://localhost", **evidence)

    @traitlets.observe("choice")
    def _say(self, _change: Any) -> None:
        self.problems = {}
        chosen = self.choice
        words = [repr(chosen["url"])]
        words += [f"profile={chosen['profile']!r}"] if chosen["profile"] != "chat" else []
        words += [f"{name}={name.upper()}" for name in KEYS if self._keys[name]]
        words += [f"{name}={value!r}" for name, value in _evidence(chosen).items()]
        words += [f"thresholds_file={chosen['thresholds']!r}"] if chosen["thresholds"] else []
        words += ["strict=True"] if chosen["strict"] else []
        self.set_trait("python", f"report = wb.readiness({', '.join(words)})\nreport.save('readiness.html')")

    def _show_keys(self) -> None:
        self.set_trait("keys_given", [name for name in KEYS if self._keys[name]])
        self._say(None)

    def set_key(self, name: str, value: str) -> None:
        """Take a key from the page, which does not get it back; an empty one is forgotten."""
        if name not in KEYS or not isinstance(value, str) or len(value) > 10_000:
            raise WorkbenchError("a key is a text")
        try:
            given: dict[str, Any] = {name: value or None}
            subject("http://localhost", **given)
        except WorkbenchError as error:
            raise Refused(sentence(error), name) from error
        self._keys[name] = value or None
        self._show_keys()

    def start(self) -> Run:
        """Run the checks.

        Raises
        ------
        WorkbenchError
            They run already, or something that was given cannot be used.
        """
        if self.run is not None and self.run.running:
            raise WorkbenchError("the checks are running already; cancel them first")
        chosen = self.choice
        run = start(
            chosen["url"], profile=chosen["profile"], changes=self._changes, strict=chosen["strict"],
            thresholds_file=chosen["thresholds"] or None, **_evidence(chosen), **self._keys,
        )  # fmt: skip
        self.watch(run)
        return run

    def cancel(self) -> None:
        """End the checks."""
        if self.run is not None:
            self.run.cancel()

    def send_page(self) -> None:
        """Hand the report to the page as a file to keep."""
        if self.report is None:
            raise WorkbenchError("there is no report yet; run the checks first")
        self.send({"page": self.report.to_html()})

    def watch(self, run: Run) -> None:
        """Show a run that was started elsewhere."""
        self._unsubscribe()
        self.run, self.report = run, None
        self._unsubscribe = run.observe(self._throttle)
        self._throttle()

    def show(self, report: Report) -> None:
        """Show a report that is done."""
        self.report = report
        self.set_trait("answers", [answer.to_json() for answer in report.answers])
        summary = {"state": report.verdict, "summary": report.summary, "counts": report.counts}
        self.set_trait("verdict", {**summary, "progress": {"fraction": 1.0, "stage": "done"}})

    def _follow(self) -> None:
        run = self.run
        assert run is not None
        if not run.running:
            self.show(run.wait())
            return
        answers = [run.answers[name].to_json() for name in run.checks if name in run.answers]
        counts: dict[str, int] = {}
        for answer in answers:
            counts[answer["status"]] = counts.get(answer["status"], 0) + 1
        self.set_trait("answers", answers)
        progress = vars(run.progress)
        self.set_trait("verdict", {"state": "running", "summary": "", "counts": counts, "progress": progress})


def _evidence(chosen: dict[str, Any]) -> dict[str, Any]:
    """What is given to :func:`workbench.checklist`, of what the page holds."""
    names = ("model", "folder", "needs", "log", "metrics", "prometheus", "grafana")
    found: dict[str, Any] = {name: chosen[name].strip() for name in names if chosen[name].strip()}
    paths = [path.strip() for path in chosen["manifests"].split(",") if path.strip()]
    return {**found, "manifests": paths} if paths else found
