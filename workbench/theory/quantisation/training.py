"""Quantisation-aware training: the loss sees rounded weights, the gradient moves the unrounded ones.

Rounding is a staircase: its derivative is 0 almost everywhere, and where it is not, there is none. A network that is
trained through it would never move. The *straight-through estimator* takes the derivative of Q for 1. As an expression
that any framework differentiates by itself:

    x + stop_gradient(Q(x) - x)

Its value is Q(x), since x cancels; its derivative is 1, since what is behind ``stop_gradient`` counts as a constant.

References
----------
Bengio, Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation", arXiv 1308.3432 (the estimator). Jacob and others, arXiv 1712.05877, section 3 (training with simulated
quantisation). Adam: Kingma and Ba, arXiv 1412.6980, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.uniform import Floats, quantise

#: Adam's memory of gradients and of their squares, and what keeps it from dividing by 0.
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Network:
    """A stack of matrices with tanh between them, all outputs linear.

    Parameters
    ----------
    weights : tuple of ndarray, each of shape (outputs, inputs)
    biases : tuple of ndarray, each of shape (outputs,)
        Never rounded: they are few.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]


@dataclass(frozen=True)
class Trained:
    """A network after training, and the loss before each step and after the last.

    Parameters
    ----------
    network : Network
        Its weights are not rounded; round them when they are used.
    losses : ndarray, shape (steps + 1,)
    """

    network: Network
    losses: Floats


def network(dice: np.random.Generator, sizes: Sequence[int]) -> Network:
    """A network with random weights, scaled so that signals keep their size.

    Parameters
    ----------
    dice : numpy.random.Generator
    sizes : sequence of int
        Inputs, hidden units of each layer, outputs.

    Examples
    --------
    >>> [weight.shape for weight in network(np.random.default_rng(0), (1, 8, 2)).weights]
    [(8, 1), (2, 8)]
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise InvalidInput(f"sizes are {tuple(sizes)}; give inputs, hidden units and outputs, each at least 1")
    pairs = list(pairwise(sizes))
    weights = tuple(dice.standard_normal((outputs, inputs)) / np.sqrt(inputs) for inputs, outputs in pairs)
    return Network(weights, tuple(0.5 * dice.standard_normal(outputs) for _, outputs in pairs))


def rounded(network: Network, bits: int | None) -> Network:
    """The same network with each matrix rounded on one symmetric grid; as it is if `bits` is None."""
    if bits is None:
        return network
    return Network(tuple(quantise(weight, bits).values() for weight in network.weights), network.biases)


def forward(network: Network, x: ArrayLike, bits: int | None = None) -> Floats:
    """What the network says, its weights rounded to `bits`.

    Parameters
    ----------
    x : array_like, shape (rows, inputs)

    Returns
    -------
    ndarray, shape (rows, outputs)
    """
    return _signals(rounded(network, bits), np.asarray(x, dtype=np.float64))[-1]


def loss(network: Network, x: ArrayLike, y: ArrayLike, bits: int | None = None) -> float:
    """Mean squared error, the weights rounded to `bits`."""
    return float(np.mean((forward(network, x, bits) - np.asarray(y)) ** 2))


def gradients(network: Network, x: ArrayLike, y: ArrayLike, bits: int | None = None) -> Network:
    """How :func:`loss` changes with each weight and bias, straight through the rounding.

    Everything is computed with the rounded weights, as the forward pass did; what comes out for Q(W) is given to W,
    because dQ(W)/dW is taken for 1. Without `bits` it is the ordinary gradient.

    Returns
    -------
    Network
        Derivatives, in the shapes of the network.
    """
    return _loss_and_gradients(network, np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), bits)[1]


def train(
    network: Network, x: ArrayLike, y: ArrayLike, *, bits: int | None = None, steps: int = 300, rate: float = 0.01
) -> Trained:
    """Train with Adam on all rows at once.

    Parameters
    ----------
    network : Network
        Where training begins: random for training from nothing, trained for fine-tuning with rounding.
    x : array_like, shape (rows, inputs)
    y : array_like, shape (rows, outputs)
    bits : int, optional
        Round the weights in every forward pass (quantisation-aware training).
    steps : int
    rate : float
        The learning rate; it falls linearly to 0.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidInput
        If a number is out of range, or shapes do not match.

    Examples
    --------
    Two bits, a sine: fine-tuned with rounding, the error is a fraction of what rounding alone leaves.

    >>> x = np.linspace(-3, 3, 64)[:, None]
    >>> y = np.sin(x)
    >>> whole = train(network(np.random.default_rng(0), (1, 16, 16, 1)), x, y).network
    >>> aware = train(whole, x, y, bits=2).network
    >>> loss(whole, x, y, bits=2) > 5 * loss(aware, x, y, bits=2)
    True
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.shape != (len(x), network.weights[-1].shape[0]) or x.shape[1] != network.weights[0].shape[1]:
        raise InvalidInput(f"x {x.shape} and y {y.shape} do not fit the network; give rows × inputs and rows × outputs")
    if steps < 0 or not rate > 0:
        raise InvalidInput(f"steps is {steps} and rate {rate}; give at least 0 steps and a rate above 0")
    values = [*network.weights, *network.biases]
    means, squares = ([np.zeros_like(each) for each in values] for _ in range(2))
    losses = []
    for step in range(steps):
        now = _network(values)
        error, found = _loss_and_gradients(now, x, y, bits)
        losses.append(error)
        pace = rate * (1 - step / steps)
        for at, change in enumerate([*found.weights, *found.biases]):
            means[at] = _FIRST * means[at] + (1 - _FIRST) * change
            squares[at] = _SECOND * squares[at] + (1 - _SECOND) * change**2
            mean, square = means[at] / (1 - _FIRST ** (step + 1)), squares[at] / (1 - _SECOND ** (step + 1))
            values[at] = values[at] - pace * mean / (np.sqrt(square) + _TINY)
    last = _network(values)
    return Trained(last, np.array([*losses, loss(last, x, y, bits)]))


def _loss_and_gradients(network: Network, x: Floats, y: Floats, bits: int | None) -> tuple[float, Network]:
    """Forward with rounded weights, and back by the chain rule, a matrix at a time."""
    used = rounded(network, bits)
    signals = _signals(used, x)
    wrong = signals[-1] - y
    arriving = 2 * wrong / y.size
    weights: list[Floats] = []
    biases: list[Floats] = []
    for at in reversed(range(len(used.weights))):
        weights.insert(0, arriving.T @ signals[at])
        biases.insert(0, arriving.sum(axis=0))
        if at:  # the derivative of tanh is 1 - tanh²
            arriving = (arriving @ used.weights[at]) * (1 - signals[at] ** 2)
    return float(np.mean(wrong**2)), Network(tuple(weights), tuple(biases))


def _signals(network: Network, x: Floats) -> list[Floats]:
    """What enters each matrix, and what leaves the last."""
    signals = [x]
    for at, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        sums = signals[-1] @ weight.T + bias
        signals.append(sums if at == len(network.weights) - 1 else np.tanh(sums))
    return signals


def _network(values: Sequence[Floats]) -> Network:
    half = len(values) // 2
    return Network(tuple(values[:half]), tuple(values[half:]))
