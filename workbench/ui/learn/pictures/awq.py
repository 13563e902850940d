"""The loss of a layer by the exponent of AWQ's scales, in both directions."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.awq import in_16_bit_as_often_told, tried
from workbench.theory.quantisation.uniform import Floats
from workbench.ui.chart import BLUE, GREEN, GREY, RED
from workbench.ui.learn import Picture, drawing

OUTPUTS, INPUTS, TOKENS, SALIENT = 48, 96, 96, 2
WRONG = (-1.0, -0.8, -0.6, -0.5, -0.4, -0.2, 0.0)
RIGHT = tuple(step / 10 for step in range(11))
BACK, KEPT = "divided by s, as often told", "salient columns in 16 bit"


def by_exponent(bits: int = 4, outlier_factor: int = 30, group: int | None = None) -> Picture:
    """Error of the output by the exponent α of s = mean|x|^α; below 0, s divides the weight.

    Parameters
    ----------
    bits : int
    outlier_factor : int
        How much larger two of the inputs are than the others.
    group : int, optional
        Inputs that share a grid; one grid an output channel without it.
    """
    wrong, right, kept = _found(bits, outlier_factor, group)
    best = RIGHT[right.index(min(right))]
    figure = drawing.lines(
        {BACK: (WRONG, wrong), "multiplied by s": (RIGHT, right), KEPT: ((-1.0, 1.0), (kept, kept))},
        x={"title": "exponent α", "range": [-1.02, 1.02]},
        y={"title": "error of the output", "type": "log", "range": [-5, 0.3], "dtick": 1, "exponentformat": "power"},
        colours={BACK: RED, "multiplied by s": BLUE, KEPT: GREY},
        dashed=[KEPT],
    )
    drawing.mark(figure, "what AWQ takes", [best], [min(right)], colour=GREEN)
    return Picture(
        figure,
        f"Unscaled, rounding costs {right[0]:.3%} of the output. The best exponent here is {best:.1f} and leaves "
        f"{min(right):.3%}; one half in the other direction costs {wrong[3]:.3%}.",
    )


@cache
def _found(bits: int, outlier_factor: int, group: int | None) -> tuple[list[float], list[float], float]:
    weight, inputs = _layer(outlier_factor)
    wrong, right = (
        [one.error for one in tried(weight, inputs, bits, exponents=exponents, group=group)]
        for exponents in (WRONG, RIGHT)
    )
    _, kept = in_16_bit_as_often_told(weight, inputs, bits, SALIENT / INPUTS, group=group)
    return wrong, right, kept


@cache
def _layer(outlier_factor: int) -> tuple[Floats, Floats]:
    dice = np.random.default_rng(0)
    inputs = dice.standard_normal((TOKENS, INPUTS))
    inputs[:, dice.choice(INPUTS, SALIENT, replace=False)] *= outlier_factor
    return dice.standard_normal((OUTPUTS, INPUTS)), inputs
