"""A row of weights with an outlier, as stored; and where a grid should end."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.clipping import Limits, k_sigma, least_error, min_max, percentile
from workbench.theory.quantisation.density import Floats
from workbench.theory.quantisation.error import mean_square_error, sqnr
from workbench.theory.quantisation.uniform import quantise
from workbench.ui.chart import BLUE, GREY
from workbench.ui.learn import Picture, drawing

#: What shares a scale -> neighbours of a row of 128; the name is the menu's.
SHARING = {"the whole row": 128, "groups of 64": 64, "groups of 32": 32, "groups of 16": 16}
#: Where the outlier stands in the row, and in how large a sample calibrators look.
AT, SEEN = 50, 4096


def row(bits: int = 4, sharing: int = 32, outlier: float = 12.0, symmetric: bool = True) -> Picture:
    """128 weights, one of them an outlier: what each becomes.

    Parameters
    ----------
    bits : int
    sharing : int
        Neighbours that share a scale.
    outlier : float
        Its size [standard deviations of the others].
    symmetric : bool
    """
    weights = _row(outlier)
    found = quantise(weights, bits, symmetric=symmetric, group=sharing)
    stored = found.values()
    others = np.arange(weights.size) != AT
    step, finest = found.scale[AT // sharing], found.scale.min()
    places = np.arange(weights.size)
    figure = drawing.points(
        {"weight": (places, weights), "as stored": (places, stored)},
        x={"title": "place in the row", "range": [-2, 130]},
        y={"title": "value [σ]", "range": [-4, 4]},
        colours={"weight": GREY, "as stored": BLUE},
        size=6,
    )
    return Picture(
        figure,
        f"The outlier's grid has steps of {step:.2f} σ, the finest one {finest:.2f} σ. The other weights keep "
        f"{sqnr(weights[others], stored[others]):.1f} dB, at {found.bits_per_value():.2f} bits a weight.",
    )


def calibrators(bits: int = 4, outlier: float = 12.0, per_thousand: int = 1) -> Picture:
    """The error of every end of the grid, and which end each calibrator takes.

    Parameters
    ----------
    bits : int
    outlier : float
        Size of the outliers [standard deviations of the others].
    per_thousand : int
        How many there are.
    """
    values = _values(outlier, per_thousand)
    ends = np.geomspace(1.0, 64.0, 43)
    taken = {
        "least and largest": min_max(values),
        "6 standard deviations": k_sigma(values, 6.0),
        "99.8 % of the values": percentile(values, 0.998),
        "search for the least error": least_error(values, bits, candidates=40),
    }
    figure = drawing.lines(
        {"error": (ends, [_lost(values, bits, Limits(-end, end)) for end in ends])},
        x={
            "title": "where the grid ends [σ]",
            "type": "log",
            "range": [0, np.log10(64)],
            "tickvals": [1, 2, 4, 8, 16, 32],
        },
        y={
            "title": "mean squared error [σ²]",
            "type": "log",
            "range": [-4.5, 0.3],
            "dtick": 1,
            "exponentformat": "power",
        },
        colours={"error": GREY},
    )
    lost = {name: _lost(values, bits, limits) for name, limits in taken.items()}
    for name, limits in taken.items():
        drawing.mark(figure, name, [max(map(abs, limits))], [lost[name]])
    whole, search = lost["least and largest"], lost["search for the least error"]
    end = max(map(abs, taken["search for the least error"]))
    return Picture(
        figure,
        f"Least error at ±{end:.1f} σ: {search:.2g} σ². With the whole range it is {whole:.2g} σ², "
        f"{whole / search:.1f} times that.",
    )


def _lost(values: Floats, bits: int, limits: Limits) -> float:
    return mean_square_error(values, quantise(values, bits, limits=limits).values())


def _row(outlier: float) -> Floats:
    weights = np.random.default_rng(0).standard_normal(128)
    weights[AT] = outlier
    return weights


@cache
def _values(outlier: float, per_thousand: int) -> Floats:
    values = np.random.default_rng(1).standard_normal(SEEN)
    some = np.arange(SEEN * per_thousand // 1000)
    values[some] = outlier * (-1.0) ** some
    return values
