"""What can go wrong, in words a user can act on.

Every error the workbench raises on purpose is a :class:`WorkbenchError`. Its message is one or two plain
sentences: what is wrong and what to do. The command line prints it on one line and exits 2; a page shows it
beside the control that caused it. Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """Base of all errors whose message is meant for the user."""


class InvalidInput(WorkbenchError, ValueError):
    """A value that cannot be used: the message names the field and what it accepts."""


class UnknownName(InvalidInput, KeyError):
    """A GPU, model, scheme or engine that no table holds.

    Parameters
    ----------
    kind : str
        What was looked for: "GPU", "model", …
    name : str
        The name given.
    known : iterable of str
        Names that exist; the closest are offered.
    hint : str, optional
        What else the user can do.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str = "") -> None:
        known = list(known)
        folded = {k.casefold(): k for k in known}
        close = [folded[k] for k in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
        text = f"unknown {kind} {name!r}"
        if close:
            text += f"; did you mean {' or '.join(repr(c) for c in close)}?"
        if hint:
            text += ("" if close else ";") + f" {hint}"
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:  # KeyError would print the repr
        return self.text


class UnsupportedModel(InvalidInput):
    """A model whose configuration holds something the workbench cannot size; the message names the field."""


class MissingPart(WorkbenchError):
    """Something that is not installed, not built or not reachable; the message says how to get it."""
