"""Claims of public guides: what each says beside what is so, filtered by topic, verdict, guide and words."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import traitlets

from workbench.audit import GUIDES, TOPICS, VERDICTS, Claim, claims, computable, found
from workbench.audit.sources import address, shown
from workbench.errors import WorkbenchError
from workbench.ui.panel import Panel, Refused

#: How a claim is checked.
CHECKED = ("computed here", "cited", "seen in the guide")
_FIRST = {"topic": "", "verdict": "", "guide": "", "checked": "", "words": ""}
_OFFERED = {"topic": TOPICS, "verdict": VERDICTS, "guide": tuple(GUIDES.values()), "checked": CHECKED}
#: Claims computed between two messages to the page.
_AT_ONCE = 25


class ClaimsPanel(Panel):
    """Every claim of five guides, with what the workbench computes for it.

    Nothing is computed until the page shows the panel, or :meth:`compute` is called; then each claim once in a process.

    Parameters
    ----------
    **choice
        ``topic``, ``verdict``, ``guide``, ``checked`` ("computed here", "cited", "seen in the guide") and ``words``;
        all claims without.

    Attributes
    ----------
    choice : dict
        The same; assign to it, or observe it.
    shown : tuple of Claim
        What is left of the claims by the choice.
    found : dict of str to str
        Ids of claims and what was computed for them so far.

    Examples
    --------
    >>> panel = ClaimsPanel(topic="monitoring", verdict="wrong")
    >>> [claim.id for claim in panel.shown]
    ['C000-047', 'C003-010', 'C004-060', 'C004-061', 'C004-062', 'C004-063']
    """

    script = "claims.js"
    style = "claims.css"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})
    actions: ClassVar[dict[str, str]] = {"compute": "begin"}

    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    claims: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    options = traitlets.Dict(read_only=True).tag(sync=True)
    found = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, **choice: str) -> None:
        self._work: threading.Thread | None = None
        super().__init__()
        self.set_trait("options", {name: list(values) for name, values in _OFFERED.items()})
        self.set_trait("claims", [_row(claim) for claim in claims()])
        self.choice = {**_FIRST, **choice}

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, str]:
        proposed = {**_FIRST, **self.choice, **proposal["value"]}
        for name, value in proposed.items():
            if name not in _FIRST:
                raise Refused(f"there is no {name!r} to choose", name)
            if not isinstance(value, str) or len(value) > 200:
                raise Refused(f"{name} is a text of at most 200 letters", name)
            if value and name in _OFFERED and value not in _OFFERED[name]:
                raise Refused(f"{name} {value!r} is not one of {', '.join(_OFFERED[name])}", name)
        return proposed

    @traitlets.observe("choice")
    def _settled(self, _change: Any) -> None:
        self.problems = {}

    @property
    def shown(self) -> tuple[Claim, ...]:
        """What is left of the claims by the choice, in the order of the guides."""
        chosen = self.choice
        asked = claims(chosen["topic"] or None, chosen["verdict"] or None, chosen["words"])
        return tuple(
            claim
            for claim in asked
            if chosen["guide"] in ("", claim.guide) and chosen["checked"] in ("", _checked(claim))
        )

    def begin(self) -> None:
        """Compute what is not computed yet, beside the page."""
        if self._work is None:
            self._work = threading.Thread(target=self._beside, daemon=True)
            self._work.start()

    def _beside(self) -> None:
        try:
            self.compute()
        except Exception as error:  # the page must hear of it whatever happened
            self._work = None
            self._report(error)

    def compute(self) -> dict[str, str]:
        """Compute every claim that can be; some seconds the first time in a process."""
        so_far: dict[str, str] = {}
        for at, id in enumerate(computable(), 1):
            so_far[id] = _computed(id)
            if at % _AT_ONCE == 0:
                self.set_trait("found", dict(so_far))
        self.set_trait("found", so_far)
        return so_far


def _computed(id: str) -> str:
    try:
        return found(id).value
    except WorkbenchError as error:  # a table of the user's own may say otherwise than ours
        return f"cannot be computed here: {error}"


def _checked(claim: Claim) -> str:
    if claim.id in computable():
        return CHECKED[0]
    return "" if not claim.sources else CHECKED[2 if claim.sources == ("guide",) else 1]


def _row(claim: Claim) -> dict[str, Any]:
    sources = [{"text": shown(source), "url": address(source)} for source in claim.sources]
    row = {name: getattr(claim, name) for name in ("id", "guide", "topic", "claim", "guide_value", "verdict", "why")}
    search = " ".join(row.values()).casefold()
    return {**row, "sources": sources, "checked": _checked(claim), "search": search}
