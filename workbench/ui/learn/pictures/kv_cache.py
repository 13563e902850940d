"""What attention loses to a rounded cache, by who shares a scale."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.float8 import E4M3FN, E5M2, FloatFormat
from workbench.theory.quantisation.kv_cache import Effect, Sharing, effect, example_cache, stored
from workbench.theory.quantisation.uniform import Floats
from workbench.ui.chart import BLUE, GREEN
from workbench.ui.learn import Picture, drawing

#: The menu's name -> bits of a whole number, or a small float.
NUMBERS: dict[str, int | FloatFormat] = {"INT8": 8, "FP8 E4M3": E4M3FN, "FP8 E5M2": E5M2, "INT4": 4}
SHARINGS: tuple[Sharing, ...] = ("layer", "head", "token", "channel")
NAMES = ("one a layer", "one a head", "one a token<br>and head", "one a channel<br>and head")


def by_sharing(stored_as: int | FloatFormat = 8, outlier_factor: int = 10) -> Picture:
    """Error of attention's output with only keys, or only values, rounded.

    Parameters
    ----------
    stored_as : int or FloatFormat
    outlier_factor : int
        How much larger two channels of each head's keys are.
    """
    found = [_effect(stored_as, outlier_factor, sharing) for sharing in SHARINGS]
    figure = drawing.bars(
        {
            "keys rounded": (NAMES, [one.keys for one in found]),
            "values rounded": (NAMES, [one.values for one in found]),
        },
        x={"title": "scales"},
        y={"title": "error of the output", "type": "log", "range": [-5, 0.2], "exponentformat": "power"},
        colours={"keys rounded": BLUE, "values rounded": GREEN},
    )
    figure.update_layout(margin={"b": 74})
    token, channel = found[2], found[3]
    return Picture(
        figure,
        f"With a scale a token, rounded keys change the output by {token.keys:.3%}, values by {token.values:.3%}; the "
        f"scores move by {token.scores:.2g} nats. With a scale a channel, keys change it by {channel.keys:.3%}.",
    )


@cache
def _effect(number: int | FloatFormat, outlier_factor: int, sharing: Sharing) -> Effect:
    queries, keys, values = _cache(outlier_factor)
    return effect(queries, keys, values, stored(keys, number, sharing), stored(values, number, sharing))


@cache
def _cache(outlier_factor: int) -> tuple[Floats, Floats, Floats]:
    return example_cache(np.random.default_rng(0), outlier=outlier_factor)
