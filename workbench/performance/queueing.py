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


def wait_for_a_place(utilisation: Floats, saturation: Floats, cv: float) -> Floats:
    """Mean wait of those that find all places taken [s]: (1 + 0.3 cv²) (1.5 − ρ) / (λ_max (1 − ρ)).

    With one server and exponential service it is 1 / (λ_max (1 − ρ)); with many, and lengths that differ little, half
    of that near saturation (Kingman) and more before. The two factors are fitted to simulations of 32 and 128 places
    at ρ of 0.7 to 0.95.

    Parameters
    ----------
    utilisation, saturation : ndarray
        ρ, and λ_max [1/s].
    cv : float
        Spread of the output lengths.

    References
    ----------
    Kingman, "The single server queue in heavy traffic", Proc. Cambridge Phil. Soc. 57, 1961.

    Examples
    --------
    >>> wait_for_a_place(np.array([0.5, 0.9]), np.array([10.0]), 0.0).round(2)
    array([0.2, 0.6])
    """
    rho = np.minimum(utilisation, 1 - 1e-9)
    return np.asarray((1 + 0.3 * min(cv * cv, 4.0)) * (1.5 - rho) / (saturation * (1 - rho)))


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


@dataclass(frozen=True, slots=True)
class Delayed:
    """Times most of which are usual, and some of which come after a wait of random length [s].

    Attributes
    ----------
    usual : Spread
        Without a wait.
    share : ndarray
        Of those that wait, 0 to 1.
    wait : ndarray
        Their mean wait, exponentially distributed; infinite where nothing is served in time.

    Examples
    --------
    >>> none = np.array([0.0])
    >>> times = Delayed(Spread(none, np.array([1.0]), none), np.array([0.1]), np.array([5.0]))
    >>> times.mean, times.at(50), times.at(99).round(1)
    (array([1.5]), array([1.]), array([12.5]))
    """

    usual: Spread
    share: Floats
    wait: Floats

    @property
    def mean(self) -> Floats:
        """Mean time [s]."""
        return self.usual.mean + np.where(self.share > 0, self.share * self.wait, 0.0)

    def at(self, percentile: float) -> Floats:
        """The time below which ``percentile`` [0–100) of them lie [s]."""
        q, without = percentile / 100, 1 - self.share
        rank = np.clip((q - without) / np.maximum(self.share, 1e-12), 0.0, 1 - 1e-6)
        late = self.usual.mean - np.where(rank > 0, self.wait, 0.0) * np.log1p(-rank)
        usual = self.usual.at(percentile)
        return np.asarray(np.where(rank > 0, np.maximum(late, usual), usual))
