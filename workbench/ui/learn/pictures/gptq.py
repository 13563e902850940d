"""What GPTQ gains where inputs rise and fall together, and how much text it must see for that."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.gptq import (
    Order,
    gptq,
    hessian_of,
    output_error,
    with_hessian_as_often_told,
)
from workbench.theory.quantisation.uniform import Floats, quantise
from workbench.ui.chart import BLUE, GREY, RED
from workbench.ui.learn import Picture, drawing

INPUTS, OUTPUTS = 48, 32
CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9)
TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024)
ORDERS: dict[str, Order] = {"as stored": "stored", "most energy first": "energy"}
RATIO = "error over that of the nearest code"
TOLD = "H for its inverse"


def by_correlation(bits: int = 4, order: Order = "stored", damping: float = 0.01) -> Picture:
    """Error of the output by how much neighbouring inputs have in common.

    Parameters
    ----------
    bits : int
    order : {"stored", "energy"}
        Which column is rounded first.
    damping : float
        Share of the mean diagonal.
    """
    plain = [_plain(each, bits) for each in CORRELATIONS]
    told = [_told(each, bits, damping) for each in CORRELATIONS]
    right = [_right(each, bits, order, damping) for each in CORRELATIONS]
    figure = drawing.lines(
        {
            TOLD: (CORRELATIONS, np.divide(told, plain)),
            "nearest code": (CORRELATIONS, np.ones(len(CORRELATIONS))),
            "GPTQ": (CORRELATIONS, np.divide(right, plain)),
        },
        x={"title": "correlation of neighbouring inputs", "range": [0, 0.9]},
        y={"title": RATIO, "type": "log", "range": [-1, 2], "dtick": 1},
        colours={TOLD: RED, "nearest code": GREY, "GPTQ": BLUE},
        dashed=[TOLD],
    )
    at = CORRELATIONS.index(0.8)
    return Picture(
        figure,
        f"At a correlation of 0.8 the nearest code costs {plain[at]:.3%} of the output, GPTQ {right[at]:.3%}, which is "
        f"{plain[at] / right[at]:.1f} times less; with H for its inverse it is {told[at]:.3%}.",
    )


def by_tokens(bits: int = 4, damping: float = 0.01) -> Picture:
    """Error on all inputs by how many tokens the Hessian was made of.

    Parameters
    ----------
    bits : int
    damping : float
        Share of the mean diagonal.
    """
    found = [_seen_only(each, bits, damping) for each in TOKENS]
    plain = _plain(0.8, bits)
    figure = drawing.lines(
        {"nearest code": (TOKENS, np.ones(len(TOKENS))), "GPTQ": (TOKENS, np.divide(found, plain))},
        x={"title": "tokens of calibration", "type": "log", "range": [0.88, 3.03], "tickvals": TOKENS},
        y={"title": RATIO, "range": [0, 2.2]},
        colours={"nearest code": GREY, "GPTQ": BLUE},
    )
    return Picture(
        figure,
        f"The layer has {INPUTS} inputs. GPTQ's error over that of the nearest code: {found[1] / plain:.2f} with "
        f"{TOKENS[1]} tokens, {found[4] / plain:.2f} with {TOKENS[4]}, {found[-1] / plain:.2f} with {TOKENS[-1]}.",
    )


@cache
def _layer(correlation: float) -> tuple[Floats, Floats]:
    """A weight, and the Hessian of inputs of which neighbours correlate, some of them larger than others."""
    dice = np.random.default_rng(0)
    size = np.exp(dice.standard_normal(INPUTS) / 2)
    apart = np.abs(np.subtract.outer(np.arange(INPUTS), np.arange(INPUTS)))
    return dice.standard_normal((OUTPUTS, INPUTS)), np.outer(size, size) * correlation**apart


@cache
def _seen_only(tokens: int, bits: int, damping: float) -> float:
    """The error on all inputs, when GPTQ has seen a few tokens of them."""
    weight, true = _layer(0.8)
    dice = np.random.default_rng(tokens)
    seen = hessian_of(dice.standard_normal((tokens, INPUTS)) @ np.linalg.cholesky(true).T)
    return output_error(weight, gptq(weight, seen, bits, damping=damping).values(), true)


@cache
def _right(correlation: float, bits: int, order: Order, damping: float) -> float:
    weight, hessian = _layer(correlation)
    return output_error(weight, gptq(weight, hessian, bits, order=order, damping=damping).values(), hessian)


@cache
def _plain(correlation: float, bits: int) -> float:
    weight, hessian = _layer(correlation)
    return output_error(weight, quantise(weight, bits, axis=0).values(), hessian)


@cache
def _told(correlation: float, bits: int, damping: float) -> float:
    weight, hessian = _layer(correlation)
    return output_error(weight, with_hessian_as_often_told(weight, hessian, bits, damping=damping).values(), hessian)
