"""Lengths of requests: means, spreads, and what a look at a running batch sees of them.

Lengths are taken as lognormal where only their mean and coefficient of variation (standard deviation ÷ mean) are
known. A request that is twice as long is seen twice as often in the batch, so what runs is longer than what arrives.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.performance.normal import Floats, normal_cdf


def uniform_moments(longest: float, low: float) -> tuple[float, float]:
    """Mean [tokens] and coefficient of variation of lengths uniform between ``low`` × ``longest`` and ``longest``.

    mean = L (1 + low) / 2, cv = (1 − low) / (√3 (1 + low)). Benchmarks draw from [0.8, 1] × ISL: ten per cent fewer
    tokens than the ISL they print.

    Examples
    --------
    >>> mean, cv = uniform_moments(1024, 0.8)
    >>> round(mean, 1), round(cv, 3)
    (921.6, 0.064)
    """
    return longest * (1 + low) / 2, (1 - low) / (math.sqrt(3) * (1 + low))


def lognormal_parameters(mean: Floats | float, cv: float) -> tuple[Floats, float]:
    """μ and σ of the logarithm of a lognormal length: σ² = ln(1 + cv²), μ = ln mean − σ²/2.

    >>> mu, sigma = lognormal_parameters(100.0, 0.0)
    >>> float(np.exp(mu).round(6)), sigma
    (100.0, 0.0)
    """
    sigma = math.sqrt(math.log1p(cv * cv))
    return np.log(mean) - sigma * sigma / 2, sigma


def mean_context(isl: float, osl: float, osl_cv: float = 0.0) -> float:
    """Tokens that a running request holds, averaged over the batch: ISL + OSL (1 + cv²) / 2.

    Half the output is out on average, and a long output is seen for longer: E[O²] / (2 E[O]).

    References
    ----------
    Mean residual life of a renewal process: Cox, "Renewal Theory", 1962, section 5.4.

    Examples
    --------
    >>> mean_context(1024, 256), mean_context(1024, 256, osl_cv=1.0)
    (1152.0, 1280.0)
    """
    return isl + osl * (1 + osl_cv * osl_cv) / 2


def context_spread(isl: float, osl: float, isl_cv: float = 0.0, osl_cv: float = 0.0) -> float:
    """Standard deviation of what one running request holds [tokens].

    Var = (cv_i ISL)² + E[O³] / (3 E[O]) − (E[O²] / (2 E[O]))²; E[O³] = OSL³ (1 + cv²)³ for a lognormal length.

    Examples
    --------
    Equal lengths: the output so far is uniform between 0 and OSL.

    >>> round(context_spread(1024, 256) * math.sqrt(12))
    256
    """
    second = 1 + osl_cv * osl_cv
    return math.sqrt((isl * isl_cv) ** 2 + osl * osl * (second**3 / 3 - second**2 / 4))


def overlap(cv: float) -> float:
    """E[min(X, Y)] / E[X] of two lognormal lengths: 1 − erf(σ / 2), one less Gini's coefficient.

    References
    ----------
    Aitchison, Brown, "The Lognormal Distribution", 1957, section 2.8.

    Examples
    --------
    >>> overlap(0.0), round(overlap(1.0), 3)
    (1.0, 0.556)
    """
    return 1 - math.erf(math.sqrt(math.log1p(cv * cv)) / 2)


def expected_ceiling(mean: Floats, cv: float, most: int = 32) -> Floats:
    """E⌈X⌉ of a lognormal X > 0: Σ P(X > j) over j = 0, 1, …; beyond ``most`` a half is added to the mean.

    Steps that a prompt takes, for its length in budgets.

    >>> expected_ceiling(np.array([0.1, 2.0, 2.5, 100.0]), 0.0)
    array([  1. ,   2. ,   3. , 100.5])
    >>> expected_ceiling(np.array([2.0]), 0.5).round(2)
    array([2.5])
    """
    mean = np.maximum(np.asarray(mean, float), 1e-9)
    mu, sigma = lognormal_parameters(mean, cv)
    if sigma == 0:
        exact = np.ceil(mean)
    else:
        exact = np.ones_like(mean)
        for j in range(1, most + 1):
            longer = normal_cdf((mu - math.log(j)) / sigma)
            exact = exact + longer
            if longer.max(initial=0.0) < 1e-6:
                break
    return np.where(mean * (1 + 2 * cv) > most, mean + 0.5, exact)
