"""Layers in eight bits by what shares a scale, and what the same did to a whole model."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.float8 import quantise_float
from workbench.theory.quantisation.linear import (
    Activations,
    EachToken,
    WholeTensor,
    fp8_linear,
    int8_linear,
    relative_error,
)
from workbench.theory.quantisation.smoothing import smoothed
from workbench.theory.quantisation.uniform import Floats, quantise
from workbench.theory.quantisation.whole_model import measured
from workbench.ui.chart import BLUE, ORANGE
from workbench.ui.learn import Picture, drawing

TOKENS, INPUTS, OUTPUTS = 48, 96, 48
WAYS = ("one scale<br>for all", "a scale<br>a token", "smoothed,<br>one for all", "smoothed,<br>a token")
PASSES = ("tensor|calibrated", "channel|calibrated", "channel|token")
NAMES = ("weights: a tensor,<br>inputs: calibrated", "a channel,<br>calibrated", "a channel,<br>a token")


def by_sharing(outlier_factor: int = 30, smoothing: float = 0.5) -> Picture:
    """Error of a layer's output in INT8 and FP8; weights have a scale an output channel.

    Parameters
    ----------
    outlier_factor : int
        How much larger two of the inputs are, in every token.
    smoothing : float
        SmoothQuant's α.
    """
    x, w = _layer(outlier_factor)
    calm = smoothed(x, w, smoothing)
    ways: list[tuple[Floats, Floats, Activations]] = [
        (x, w, WholeTensor()),
        (x, w, EachToken()),
        (*calm, WholeTensor()),
        (*calm, EachToken()),
    ]
    exact = x @ w.T
    int8 = [relative_error(exact, int8_linear(a, quantise(b, 8, axis=0), None, how)) for a, b, how in ways]
    fp8 = [relative_error(exact, fp8_linear(a, quantise_float(b, axis=0), None, how)) for a, b, how in ways]
    figure = drawing.bars(
        {"INT8": (WAYS, int8), "FP8 (E4M3)": (WAYS, fp8)},
        y={"title": "error of the output", "type": "log", "range": [-4.5, 0], "dtick": 1, "exponentformat": "power"},
        colours={"INT8": BLUE, "FP8 (E4M3)": ORANGE},
    )
    figure.update_layout(margin={"b": 56})
    return Picture(
        figure,
        f"Two inputs are {outlier_factor} times the others. With one scale for all activations INT8 loses "
        f"{int8[0]:.3%} of the output and FP8 {fp8[0]:.3%}; with a scale a token {int8[1]:.3%} and {fp8[1]:.3%}; "
        f"smoothed as well {int8[3]:.3%} and {fp8[3]:.3%}.",
    )


def whole_model(outliers: int = 1) -> Picture:
    """Measured: how far the built-in model moves from itself with all its layers in eight bits.

    Parameters
    ----------
    outliers : {1, 64}
        How much larger some inputs of every MLP were made.
    """
    figures = _divergences(outliers)
    figure = drawing.bars(
        {number.upper(): (NAMES, [figures[f"{number}|{each}"] for each in PASSES]) for number in ("int8", "fp8")},
        y={
            "title": "divergence [nats a token]",
            "type": "log",
            "range": [-4, -0.8],
            "dtick": 1,
            "exponentformat": "power",
        },
        colours={"INT8": BLUE, "FP8": ORANGE},
    )
    figure.update_layout(margin={"b": 56})
    one, fine = (figures[f"int8|{each}"] for each in (PASSES[0], PASSES[2]))
    return Picture(
        figure,
        f"Measured. INT8 with calibrated scales: {one:.4f} nats a token, with a scale a token {fine:.4f}; "
        f"FP8 {figures['fp8|' + PASSES[0]]:.4f} and {figures['fp8|' + PASSES[2]]:.4f}.",
    )


@cache
def _divergences(outliers: int) -> dict[str, float]:
    rows = measured()
    rows = rows[(rows["outliers"] == outliers) & rows["kl_divergence"].notna()]
    names = rows["number"] + "|" + rows["weights"] + "|" + rows["inputs"]
    return dict(zip(names, rows["kl_divergence"], strict=True))


@cache
def _layer(outlier_factor: int) -> tuple[Floats, Floats]:
    dice = np.random.default_rng(0)
    x, w = dice.standard_normal((TOKENS, INPUTS)), dice.standard_normal((OUTPUTS, INPUTS))
    x *= np.exp(dice.standard_normal((TOKENS, 1)) / 2)  # some tokens are louder than others
    x[:, [9, 77]] *= outlier_factor
    w[:, [9, 77]] /= np.sqrt(outlier_factor)  # what is large is met by smaller weights, as after training
    return x, w
