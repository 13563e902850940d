"""A panel whose page chooses what Python then does: what is chosen is checked as a whole, and told as a call."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from workbench.ui.panel import Panel, Refused


class ChoosingPanel(Panel):
    """The base of panels that start long work; one derived from it says what a choice may be and how it is called.

    Attributes
    ----------
    choice : dict
        What is chosen. Assigning a part of it changes that part; what cannot be is refused with a
        ``traitlets.TraitError`` whose message says why, and the last good choice stays.
    python : str
        The same in Python.
    """

    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    #: Fields that are texts.
    texts: ClassVar[tuple[str, ...]] = ()

    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def _checked(self, proposed: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        """A whole choice, as it is taken; ``before`` is empty for the first. Refused says what cannot be."""
        raise NotImplementedError

    def _call(self) -> str:
        """What the panel does, in Python."""
        raise NotImplementedError

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, Any]:
        before = self.choice
        proposed = {**before, **proposal["value"]}
        for name in proposed:
            if before and name not in before:
                raise Refused(f"there is no {name!r} to choose", name)
        for name in self.texts:
            if not isinstance(proposed[name], str):
                raise Refused(f"The {name} is a text.", name)
        return self._checked(proposed, before)

    @traitlets.observe("choice")
    def _say(self, _change: Any) -> None:
        self.problems = {}
        self.set_trait("python", self._call())
