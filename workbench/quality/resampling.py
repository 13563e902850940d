"""How sure a difference of two perplexities is: a paired bootstrap over stretches of text.

Reference
---------
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8: the two models are resampled together, in
blocks, because neighbouring tokens are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Resamples; the 5 % and 95 % ends move by about a hundredth of their distance from one seed to the next.
DRAWS = 2000


def log_ratio(
    tokens: Sequence[int], one: Sequence[float], other: Sequence[float], *, seed: int = 0
) -> tuple[float, float, float]:
    """ln(perplexity of ``other`` / perplexity of ``one``) with a 90 % interval.

    Parameters
    ----------
    tokens : sequence of int, shape (blocks,)
        Tokens of each block.
    one, other : sequence of float, shape (blocks,)
        Negative log-likelihood of each block [nats], of two models on the same text.
    seed : int
        Of the resampling.

    Returns
    -------
    value, low, high : float

    Raises
    ------
    ValueError
        If the blocks do not match or there are fewer than two.

    Examples
    --------
    >>> value, low, high = log_ratio([100, 100, 100], [300.0, 310.0, 290.0], [303.0, 312.0, 294.0])
    >>> round(value, 4), low <= value <= high
    (0.03, True)
    """
    if not len(tokens) == len(one) == len(other) or len(tokens) < 2:
        raise ValueError("two models must be measured on the same blocks, at least two")
    counts, difference = np.asarray(tokens, float), np.asarray(other, float) - np.asarray(one, float)
    drawn = np.random.default_rng(seed).integers(0, len(counts), (DRAWS, len(counts)))
    ratios = difference[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(ratios, [0.05, 0.95])
    return float(difference.sum() / counts.sum()), float(low), float(high)
