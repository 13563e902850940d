"""A small network that learns a curve, rounded afterwards and trained with rounding."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.training import Network, Trained, forward, loss, network, train
from workbench.theory.quantisation.uniform import Floats
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE
from workbench.ui.learn import Picture, drawing

X: Floats = np.linspace(-3, 3, 64)[:, None]
Y: Floats = np.sin(2 * X) + 0.3 * X
STEPS = [0, 30, 100, 200]


def curves(bits: int = 3, steps: int = 200) -> Picture:
    """The curve, and what the network makes of it.

    Parameters
    ----------
    bits : int
        Of each weight.
    steps : int
        By which the trained network is trained on, with rounding or without.
    """
    whole, aware = _trained(None, steps).network, _trained(bits, steps).network
    across = X[:, 0]
    figure = drawing.lines(
        {
            "to be learned": (across, Y[:, 0]),
            "not rounded": (across, forward(whole, X)[:, 0]),
            "rounded afterwards": (across, forward(whole, X, bits)[:, 0]),
            "trained with rounding": (across, forward(aware, X, bits)[:, 0]),
        },
        x={"title": "x", "range": [-3, 3]},
        y={"title": "y", "range": [-3, 3]},
        colours={
            "to be learned": GREY,
            "not rounded": BLUE,
            "rounded afterwards": ORANGE,
            "trained with rounding": GREEN,
        },
        dashed=["to be learned"],
    )
    exact, before, found = loss(whole, X, Y), loss(whole, X, Y, bits), loss(aware, X, Y, bits)
    return Picture(
        figure,
        f"Mean squared error: {exact:.4f} without rounding, {before:.4f} rounded to {bits} bits afterwards, "
        f"{found:.4f} when the last {steps} steps were trained with rounding.",
    )


def losses(bits: int = 3) -> Picture:
    """The loss of the rounded network, step by step of training with rounding.

    Parameters
    ----------
    bits : int
    """
    whole, found = _trained(None, STEPS[-1]).network, _trained(bits, STEPS[-1]).losses
    steps = np.arange(found.size)
    figure = drawing.lines(
        {
            "rounded afterwards": (steps, np.full(found.size, loss(whole, X, Y, bits))),
            "trained with rounding": (steps, found),
            "not rounded": (steps, np.full(found.size, loss(whole, X, Y))),
        },
        x={"title": "steps", "range": [0, STEPS[-1]]},
        y={"title": "mean squared error", "type": "log", "range": [-3.5, 0.7], "dtick": 1, "exponentformat": "power"},
        colours={"rounded afterwards": ORANGE, "trained with rounding": GREEN, "not rounded": BLUE},
        dashed=["rounded afterwards", "not rounded"],
    )
    return Picture(
        figure,
        f"With {bits} bits the loss goes from {found[0]:.4f} to {found[-1]:.4f} in {STEPS[-1]} steps. It jumps, since "
        "a weight that crosses a half moves by a whole step.",
    )


@cache
def _whole() -> Network:
    """Trained without rounding, once."""
    return train(network(np.random.default_rng(0), (1, 16, 16, 1)), X, Y, steps=400, rate=0.02).network


@cache
def _trained(bits: int | None, steps: int) -> Trained:
    """The same trained on."""
    return train(_whole(), X, Y, bits=bits, steps=steps)
