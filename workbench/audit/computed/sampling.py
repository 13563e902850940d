"""Speculative sampling: whether what is written follows the target, by :mod:`workbench.theory.serving.speculation`."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.audit.registry import computes
from workbench.audit.rules import Found, statement
from workbench.theory.serving.sampling import distribution
from workbench.theory.serving.speculation import (
    Speculator,
    counted,
    joint,
    total_variation,
    total_variation_of_counting,
)
from workbench.theory.serving.speculation_as_often_told import BonusAsOftenTold, FirstPlaceAsOftenTold, TopPAsOftenTold

#: Sequences written, of so many tokens, in a vocabulary of four.
WRITTEN, LENGTH, VOCABULARY = 40_000, 4, 4


@cache
def _models() -> tuple[np.ndarray, np.ndarray]:
    """A target and a draft that know something of it."""
    rng = np.random.default_rng(0)
    target = rng.normal(scale=1.5, size=(VOCABULARY, VOCABULARY))
    return target, target + rng.normal(scale=1.0, size=target.shape)


@computes("C003-074", way=Speculator)
@computes("C003-083", way=FirstPlaceAsOftenTold)
@computes("C003-084", way=BonusAsOftenTold)
@computes("C003-085", way=TopPAsOftenTold, top_p=0.8)
def follows(way: type[Speculator], top_p: float = 1.0) -> Found:
    """How far written sequences are from the target's own, beside what counting leaves: twice that is too far."""
    target, draft = _models()
    written = way(target, draft, 3, top_p=top_p).write(0, LENGTH, WRITTEN, np.random.default_rng(1))
    chances = joint(distribution(target, top_p=top_p), 0, LENGTH)
    apart = total_variation(counted(written.tokens, VOCABULARY), chances)
    noise = total_variation_of_counting(chances, WRITTEN)
    return statement(apart < 2 * noise, f"{apart:.3f} from the target; counting alone leaves {noise:.3f}", number=apart)


@computes("C003-086")
def divided_by_zero() -> Found:
    """Logits divided by a temperature of 0, as the check does, and the limit: all for the likeliest word."""
    logits = _models()[0][0]
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.exp(logits / np.float64(0))
        told = told / told.sum()
    assert np.isfinite(distribution(logits, temperature=0)).all()
    return statement(bool(np.isfinite(told).all()), "a division by 0: no probabilities come of it")
