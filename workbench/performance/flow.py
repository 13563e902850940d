"""What requests see of a replica: times of a first token, times between tokens, rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.performance.gaps import Gaps
from workbench.performance.normal import Floats
from workbench.performance.queueing import Delayed, Spread


@dataclass(frozen=True, slots=True)
class Flow:
    """What requests see of one replica in a steady state; arrays of shape (rows,).

    Attributes
    ----------
    running : ndarray
        Requests that decode at a time, on average.
    requests_per_s : ndarray
        Requests served a second; what arrives beyond saturation is not.
    saturation : ndarray
        The most it can serve [1/s].
    preemptions : ndarray
        Times a request is sent back for want of KV blocks, on average.
    ttft : Delayed
        Over requests, queueing included [s]; infinite beyond saturation.
    tpot : Spread
        Over requests [s].
    itl : Gaps
        Over tokens [s].
    start, start_share : ndarray
        Mean TTFT of those that a run sends at once at its start [s], and their share of all.
    """

    running: Floats
    requests_per_s: Floats
    saturation: Floats
    preemptions: Floats
    ttft: Delayed
    tpot: Spread
    itl: Gaps
    start: Floats
    start_share: Floats

    @property
    def ttft_mean(self) -> Floats:
        """Mean TTFT of the whole run, its start included [s]."""
        return self.start_share * self.start + (1 - self.start_share) * self.ttft.mean

    @property
    def utilisation(self) -> Floats:
        """Requests served over requests it could serve, 0 to 1."""
        return self.requests_per_s / self.saturation


def shortest(cv: float) -> float:
    """The shortest of twenty lognormal lengths, over their mean.

    >>> shortest(0.0), round(shortest(0.5), 2)
    (1.0, 0.41)
    """
    variance = math.log1p(cv * cv)
    return math.exp(-variance / 2 - 1.645 * math.sqrt(variance))


def spread_over_requests(
    mean: Floats, least: Floats, prompts: Floats, decode_steps: float, osl_cv: float, batch: Floats
) -> Spread:
    """TPOT over requests: the prompts met in a request's steps are more or fewer, the batch fuller or emptier.

    The batch changes as its requests end, so over a request's life about two thirds of its variance remain; a short
    request has few steps, E[1 / O] = (1 + cv²) / E[O].

    Parameters
    ----------
    mean, least : ndarray
        Mean TPOT, and a step without prompts [s].
    prompts : ndarray
        Variance of what prompts add to one step [s²].
    decode_steps : float
        Steps of a request.
    osl_cv : float
        Spread of the output's length.
    batch : ndarray
        Variance of a step as the batch varies [s²].

    Examples
    --------
    >>> found = spread_over_requests(np.array([0.02]), np.array([0.01]), np.array([1e-4]), 100, 0.0, np.array([0.0]))
    >>> found.deviation
    array([0.001])
    """
    variance = prompts / max(decode_steps, 1.0) * (1 + osl_cv**2) + 2 / 3 * batch
    return Spread(0.8 * np.minimum(least, mean), mean, np.sqrt(variance))
