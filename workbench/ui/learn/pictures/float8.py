"""How far apart floats are, whom outliers hurt, and one block in four bits."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.blocks import mxfp4, nvfp4
from workbench.theory.quantisation.density import Floats
from workbench.theory.quantisation.error import sqnr
from workbench.theory.quantisation.float8 import (
    E4M3FN,
    E5M2,
    FloatFormat,
    e4m3_as_often_told,
    quantise_float,
)
from workbench.theory.quantisation.uniform import quantise
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE, RED
from workbench.ui.learn import Picture, drawing

FORMATS = {each.name: each for each in (E4M3FN, E5M2)}
VALUES = 2**14


def error(format: FloatFormat = E4M3FN, largest: float = 448.0) -> Picture:
    """The error of a float beside that of eight-bit integers with the same largest value, over all magnitudes.

    Parameters
    ----------
    format : FloatFormat
    largest : float
        What the integers' highest code stands for.
    """
    x = _magnitudes()
    integers = quantise(x, 8, limits=(-largest, largest))
    step = integers.scale.item()
    traces = {
        "E4M3 without subnormals": _worst(x, e4m3_as_often_told(x)),
        "INT8": _worst(x, integers.values()),
        format.name: _worst(x, format.round(x)),
    }
    middle = x.reshape(-1, 64).mean(1)
    figure = drawing.lines(
        {name: (middle, found) for name, found in traces.items()},
        x={"title": "magnitude", "type": "log", "range": [-4, 5], "exponentformat": "power"},
        y={"title": "largest error there, relative", "type": "log", "range": [-3.2, 0.2], "tickformat": ".1%"},
        colours={format.name: BLUE, "INT8": ORANGE, "E4M3 without subnormals": RED},
        dashed=["E4M3 without subnormals"],
    )
    return Picture(
        figure,
        f"{format.name} is off by {format.relative_error:.1%} at most from {format.smallest_normal:.2g} to "
        f"{format.largest:g}; below, its step stays {format.smallest:.2g}. INT8 has one step for all, {step:.2g}.",
    )


def outliers(size: float = 10.0, per_thousand: int = 1) -> Picture:
    """What the ordinary values keep when a few are larger: E4M3 and INT8 with a scale for the whole tensor.

    Parameters
    ----------
    size : float
        How many times larger the few are.
    per_thousand : int
    """
    sizes = np.array([1, 2, 3, 5, 8, 13, 20, 35, 60, 100])
    kept = {name: [_kept(name, float(each), per_thousand) for each in sizes] for name in ("E4M3FN", "INT8")}
    figure = drawing.lines(
        {name: (sizes, found) for name, found in kept.items()},
        x={
            "title": "outliers, times an ordinary value",
            "type": "log",
            "range": [0, 2],
            "tickvals": [1, 3, 10, 30, 100],
        },
        y={"title": "signal to noise of the others [dB]", "range": [0, 45]},
        colours={"E4M3FN": BLUE, "INT8": ORANGE},
    )
    here = {name: _kept(name, size, per_thousand) for name in kept}
    drawing.mark(figure, "here", [size, size], list(here.values()), GREEN)
    better = max(here, key=lambda name: here[name])
    return Picture(
        figure,
        f"With {per_thousand} in a thousand {size:g} times larger, the others keep {here['E4M3FN']:.1f} dB in E4M3 and "
        f"{here['INT8']:.1f} dB in INT8: {better} is the better one.",
    )


def block(largest: float = 7.5) -> Picture:
    """One block of 32 values in MXFP4 and NVFP4.

    Parameters
    ----------
    largest : float
        The largest of the block.
    """
    values = _block(largest)
    stored = {"MXFP4": mxfp4(values), "NVFP4": nvfp4(values, tensor_scale=1 / 64)}
    places = np.arange(values.size)
    figure = drawing.lines(
        {"value": (places, values)},
        x={"title": "place in the block, by size", "range": [-1, 32]},
        y={"title": "value", "range": [-12.5, 12.5], "dtick": 4},
        colours={"value": GREY},
    )
    for (name, found), colour in zip(stored.items(), (ORANGE, BLUE), strict=True):
        drawing.mark(figure, name, places, found.values(), colour, size=8)
    kept = {name: np.abs(found.values()).max() for name, found in stored.items()}
    scale = np.exp2(float(stored["MXFP4"].scales[0]) - 127)
    return Picture(
        figure,
        f"MXFP4 takes the scale {scale:g} and stores the largest, {largest:g}, as {kept['MXFP4']:g}; NVFP4 as "
        f"{kept['NVFP4']:.2f}. All in all {sqnr(values, stored['MXFP4'].values()):.1f} dB and "
        f"{sqnr(values, stored['NVFP4'].values()):.1f} dB.",
    )


@cache
def _magnitudes() -> Floats:
    return np.geomspace(1e-4, 1e5, 160 * 64)


def _worst(x: Floats, rounded: Floats) -> Floats:
    """The largest relative error of 64 neighbours each."""
    return np.asarray((np.abs(rounded - x) / x).reshape(-1, 64).max(1))


@cache
def _kept(name: str, size: float, per_thousand: int) -> float:
    x = np.random.default_rng(0).standard_normal(VALUES)
    few = VALUES * per_thousand // 1000
    x[:few] *= size
    rounded = quantise(x, 8).values() if name == "INT8" else quantise_float(x, E4M3FN).values()
    return sqnr(x[few:], rounded[few:])


@cache
def _block(largest: float) -> Floats:
    values = np.sort(np.random.default_rng(2).standard_normal(32))
    return np.asarray(values / np.abs(values).max() * largest)
