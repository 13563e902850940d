"""How far a long operation has come: what builds, jobs and servers tell whoever watches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far something has come.

    Attributes
    ----------
    fraction : float or None
        Done, 0 to 1; None when nobody can say.
    stage : str
        What is being done, a few words.
    detail : str
        What exactly, or how much of it.
    seconds_left : float or None
        Estimated rest [s]; None when nobody can say.
    """

    fraction: float | None
    stage: str
    detail: str = ""
    seconds_left: float | None = None
