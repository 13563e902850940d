"""Requests to simulate: when they arrive, how long they are, which prefix they share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.deployment import Workload
from workbench.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Requests:
    """What arrives; arrays of shape (requests,), in order of arrival.

    Attributes
    ----------
    arrival : ndarray
        Time of arrival [s]; not used where a fixed number is kept in flight.
    isl, osl : ndarray of int
        Input and output tokens.
    cached : ndarray of int
        Input tokens that need no computing whichever replica is taken.
    prefix, prefix_tokens : ndarray of int
        Which shared prefix the prompt begins with (−1: none), and its length [tokens].
    priority : ndarray of int
        Smaller goes first, where the scheduler heeds it.
    """

    arrival: Floats
    isl: Whole
    osl: Whole
    cached: Whole
    prefix: Whole
    prefix_tokens: Whole
    priority: Whole

    def __len__(self) -> int:
        return len(self.isl)

    def take(self, rows: Whole) -> Requests:
        """Some of them."""
        return Requests(*(getattr(self, name)[rows] for name in self.__slots__))

    def with_prefixes(self, prefix: Whole, prefix_tokens: Whole) -> Requests:
        """The same requests, each beginning with a shared prefix of at most its own length."""
        return replace(self, prefix=prefix, prefix_tokens=np.minimum(prefix_tokens, self.isl))


def poisson_arrivals(rate: float, count: int, rng: np.random.Generator) -> Floats:
    """Times of ``count`` arrivals at random, ``rate`` a second on average [s].

    >>> float(poisson_arrivals(10.0, 100_000, np.random.default_rng(0))[-1].round(-2))
    10000.0
    """
    return np.cumsum(rng.exponential(1 / rate, count))


def lognormal_lengths(mean: float, cv: float, count: int, rng: np.random.Generator) -> Whole:
    """Whole lengths of at least 1 with a given mean and coefficient of variation, lognormal.

    σ² = ln(1 + cv²), μ = ln mean − σ²/2.

    >>> drawn = lognormal_lengths(1000, 0.5, 200_000, np.random.default_rng(0))
    >>> float(drawn.mean().round(-1)), float((drawn.std() / drawn.mean()).round(2))
    (1000.0, 0.5)
    """
    sigma = np.sqrt(np.log1p(cv**2))
    drawn = rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)
    return np.maximum(np.rint(drawn), 1).astype(np.int64)


def uniform_lengths(longest: int, low: float, count: int, rng: np.random.Generator) -> Whole:
    """Whole lengths between ``low`` × ``longest`` and ``longest``, all equally likely: the habit of benchmarks.

    >>> drawn = uniform_lengths(1000, 0.8, 100_000, np.random.default_rng(0))
    >>> int(drawn.min()), int(drawn.max()), float(drawn.mean().round())
    (800, 1000, 900.0)
    """
    return rng.integers(max(1, round(low * longest)), longest + 1, count)


def requests(workload: Workload, count: int, seed: int = 0, longest: int | None = None) -> Requests:
    """Draw ``count`` requests of a workload: Poisson arrivals at its rate, else all at once; lognormal lengths.

    Parameters
    ----------
    workload : Workload
    count : int
    seed : int
        Same seed, same requests.
    longest : int, optional
        Cut input and output at this many tokens.

    Raises
    ------
    InvalidInput
        For no requests.

    Examples
    --------
    >>> drawn = requests(Workload(100, 20, request_rate=5.0), 3)
    >>> drawn.isl, drawn.osl, bool((np.diff(drawn.arrival) > 0).all())
    (array([100, 100, 100]), array([20, 20, 20]), True)
    """
    if count < 1:
        raise InvalidInput(f"count is {count!r}; simulate at least one request")
    rng = np.random.default_rng(seed)
    arrival = np.zeros(count) if workload.request_rate is None else poisson_arrivals(workload.request_rate, count, rng)
    isl = lognormal_lengths(workload.isl, workload.isl_cv, count, rng)
    osl = lognormal_lengths(workload.osl, workload.osl_cv, count, rng)
    if longest is not None:
        isl, osl = np.minimum(isl, longest), np.minimum(osl, longest)
    cached = np.floor(workload.prefix_hit * isl).astype(np.int64)
    none = np.zeros(count, np.int64)
    return Requests(arrival, isl, osl, np.minimum(cached, isl - 1), none - 1, none, none)


def sharing_prefixes(asked: Requests, prefixes: int, tokens: int, skew: float = 0.0, seed: int = 0) -> Requests:
    """Let prompts begin with one of several shared prefixes of ``tokens`` tokens: documents, system prompts.

    Parameters
    ----------
    asked : Requests
    prefixes : int
        How many there are.
    tokens : int
        Length of each; a shorter prompt is lengthened to hold it and one token more.
    skew : float
        The i-th is as popular as i^−skew (Zipf); 0: all equally.
    seed : int

    Examples
    --------
    >>> shared = sharing_prefixes(requests(Workload(100, 10), 1000), prefixes=4, tokens=64)
    >>> sorted(set(shared.prefix.tolist())), int(shared.prefix_tokens.max())
    ([0, 1, 2, 3], 64)
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, prefixes + 1, dtype=float) ** -skew
    drawn = rng.choice(prefixes, len(asked), p=weights / weights.sum()).astype(np.int64)
    longer = replace(asked, isl=np.maximum(asked.isl, tokens + 1))
    return longer.with_prefixes(drawn, np.full(len(asked), tokens, np.int64))


def with_urgent(asked: Requests, share: float, seed: int = 0) -> Requests:
    """Give a ``share`` of the requests priority 0 and the others 1.

    >>> with_urgent(requests(Workload(100, 10), 1000), 0.2).priority.mean().round(1)
    np.float64(0.8)
    """
    drawn = np.random.default_rng(seed).random(len(asked)) >= share
    return replace(asked, priority=drawn.astype(np.int64))
