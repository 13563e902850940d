"""A panel with one choice and one answer: what a page asks is checked, worked out and answered in words or figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import traitlets

from workbench.errors import WorkbenchError
from workbench.ui import choices
from workbench.ui.panel import Panel, Refused, log, sentence
from workbench.ui.plan_chart import preload


class AnsweringPanel(Panel):
    """The base of panels that answer a choice at once.

    A class derived from it says how a choice is checked, what is worked out for it, and how that is shown.

    Attributes
    ----------
    choice : dict
        What is chosen. Assigning a part of it changes that part; what cannot be is refused with a
        ``traitlets.TraitError`` whose message says why, and the last good choice stays.
    answer : dict
        What the page draws.
    """

    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    #: Every field of a choice with the value it has when nothing is said.
    defaults: ClassVar[Mapping[str, Any]]

    # Not echoed: the page that sent a choice has it already, and one more message is in the way of its answer.
    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True, echo_update=False)
    answer = traitlets.Dict(read_only=True).tag(sync=True)
    options = traitlets.Dict(read_only=True).tag(sync=True)
    url = traitlets.Bool(False, read_only=True).tag(sync=True)

    def __init__(self, *, url: bool = False, **choice: Any) -> None:
        self._settled: dict[str, Any] | None = None
        self._serving_page = False
        super().__init__()
        self.set_trait("options", dict(self._offered()))
        self.set_trait("url", url)
        self.choice = choice

    def _offered(self) -> Mapping[str, Any]:
        """What the page may choose from."""
        raise NotImplementedError

    def _checked(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """A whole choice; a WorkbenchError says what cannot be."""
        raise NotImplementedError

    def _work_out(self, choice: Mapping[str, Any]) -> None:
        """Whatever the answer needs; a WorkbenchError says why it cannot be."""
        raise NotImplementedError

    def _shown(self) -> dict[str, Any]:
        """The answer to the present choice."""
        raise NotImplementedError

    def _draw(self) -> None:
        """Bring the panel's chart up to date."""
        raise NotImplementedError

    def _turn(self, _change: Any) -> None:
        """Stand the chart's pictures as the page is wide; a panel whose chart has several says how."""

    def draw(self, number: int = 0, *, turn: bool = False) -> None:
        """Draw, and tell the page; it asks for that once the figures are painted, since they come first.

        Parameters
        ----------
        number : int
            Which of the page's requests this is; it is told again.
        turn : bool
            Whether how the pictures stand is told too, since the page may have missed it.
        """
        if preload().is_alive():
            self.send({"drawn": number, "later": True})  # it asks again
            return
        drawn = True
        try:
            self._draw()
            if turn:
                self._turn(None)
        except Exception:
            # An answer without its chart is still an answer.
            log.exception("the chart could not be drawn for %r", self.choice)
            drawn = False
        self.send({"drawn": number, "well": drawn})

    def _asked(self, widget: Any, content: Any, buffers: Any) -> None:
        # Not an action like others, which clear what was refused before: the page asks for it on its own.
        if isinstance(content, dict) and content.get("action") == "draw":
            asked = content.get("arguments", {})
            self.draw(asked.get("number", 0), turn=bool(asked.get("turn")))
        else:
            super()._asked(widget, content, buffers)

    @traitlets.validate("choice")
    def _settle(self, proposal: Any) -> dict[str, Any]:
        before = dict(self._settled or self.defaults)
        proposed = {**before, **proposal["value"]}
        try:
            proposed = self._checked(proposed)
            if self._serving_page:
                listed(proposed["model"], before["model"])
            if proposed != self._settled:
                self._work_out(proposed)
        except Refused:
            raise
        except WorkbenchError as error:
            words = sentence(WorkbenchError(choices.in_words(str(error))))
            raise Refused(words, field_of(error, before, proposed)) from error
        except Exception as error:
            # Whatever the planner trips over must leave the last good answer and a sentence in the page.
            log.exception("the planner failed on %r", proposed)
            raise Refused(sentence(error)) from error
        self._settled = proposed
        return proposed

    @traitlets.observe("choice")
    def _answered(self, _change: Any) -> None:
        with self.hold_sync():
            self.problems = {}
            self.set_trait("answer", self._shown())

    def set_state(self, sync_data: Mapping[str, Any]) -> bool:
        """Take the page's choice; tell it which of its requests has been answered."""
        self._serving_page = True
        try:
            refused = super().set_state(sync_data)
        finally:
            self._serving_page = False
        # A choice changed and changed back is not sent at all; its request is, and wants its answer.
        if "request" in sync_data and not refused:
            self.problems = {}
            self.send({"answered": self.request})
        return refused


def listed(name: Any, present: Any = None) -> None:
    """Refuse a page's model that is not on the list: any other text would be a path on this machine."""
    if name != present and name not in {option["value"] for option in choices.options()["models"]}:
        raise Refused(f"unknown model {name!r}; choose one from the list", "model")


def field_of(error: WorkbenchError, before: Mapping[str, Any], proposed: Mapping[str, Any]) -> str:
    """The control that an error belongs to: one that has just changed and is named, or has just changed."""
    changed = [name for name in proposed if proposed[name] != before.get(name)]
    named = [name for name in changed if name in str(error)]
    if len(named or changed) == 1:
        return (named or changed)[0]
    return next((name for name in proposed if name in str(error)), "")
