"""Signal to noise by bits, and what an error is made of when the grid ends somewhere."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.density import Density, Floats, Laplace, Normal
from workbench.theory.quantisation.error import (
    best_clip,
    overload_error,
    sqnr_as_often_told,
    sqnr_of,
    sqnr_sine,
    sqnr_uniform,
    step_error,
)
from workbench.theory.quantisation.uniform import symmetric_scale
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE, RED
from workbench.ui.learn import Picture, drawing

BITS = np.arange(2, 9)
NORMAL = Normal()
#: The menu's name -> how values are spread, with variance 1.
TAILS: dict[str, Density] = {"normal, as weights": NORMAL, "Laplace, with long tails": Laplace()}


def by_bits(clip: float = 4.0, tails: Density = NORMAL) -> Picture:
    """Signal to quantisation noise from 2 to 8 bits.

    Parameters
    ----------
    clip : float
        Where the grid ends [standard deviations].
    tails : Density
    """
    clipped = [sqnr_of(tails, int(bits), clip) for bits in BITS]
    best = _best(tails)
    figure = drawing.lines(
        {
            "6.02 b + 1.76, a sine": (BITS, [sqnr_as_often_told(bits) for bits in BITS]),
            "6.02 b, uniform": (BITS, [sqnr_uniform(bits) for bits in BITS]),
            "clipped at its best": (BITS, [found for _, found in best]),
            "clipped where you say": (BITS, clipped),
        },
        x={"title": "bits", "dtick": 1, "range": [1.9, 8.1]},
        y={"title": "signal to noise [dB]", "range": [0, 52]},
        colours={
            "6.02 b + 1.76, a sine": RED,
            "6.02 b, uniform": GREY,
            "clipped at its best": GREEN,
            "clipped where you say": BLUE,
        },
        dashed=["6.02 b + 1.76, a sine", "6.02 b, uniform"],
    )
    return Picture(
        figure,
        f"Eight bits, clipped at {clip:g} σ: {clipped[-1]:.1f} dB; at best ({best[-1][0]:.1f} σ) {best[-1][1]:.1f} dB. "
        f"The sine's formula says {sqnr_sine(8):.1f} dB.",
    )


def by_clip(bits: int = 4, clip: float = 4.0) -> Picture:
    """The error of a normal signal, in its two parts: steps within the grid, clipping beyond it.

    Parameters
    ----------
    bits : int
    clip : float
        Where the grid ends [standard deviations].
    """
    ends = np.linspace(1.0, 8.0, 71)
    steps, beyond = step_error(symmetric_scale(ends, bits)), overload_error(ends)
    figure = drawing.lines(
        {"steps, s²/12": (ends, steps), "clipping": (ends, beyond), "both": (ends, steps + beyond)},
        x={"title": "where the grid ends [σ]", "range": [1, 8]},
        y={"title": "mean squared error [σ²]", "type": "log", "range": [-6, 0], "exponentformat": "power"},
        colours={"steps, s²/12": BLUE, "clipping": ORANGE, "both": GREEN},
    )
    here = float(step_error(symmetric_scale(clip, bits))), float(overload_error(clip))
    drawing.mark(figure, "here", [clip], [sum(here)], colour=GREEN)
    best = float(ends[np.argmin(steps + beyond)])
    return Picture(
        figure,
        f"At {clip:g} σ the steps cost {here[0]:.2g} σ² and clipping {here[1]:.2g} σ². "
        f"With {bits} bits the sum is least at {best:.1f} σ.",
    )


@cache
def _best(tails: Density) -> list[tuple[float, float]]:
    clips: Floats = np.arange(0.8, 9.0, 0.1)
    return [best_clip(tails, int(bits), clips) for bits in BITS]
