"""Deploy: targets and wishes on the left; the files of a plan, what read them, and a zip of it all on the right."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, get_type_hints

import traitlets

from workbench.errors import WorkbenchError
from workbench.exports.bundle import Bundle, bundle
from workbench.exports.registry import GROUPS, targets
from workbench.exports.subject import Subject
from workbench.exports.wishes import Wishes
from workbench.memory.loading import storages
from workbench.planner import Plan
from workbench.ui.highlight import pieces
from workbench.ui.panel import Panel, Refused, sentence

#: Groups of what is chosen where nobody said which targets, besides the engine's own words.
_FIRST = ("client", "docker")
#: What the page can wish for, and what applies where it does not; plans beside the plan only Python can give.
_WISHES = {field.name: field.default for field in dataclasses.fields(Wishes) if field.name != "beside"}
_WORST = ("fail", "unchecked", "pass")


class DeployPanel(Panel):
    """Choose what a plan is written for, read the files, take them along.

    Parameters
    ----------
    plan : Plan, optional
        What is exported; it may be set later.
    targets : list of str, optional
        Ids; by default the engine's own words, clients and containers.
    **wishes
        See :class:`workbench.exports.wishes.Wishes`.

    Attributes
    ----------
    choice : dict
        ``targets`` (ids; None: by default), ``file`` (the one shown), and the wishes.
    plan : Plan or None
        May be set; what was chosen stays.
    bundle : Bundle or None
        What is shown; None where the plan cannot be exported.
    """

    script = "deploy.js"
    style = "deploy.css"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    actions: ClassVar[dict[str, str]] = {"zip": "send_zip"}

    plan = traitlets.Instance(Plan, allow_none=True)
    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    groups: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    storages: traitlets.List[str] = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    verdict = traitlets.Dict(read_only=True).tag(sync=True)
    written: traitlets.List[str] = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    files: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    shown = traitlets.Dict(read_only=True).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, plan: Plan | None = None, *, targets: list[str] | None = None, **wishes: Any) -> None:
        self.bundle: Bundle | None = None
        self._whole: dict[str, Any] = {}  # the last good choice, which a part of one is added to
        super().__init__()
        self.set_trait("storages", list(storages()))
        given = Wishes.from_dict(wishes)
        self._beside = given.beside
        fields = {name: getattr(given, name) for name in _WISHES}
        self.choice = {"targets": targets, "file": "README.md", **fields}
        self.plan = plan

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, Any]:
        proposed = {**self._whole, **proposal["value"]}
        for name, value in proposed.items():
            if name not in ("targets", "file", *_WISHES):
                raise Refused(f"there is no {name!r} to choose", name)
            if name == "targets" and value is not None and not _all_known(value):
                raise Refused("one of the targets is not known", name)
            if name == "file" and not isinstance(value, str):
                raise Refused("the file shown is a text", name)
        for name in _WISHES:
            proposed[name] = _read(name, proposed.get(name))
            try:
                Wishes(**{name: proposed[name]})
            except WorkbenchError as error:
                raise Refused(sentence(error), name) from error
        try:
            Wishes(**{name: proposed[name] for name in _WISHES})
        except WorkbenchError as error:
            raise Refused(sentence(error), "most_replicas") from error
        self._whole = proposed
        return proposed

    @traitlets.observe("choice", "plan")
    def _write(self, change: Any) -> None:
        if self.plan is None:
            return
        old, new = change.old if isinstance(change.old, dict) else None, self.choice
        same = old and change.name == "choice" and {**old, "file": ""} == {**new, "file": ""}
        if not (same and self.bundle):
            self._make()
        self._show_file()

    def _make(self) -> None:
        self.problems = {}
        chosen = self.choice
        wishes = {name: chosen[name] for name in _WISHES}
        refused: dict[str, str] = {}
        self.bundle = None
        try:
            subject = Subject(self.plan, Wishes(**wishes, beside=self._beside))
            refused = {id: why for id, target in targets().items() if (why := target.refuses(subject))}
            asked = _by_default(subject) if chosen["targets"] is None else chosen["targets"]
            asked = [id for id in asked if id not in refused]
            self.bundle = bundle(subject, asked) if asked else None
            verdict = {"state": "yes", "title": subject.name, "summary": _summary(subject)}
        except WorkbenchError as error:
            verdict = {"state": "no", "title": "Nothing to export", "summary": sentence(error)}
        files = []
        if self.bundle is not None:
            checks = self.bundle.checks()
            for file in self.bundle.files:
                found = checks[file.path]
                outcome = next((word for word in _WORST if any(c.outcome == word for c in found)), "unchecked")
                files.append({"path": file.path, "outcome": outcome, "checks": [c.to_dict() for c in found]})
        groups = [
            {
                "title": title,
                "targets": [
                    {"id": t.id, "title": t.title, "about": t.about, "refused": refused.get(t.id, "")}
                    for t in targets().values()
                    if t.group == group
                ],
            }
            for group, title in GROUPS.items()
        ]
        self.set_trait("groups", [group for group in groups if group["targets"]])
        self.set_trait("written", [target.id for target in self.bundle.targets] if self.bundle else [])
        self.set_trait("verdict", verdict)
        self.set_trait("files", files)
        words = [f"{name}={value!r}" for name, value in wishes.items() if value != _WISHES[name]]
        out = repr(f"{self.bundle.subject.name}.zip") if self.bundle else "None"
        self.set_trait("python", f"wb.export({', '.join(['plan', repr(self.written), out, *words])})")

    def _show_file(self) -> None:
        files = self.bundle.files if self.bundle else []
        file = next((f for f in files if f.path == self.choice["file"]), files[0] if files else None)
        if file is None:
            self.set_trait("shown", {})
            return
        coloured = [list(piece) for piece in pieces(file.text, file.language or file.kind)]
        self.set_trait("shown", {"path": file.path, "pieces": coloured})

    def send_zip(self) -> None:
        """Hand the whole bundle to the page, to be saved."""
        if self.bundle is None:
            raise WorkbenchError("there is nothing to take along; choose a target that can be written")
        self.send({"zip": f"{self.bundle.subject.name}.zip"}, buffers=[self.bundle.zipped()])


def _by_default(subject: Subject) -> list[str]:
    own = subject.engine.replace(".", "-")
    return [id for id, target in targets().items() if target.group in _FIRST or id == own]


def _all_known(ids: Any) -> bool:
    return isinstance(ids, list) and all(isinstance(id, str) and id in targets() for id in ids)


def _read(name: str, value: Any) -> Any:
    """A wish as the page gives it: an empty text is none, a whole number is no fraction."""
    if isinstance(value, str):
        return value.strip() or _WISHES[name]
    if value is None:
        return _WISHES[name]
    whole = int in getattr(hint := get_type_hints(Wishes)[name], "__args__", (hint,))
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _summary(subject: Subject) -> str:
    plan = subject.plan
    where = f"{plan.deployment.gpus} × {plan.card.name}" if subject.gpus else "a processor"
    return f"{plan.model.id} by {subject.engine} {plan.engine_version} on {where}"
