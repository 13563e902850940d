"""Speculative sampling as guides often have it: three mistakes, each a class, and all of them together.

Each is a line or two away from :class:`workbench.theory.serving.speculation.Speculator`, looks harmless, and writes
another text than the target would. None of it is used for anything but to be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.theory.serving.sampling import Whole, distribution, draw
from workbench.theory.serving.speculation import Speculator, Step


class FirstPlaceAsOftenTold(Speculator):
    """Corrects every rejection with the draft's distribution at the first place, whichever place it was at."""

    def _draft_row(self, before: Whole, kept: Whole) -> Whole:
        return np.asarray(before[:, 0])


class BonusAsOftenTold(Speculator):
    """Adds a token whenever a step has k of them, although the k-th may be the correction of a rejected draft.

    The token then follows the draft that was thrown away, not the one that stands before it.
    """

    def _ended(self, step: Step, before: Whole, rng: np.random.Generator) -> Step:
        tokens, counts = step.tokens.copy(), step.counts.copy()
        mistaken = np.flatnonzero(step.kept == self.drafted - 1)
        tokens[mistaken, -1] = draw(self.p[before[mistaken, -1]], rng)
        counts[mistaken] += 1
        return Step(tokens, counts, step.kept)


class TopPAsOftenTold(Speculator):
    """Draws drafts with top-p, but checks them with the whole distributions of both models."""

    def __init__(
        self, target: ArrayLike, draft: ArrayLike, drafted: int, temperature: float = 1.0, top_p: float = 1.0
    ) -> None:
        super().__init__(target, draft, drafted, temperature, top_p)
        self.checked_p, self.checked_q = distribution(target, temperature), distribution(draft, temperature)


class SpeculatorAsOftenTold(FirstPlaceAsOftenTold, BonusAsOftenTold, TopPAsOftenTold):
    """All three."""
