"""How long a quantisation will take on this machine's processor, before it is begun.

A method's time is a sum of what it was measured to take: its libraries; each weight (rounding, packing, writing); each
multiplication of the calibration text with the layers; and each call of a layer on a text, which for small models is
what counts. ``data/quantizing.csv`` has the parts, fitted to two models and two amounts of text; a processor that
multiplies faster is faster by as much. Nobody measured a GPU yet, so nothing is said of one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from workbench.datafiles import read_rows
from workbench.quantities import Estimate
from workbench.quantizers.registry import Method
from workbench.quantizers.source import Source

#: An estimate holds within this factor, both ways.
SPREAD = 3.0
#: Tokens of a text of the built-in calibration, on average; a longer one is cut or dropped.
_BUILT_IN_TEXT = 90
#: The row of measuring a model before or after.
_MEASURING = "measuring"


@dataclass(frozen=True)
class Parts:
    """What a method's time is made of, on the processor it was measured on.

    Attributes
    ----------
    fixed : float
        Loading libraries and model, writing [s].
    per_gparam : float
        For 10⁹ quantised weights [s].
    per_tflop : float
        For 10¹² operations of the text with the layers: 2 · weights · tokens [s].
    per_call : float
        For a layer and a text [s].
    gflops : float
        What that processor reached multiplying matrices, float32 [10⁹/s].
    """

    fixed: float
    per_gparam: float
    per_tflop: float
    per_call: float
    gflops: float

    def seconds(self, gparams: float, tflops: float, calls: float, gflops: float) -> float:
        """The time of so much work on a processor of such a rate [s].

        >>> Parts(10.0, 100.0, 20.0, 0.01, 100.0).seconds(gparams=0.5, tflops=1.0, calls=1000, gflops=200.0)
        50.0
        """
        work = self.per_gparam * gparams + self.per_tflop * tflops + self.per_call * calls
        return self.fixed + work * self.gflops / gflops


@cache
def parts() -> dict[str, Parts]:
    """Every row of ``data/quantizing.csv``, by method."""
    names = ("fixed_s", "s_per_gparam", "s_per_tflop", "s_per_call", "gflops")
    return {row["method"]: Parts(*(float(row[name]) for name in names)) for row in read_rows("quantizing.csv")}


@cache
def gflops_here() -> float:
    """What this processor reaches multiplying matrices, float32 [10⁹/s]: the best of a few tries."""
    side = 768
    a = np.ones((side, side), dtype=np.float32)
    best = 0.0
    for _ in range(6):
        began = time.perf_counter()
        a @ a
        best = max(best, 2e-9 * side**3 / (time.perf_counter() - began))
    return best


def expected_seconds(
    source: Source,
    method: Method,
    parameters: Mapping[str, Any],
    weights: int,
    evaluate_tokens: int,
    own_text: bool = False,
) -> Estimate | None:
    """How long the job will take [s]; None where there is a GPU, or nobody measured the method.

    Parameters
    ----------
    source, method, parameters
        What is quantised, and how.
    weights : int
        Weights that are quantised.
    evaluate_tokens : int
        Tokens that are measured before and after; 0: none.
    own_text : bool
        Whether the calibration text is the user's, and each text taken to be as long as is asked for.
    """
    from workbench import machine

    known = parts().get(method.id)
    if known is None or machine.has_usable_gpu():
        return None
    rate = gflops_here()
    tokens = samples = 0
    if method.reads_text(parameters):
        samples = int(parameters[method.samples])
        length = int(parameters[method.length])
        tokens = samples * (length if own_text else min(length, _BUILT_IN_TEXT))
    layers = int(source.config.get("num_hidden_layers") or 1)
    inside = sum(t.elements for t in source.linears)
    value = known.seconds(weights / 1e9, 2e-12 * inside * tokens, layers * samples, rate)
    if evaluate_tokens:
        both = 2 * 2e-12 * source.parameters * evaluate_tokens
        value += parts()[_MEASURING].seconds(2 * source.parameters / 1e9, both, 0, rate)
    return Estimate(value, value / SPREAD, value * SPREAD, "calibrated")
