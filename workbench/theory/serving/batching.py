"""Batches that wait for their longest request, and batches that change at every step.

A server computes a step for at most B requests at once, a token each. A static batch lets nobody in until all are done,
so most of its places stand empty towards the end; a continuous one gives a place to the next request as soon as it is
free. An empty place does not make the step any faster: in decoding a step's time goes into reading the weights, which a
batch of one reads as a batch of many does.

Steps are counted, not seconds, and prompts take no step of their own; ``workbench.simulation`` plays a whole server.

References
----------
Yu et al., "Orca: A Distributed Serving System for Transformer-Based Generative Models", OSDI 2022, sections 3.1 and 4.1
(iteration-level scheduling); Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17(2), 1969,
theorem 2 (what taking requests in order costs at most).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each request runs, and where.

    Parameters
    ----------
    begin, end : ndarray, shape (requests,)
        Steps: the first it runs in, and the one after its last.
    place : ndarray, shape (requests,)
        Which of the batch's places it has.
    places : int
        B.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    place: NDArray[np.int64]
    places: int

    @property
    def steps(self) -> int:
        """Steps until all are done."""
        return int(self.end.max())

    @property
    def busy_share(self) -> float:
        """Share of the places, over all steps, that computed a token."""
        return float((self.end - self.begin).sum() / (self.places * self.steps))

    @property
    def idle_share(self) -> float:
        """Share that stood empty."""
        return 1 - self.busy_share

    @property
    def mean_wait(self) -> float:
        """Steps a request waits before it begins, on average; all are there from the start."""
        return float(self.begin.mean())

    @property
    def mean_end(self) -> float:
        """Steps until a request is done, on average."""
        return float(self.end.mean())

    def running(self) -> NDArray[np.int64]:
        """Requests in each step, shape (steps,)."""
        change = np.zeros(self.steps + 1, np.int64)
        np.add.at(change, self.begin, 1)
        np.add.at(change, self.end, -1)
        return np.asarray(change.cumsum()[:-1])


def static(lengths: Sequence[int], places: int) -> Schedule:
    """Batches of B requests in order, each as long as its longest request.

    Parameters
    ----------
    lengths : sequence of int
        Tokens each request is answered with, at least 1.
    places : int
        B.

    Raises
    ------
    InvalidInput
        For no requests, lengths below 1, or no places.

    Examples
    --------
    >>> schedule = static([100, 200, 50], places=3)
    >>> schedule.steps, round(schedule.busy_share, 3)
    (200, 0.583)
    """
    tokens = _checked(lengths, places)
    longest = [int(tokens[first : first + places].max()) for first in range(0, len(tokens), places)]
    begins = np.concatenate([[0], np.cumsum(longest)[:-1]])
    begin = np.repeat(begins, places)[: len(tokens)]
    return Schedule(begin, begin + tokens, np.arange(len(tokens)) % places, places)


def continuous(lengths: Sequence[int], places: int) -> Schedule:
    """A request begins as soon as a place is free, in order.

    Parameters and errors as of :func:`static`.

    Examples
    --------
    Two more requests take the places of those that are done; the longest never waits.

    >>> schedule = continuous([100, 200, 50, 150, 100], places=3)
    >>> schedule.begin, schedule.steps, schedule.idle_share
    (array([  0,   0,   0,  50, 100]), 200, 0.0)
    """
    tokens = _checked(lengths, places)
    free = [(0, place) for place in range(places)]  # step from which each place is free
    begin, place = np.zeros(len(tokens), np.int64), np.zeros(len(tokens), np.int64)
    for request, length in enumerate(tokens):
        begin[request], place[request] = heapq.heappop(free)
        heapq.heappush(free, (int(begin[request] + length), int(place[request])))
    return Schedule(begin, begin + tokens, place, places)


def gain(lengths: Sequence[int], places: int) -> float:
    """How many times fewer steps a continuous batch takes.

    >>> gain([100, 200, 50, 150, 100], places=3)
    1.75
    """
    return static(lengths, places).steps / continuous(lengths, places).steps


def gain_expected_exponential(places: int) -> float:
    """What is gained over many requests whose lengths are spread exponentially: 1 + 1/2 + … + 1/B.

    A static batch lasts as long as the longest of B, which is so many mean lengths; a continuous one never waits. So
    what is gained is no number of the method, but of the spread of lengths and the size of the batch.

    References
    ----------
    The mean of the largest of B exponential numbers: Rényi, "On the theory of order statistics", 1953.

    Examples
    --------
    >>> [round(gain_expected_exponential(places), 2) for places in (1, 4, 32, 256)]
    [1.0, 2.08, 4.06, 6.12]
    """
    return float((1 / np.arange(1, places + 1)).sum())


def gain_expected_uniform(places: int) -> float:
    """The same where all lengths up to the longest are equally likely: 2 B / (B + 1), at most 2.

    >>> gain_expected_uniform(32)
    1.9393939393939394
    """
    return 2 * places / (places + 1)


def _checked(lengths: Sequence[int], places: int) -> NDArray[np.int64]:
    tokens = np.asarray(lengths)
    if tokens.ndim != 1 or not tokens.size or not np.issubdtype(tokens.dtype, np.integer) or tokens.min() < 1:
        raise InvalidInput("lengths must be a list of whole numbers of at least 1, and not empty")
    if places < 1:
        raise InvalidInput(f"places is {places!r}; a batch has at least 1")
    return tokens.astype(np.int64)
