"""What a step takes over the batch, for many rows at once: samples on a grid, straight lines between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.performance.normal import Floats


@dataclass(frozen=True, slots=True)
class Steps:
    """What steps take, for many rows, at the mean context of their workload.

    Parameters
    ----------
    batches : ndarray
        Batch sizes at which a step is known, ascending; shape (points,).
    decode : ndarray
        Time of a decode step of so many requests [s]; shape (points, rows).
    prefill : ndarray
        A mean prompt's uncached tokens, computed alone [s]; shape (rows,).
    share : ndarray or float
        Part of that by which a prompt lengthens a step of others.

    Examples
    --------
    >>> steps = Steps(np.array([1.0, 11.0]), np.array([[0.010], [0.020]]), np.array([0.1]), 0.5)
    >>> steps.time(np.array([6.0])), steps.slope(np.array([6.0])), steps.shared
    (array([0.015]), array([0.001]), array([0.05]))
    """

    batches: Floats
    decode: Floats
    prefill: Floats
    share: Floats | float = 1.0

    @property
    def shared(self) -> Floats:
        """By how much a prompt lengthens steps of others, in all [s]."""
        return np.asarray(self.share * self.prefill)

    def _line(self, n: Floats) -> tuple[Floats, Floats]:
        """A step at ``n`` and its slope there."""
        n = np.broadcast_to(np.asarray(n, float), self.prefill.shape)
        rows = np.arange(self.prefill.shape[0])
        if len(self.batches) == 1:
            return self.decode[0, rows], np.zeros_like(n)
        below = np.searchsorted(self.batches, n, side="right") - 1
        below = np.minimum(np.maximum(below, 0), len(self.batches) - 2)
        start, least = self.batches[below], self.decode[below, rows]
        slope = (self.decode[below + 1, rows] - least) / (self.batches[below + 1] - start)
        return least + slope * (n - start), slope

    def time(self, n: Floats) -> Floats:
        """A decode step of ``n`` requests [s]: linear between the points, and beyond them as at the nearest two."""
        return np.asarray(np.maximum(self._line(n)[0], 0.0))

    def slope(self, n: Floats) -> Floats:
        """What one more request adds to a step at ``n`` [s]."""
        return self._line(n)[1]

    def settle(self, factor: Floats) -> Floats:
        """The smallest n with n = factor × d(n); infinite where there is none.

        ``factor`` [1/s] is λ (OSL − 1) / (1 − λ w): tokens asked for, over the time that prompts leave.

        >>> steps = Steps(np.array([1.0, 100.0]), np.array([[0.011], [0.110]]), np.array([0.0]))
        >>> steps.settle(np.array([500.0])), steps.settle(np.array([1000.0]))
        (array([10.]), array([inf]))
        """
        grid = np.concatenate([[0.0], self.batches]) if self.batches[0] > 0 else self.batches
        times = np.stack([self.time(np.full_like(self.prefill, n)) for n in grid])
        excess = grid[:, None] - factor * times  # below zero until n is enough
        enough = (excess >= 0).argmax(axis=0)
        rows = np.arange(self.prefill.shape[0])
        met = excess.max(axis=0) >= 0
        above, under = excess[enough, rows], excess[np.maximum(enough - 1, 0), rows]
        step = grid[enough] - grid[np.maximum(enough - 1, 0)]
        inside = grid[enough] - np.where(enough > 0, step * above / np.where(above > under, above - under, 1.0), 0.0)
        last = np.full_like(self.prefill, grid[-1])
        drift = 1 - factor * self.slope(last)  # beyond the last point the law goes on straight
        beyond = grid[-1] + np.where(drift > 1e-9, -excess[-1] / np.where(drift > 1e-9, drift, 1.0), np.inf)
        return np.asarray(np.where(met, inside, beyond))
