"""How many tokens a step of speculative decoding emits, how much faster that is, and how many to draft.

Every draft is taken to be kept with the same chance a, whatever came before; real acceptance falls with the place. What
drafting costs in a large batch, where checking k + 1 tokens is no longer free, is in
:mod:`workbench.performance.speculation`.

References
----------
Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", arXiv 2211.17192: equation 1 (tokens),
theorem 3.8 (speed-up), section 3.5 (the best k).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


def expected_tokens(acceptance: ArrayLike, drafted: ArrayLike) -> Floats:
    """Tokens a step emits on average: (1 − a^(k+1)) / (1 − a) = 1 + a + … + a^k; k + 1 where a = 1.

    The leading 1 is the token that the target adds itself, be it a correction or the one after the last draft.

    Parameters
    ----------
    acceptance : array_like
        a, from 0 to 1.
    drafted : array_like of int
        k, 0 or more.

    Raises
    ------
    InvalidInput
        For an acceptance outside 0 to 1 or a negative k.

    Examples
    --------
    >>> expected_tokens([0.0, 0.7, 1.0], 5).round(3)
    array([1.   , 2.941, 6.   ])
    """
    a, k = _checked(acceptance, drafted)
    below = np.where(a < 1, a, 0.0)
    return np.asarray(np.where(a < 1, (1 - below ** (k + 1)) / (1 - below), k + 1.0))


def speedup(acceptance: ArrayLike, drafted: ArrayLike, draft_cost: ArrayLike) -> Floats:
    """How many times faster tokens come: expected tokens / (1 + k c).

    Parameters
    ----------
    acceptance, drafted : array_like
        a and k.
    draft_cost : array_like
        c: a step of the draft over a step of the target.

    Examples
    --------
    70 billion parameters with a draft of 8 billion: c = 0.114.

    >>> round(float(speedup(0.75, 5, 0.114)), 2)
    2.09
    """
    _, k = _checked(acceptance, drafted)
    c = np.asarray(draft_cost, float)
    if (c < 0).any():
        raise InvalidInput(f"draft_cost is {draft_cost!r}; it must be 0 or more")
    return np.asarray(expected_tokens(acceptance, drafted) / (1 + k * c))


def best_drafted(acceptance: float, draft_cost: float, most: int = 32) -> int:
    """The k that is fastest; 0 where drafting never pays, that is where a ≤ c.

    Parameters
    ----------
    acceptance, draft_cost : float
        a and c.
    most : int
        The largest k that is looked at.

    References
    ----------
    Leviathan et al., corollary 3.9: some k is faster than none where a > c.

    Examples
    --------
    >>> [best_drafted(a, 0.1) for a in (0.05, 0.7, 0.8, 0.9)]
    [0, 4, 6, 10]
    """
    return int(np.argmax(speedup(acceptance, np.arange(most + 1), draft_cost)))


def expected_tokens_as_often_told(acceptance: float, drafted: int) -> float:
    """What guides often add up: 1 + a + … + a^(k−1), and a^k only where that is above one half.

    Low by a^k, and with a jump where a^k passes one half. The term a^k is the chance that all k are kept and one token
    more comes of it, however small.

    >>> round(expected_tokens_as_often_told(0.7, 5), 3), float(expected_tokens(0.7, 5).round(3))
    (2.773, 2.941)
    """
    total = sum(acceptance**i for i in range(drafted))
    return total + (acceptance**drafted if acceptance**drafted > 0.5 else 0.0)


def speedup_as_often_told(acceptance: float, drafted: int) -> float:
    """Tokens a step of the target, called the speed-up: as if drafting took no time.

    >>> round(speedup_as_often_told(0.7, 5), 2), float(speedup(0.7, 5, 0.1).round(2))
    (2.94, 1.96)
    """
    return float(expected_tokens(acceptance, drafted))


def _checked(acceptance: ArrayLike, drafted: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    a, k = np.asarray(acceptance, float), np.asarray(drafted)
    if not ((a >= 0) & (a <= 1)).all():
        raise InvalidInput(f"acceptance is {acceptance!r}; it must be from 0 to 1")
    if not np.issubdtype(k.dtype, np.integer) or (k < 0).any():
        raise InvalidInput(f"drafted is {drafted!r}; it must be a whole number, 0 or more")
    return a, k
