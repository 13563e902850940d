"""Gaps between the tokens of a request (ITL): a mixture of plain steps and steps that prompts share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.performance.normal import Floats, normal_quantile
from workbench.performance.queueing import Spread


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps between tokens of one request (ITL): plain steps, and steps that prompts share [s].

    Attributes
    ----------
    plain, plain_deviation : ndarray
        A step without prompts and its spread as the batch varies.
    with_prompts : ndarray
        Share of gaps with prompts in them.
    prompts : Spread
        What those prompts add.
    most : ndarray
        The most they can add: a full budget.
    """

    plain: Floats
    plain_deviation: Floats
    with_prompts: Floats
    prompts: Spread
    most: Floats

    @property
    def mean(self) -> Floats:
        """Mean gap [s]."""
        return self.plain + self.with_prompts * self.prompts.mean

    def at(self, percentile: float) -> Floats:
        """The gap below which ``percentile`` [0–100) of all gaps lie [s].

        >>> none = np.array([0.0])
        >>> gaps = Gaps(np.array([0.01]), none, np.array([0.1]), Spread(none, np.array([0.05]), none), np.array([1.0]))
        >>> gaps.at(50), gaps.at(95)
        (array([0.01]), array([0.06]))
        """
        q, without = percentile / 100, 1 - self.with_prompts
        away = normal_quantile(np.minimum(q, without)) * self.plain_deviation
        # Below the mean by as large a factor as it is above it: a step always takes some time.
        plain = np.where(away < 0, self.plain**2 / np.maximum(self.plain - away, 1e-300), self.plain + away)
        rank = np.clip((q - without) / np.maximum(self.with_prompts, 1e-9), 0.0, 1.0)
        added = np.minimum(self.prompts.at(100 * rank), self.most)
        return np.asarray(np.where(q <= without, plain, np.maximum(self.plain + added, plain)))


def gaps(
    mean: Floats,
    plain: Floats,
    deviation: Floats,
    w: Floats,
    arrivals: Floats,
    bunched: Floats,
    budgets: Floats,
    isl_cv: float,
) -> Gaps:
    """Gaps between tokens: prompts share the step after they arrived, or as many as they are cut into.

    Parameters
    ----------
    mean : ndarray
        Mean gap [s].
    plain, deviation : ndarray
        A step without prompts, and its standard deviation [s].
    w : ndarray
        What a prompt adds in all [s].
    arrivals, bunched : ndarray
        Prompts that come during a step, on average, and how many times as much as Poisson's they vary.
    budgets : ndarray
        Budgets that a prompt takes.
    isl_cv : float
        Spread of prompts.
    """
    chunks = np.maximum(budgets, 1.0)
    carrying = 1 - np.exp(-arrivals * chunks)
    added = np.maximum(mean - plain, 0.0) / np.maximum(carrying, 1e-12)
    counted = arrivals * (isl_cv**2 + bunched + arrivals)
    second = counted * w * w / np.maximum(carrying, 1e-12) / chunks
    spread = np.sqrt(np.maximum(second - added**2, 0.0) + deviation**2)
    most = np.where(budgets > 0, w / np.maximum(budgets, 1e-9), np.inf)
    return Gaps(plain, deviation, carrying, Spread(np.zeros_like(added), added, spread), most)
