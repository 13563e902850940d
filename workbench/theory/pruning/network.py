"""A network so small that all of its curvature can be looked at: two inputs, some tanh neurons, one output.

It exists to hold formulas about pruning against what really happens to its loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """y = v · tanh(A x + b), its weights in one vector.

    Parameters
    ----------
    weights : ndarray, shape (neurons × (inputs + 2),)
        A row by row, then b, then v.
    x : ndarray, shape (samples, inputs)
        What it learned from.
    y : ndarray, shape (samples,)
    decay : float
        λ of the penalty on large weights; without one, some directions have no curvature and weights run away.
    """

    weights: Floats
    x: Floats
    y: Floats
    decay: float = 1e-3

    @property
    def neurons(self) -> int:
        """How many tanh neurons."""
        return int(self.weights.size // (self.x.shape[1] + 2))

    def with_weights(self, weights: Floats) -> Network:
        """The same data, other weights."""
        return replace(self, weights=weights)

    def without(self, *which: int) -> Network:
        """Some weights set to zero, the others as they are."""
        weights = self.weights.copy()
        weights[list(which)] = 0.0
        return self.with_weights(weights)

    def loss(self) -> float:
        """Mean of half the squared error, and λ/2 ||weights||²."""
        return float(0.5 * np.mean(np.square(self._errors())) + self.decay / 2 * np.square(self.weights).sum())

    def gradient(self) -> Floats:
        """Of the loss, shape of the weights."""
        return np.asarray(self._jacobian().T @ self._errors() / len(self.y) + self.decay * self.weights)

    def hessian(self) -> Floats:
        """Second derivatives of the loss, by central differences of the gradient, shape (weights, weights)."""
        step = 1e-5
        columns = [
            (self.with_weights(self.weights + d).gradient() - self.with_weights(self.weights - d).gradient())
            / (2 * step)
            for d in step * np.eye(self.weights.size)
        ]
        found = np.stack(columns, axis=1)
        return np.asarray((found + found.T) / 2)

    def _parts(self) -> tuple[Floats, Floats, Floats]:
        into = self.neurons * self.x.shape[1]
        a, b, v = np.split(self.weights, [into, into + self.neurons])
        return a.reshape(self.neurons, -1), b, v

    def _errors(self) -> Floats:
        a, b, v = self._parts()
        return np.asarray(np.tanh(self.x @ a.T + b) @ v - self.y)

    def _jacobian(self) -> Floats:
        """Derivatives of each sample's output, shape (samples, weights)."""
        a, b, v = self._parts()
        active = np.tanh(self.x @ a.T + b)
        slope = (1 - active**2) * v
        by_input = slope[:, :, None] * self.x[:, None, :]
        return np.concatenate([by_input.reshape(len(self.x), -1), slope, active], axis=1)


def trained(
    generator: Generator,
    neurons: int = 6,
    samples: int = 200,
    noise: float = 0.05,
    unit: float = 10.0,
    steps: int = 300,
) -> Network:
    """A network at a minimum of its loss (or, for more neurons, close to one): Levenberg and Marquardt's method.

    It learns sin(2 x₁) + x₁ x₂ / 2. The second input is given in a finer unit, so its numbers are larger and the
    weights on it smaller: the size of a weight alone says little.

    Parameters
    ----------
    generator : numpy.random.Generator
        Of the data and the first weights.
    neurons, samples : int
    noise : float
        Standard deviation of what is added to the target.
    unit : float
        How many of its unit the second input has for one of the first.
    steps : int

    Raises
    ------
    InvalidInput
        If a count is below 1, there are fewer samples than weights, or the unit is not above 0.

    Examples
    --------
    >>> net = trained(np.random.default_rng(0))
    >>> bool(np.abs(net.gradient()).max() < 1e-6), net.loss() < 0.02
    (True, True)
    """
    if min(neurons, samples, steps) < 1 or samples < 4 * neurons:
        raise InvalidInput(f"{samples} samples cannot teach {4 * neurons} weights; give at least as many")
    if not unit > 0:
        raise InvalidInput(f"unit is {unit!r}; a number above 0 is needed")
    x = generator.uniform(-1.5, 1.5, (samples, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 0] * x[:, 1] / 2 + noise * generator.standard_normal(samples)
    first = generator.standard_normal(4 * neurons)
    first[1 : 2 * neurons : 2] /= unit
    net = Network(first, x * np.array([1.0, unit]), y)
    dampening = 1.0
    for _ in range(steps):
        jacobian, gradient = net._jacobian(), net.gradient()
        curvature = jacobian.T @ jacobian / samples + net.decay * np.eye(len(gradient))
        step = np.linalg.solve(curvature + dampening * np.diag(np.diag(curvature)), gradient)
        moved = net.with_weights(net.weights - step)
        if moved.loss() < net.loss():
            net, dampening = moved, max(dampening / 3, 1e-9)
        else:
            dampening = min(dampening * 4, 1e6)
    return net
