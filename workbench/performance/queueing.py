"""Waits and spreads, each a function of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.performance.normal import Floats, normal_cdf, normal_density, normal_quantile


def pollaczek_khinchine(rate: Floats, mean: Floats, second: Floats) -> Floats:
    """Mean wait before service, one server, Poisson arrivals: λ E[S²] / (2 (1 − λ E[S])) [s].

    Parameters
    ----------
    rate : ndarray
        Arrivals a second λ.
    mean, second : ndarray
        E[S] [s] and E[S²] [s²] of the service.

    Returns
    -------
    ndarray
        Infinite where λ E[S] ≥ 1.

    References
    ----------
    Khinchine, "Mathematical theory of a stationary queue", 1932; Kleinrock, "Queueing Systems" I, 1975, eq. 5.70.

    Examples
    --------
    Half loaded, equal services: half a service.

    >>> pollaczek_khinchine(np.array([0.5, 2.0]), np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    array([0.5, inf])
    """
    idle = 1 - rate * mean
    return np.where(idle > 0, rate * second / (2 * np.where(idle > 0, idle, 1.0)), np.inf)


def waits_for_a_place(places: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Probability that an arrival finds all places taken, from the demand there would be without a limit.

    P = 1 / (1 + β Φ(β) / φ(β)), β = (places − mean) / deviation.

    References
    ----------
    Halfin, Whitt, "Heavy-Traffic Limits for Queues with Many Exponential Servers", Operations Research 29(3), 1981,
    eq. 2.3, with the deviation of the demand for √(mean).

    Examples
    --------
    >>> waits_for_a_place(np.array([100.0, 110.0, 150.0]), np.array([100.0]), np.array([10.0])).round(3)
    array([1.   , 0.223, 0.   ])
    """
    beta = np.clip((places - mean) / np.maximum(deviation, 1e-9), 0.0, 30.0)
    density = normal_density(beta)
    return density / (density + beta * normal_cdf(beta))


@dataclass(frozen=True, slots=True)
class Spread:
    """Times that have a floor, a mean and a standard deviation: a gamma distribution above the floor [s].

    Examples
    --------
    Exponential waits of mean 1 above 2: 95 % are below 2 + ln 20 = 5.00.

    >>> Spread(np.array([2.0]), np.array([3.0]), np.array([1.0])).at(95).round(2)
    array([4.97])
    """

    floor: Floats
    mean: Floats
    deviation: Floats

    def at(self, percentile: Floats | float) -> Floats:
        """The time below which ``percentile`` [0–100] of them lie [s].

        References
        ----------
        Wilson, Hilferty, "The Distribution of Chi-Square", PNAS 17, 1931.
        """
        z = normal_quantile(np.asarray(percentile) / 100)
        above = np.maximum(self.mean - self.floor, 1e-12)
        ninth = np.square(self.deviation / above) / 9  # 1 / (9 shape)
        return np.asarray(self.floor + above * np.maximum(1 - ninth + z * np.sqrt(ninth), 0.0) ** 3)
