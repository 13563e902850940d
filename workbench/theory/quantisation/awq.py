"""AWQ: enlarge the weights that meet large inputs before rounding, and make the inputs smaller by as much.

A weight's rounding error reaches the output times its input. A few inputs of a transformer are tens of times larger
than the others, in every token; their columns of the weight are *salient*. AWQ multiplies these columns by s > 1 and
divides the inputs by s, which changes nothing, until the weight is rounded: the grid's step hardly grows, since the
largest weight of a group seldom lies in a salient column, and the error that returns is divided by s.

Every weight has the same few bits: nothing is kept in 16 bit, as it would have to be by "mixed precision", which the
paper measures and leaves. The division is folded into the layer before (a norm's weight), so that it costs nothing.

References
----------
Lin and others, "AWQ: Activation-aware Weight Quantization", arXiv 2306.00978: equations 1 and 2 (scaling one weight),
4 (what is minimised), 5 (s = s_X^α, a grid over α); table 1 (mixed precision). Scales are divided by the root of their
largest times their smallest as in https://github.com/mit-han-lab/llm-awq, ``awq/quantize/auto_scale.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.quantisation.gptq import hessian_of, output_error
from workbench.theory.quantisation.uniform import Floats, Quantised, quantise

#: Exponents that are tried.
EXPONENTS: Sequence[float] = tuple(step / 20 for step in range(21))


@dataclass(frozen=True)
class Scaled:
    """A weight that was scaled before it was rounded.

    Parameters
    ----------
    weight : Quantised
        W diag(s), rounded; shape (outputs, inputs).
    scale : ndarray, shape (inputs,)
        s, by which the inputs are divided.
    exponent : float
        α in s = mean|x|^α.
    error : float
        Of the layer's output, as a share of its square; see :func:`workbench.theory.quantisation.gptq.output_error`.
    """

    weight: Quantised
    scale: Floats
    exponent: float
    error: float

    def values(self) -> Floats:
        """What the layer in effect multiplies its inputs with: Q(W diag(s)) diag(s)⁻¹, shape (outputs, inputs)."""
        return np.asarray(self.weight.values() / self.scale)


def salience(inputs: ArrayLike) -> Floats:
    """How large each input is, on average: the mean of \\|x\\| over tokens.

    Parameters
    ----------
    inputs : array_like, shape (tokens, inputs)

    Returns
    -------
    ndarray, shape (inputs,)

    Examples
    --------
    >>> salience([[1.0, -30.0], [-3.0, 50.0]])
    array([ 2., 40.])
    """
    inputs = np.asarray(inputs, dtype=np.float64)
    if inputs.ndim != 2 or not inputs.size or not np.all(np.isfinite(inputs)):
        raise InvalidInput(f"inputs must be a matrix of finite numbers, tokens × inputs; the shape is {inputs.shape}")
    return np.asarray(np.abs(inputs).mean(axis=0))


def scale_of(salience: ArrayLike, exponent: float) -> Floats:
    """s = salience^α, divided by the root of its largest times its smallest so that it lies around 1.

    Parameters
    ----------
    salience : array_like, shape (inputs,)
        An input that is always 0 counts as the smallest of the others.
    exponent : float
        α: 0 leaves the weight as it is, 1 gives all inputs the same size.

    Examples
    --------
    >>> scale_of([1.0, 16.0], 0.5)
    array([0.5, 2. ])
    """
    salience = np.asarray(salience, dtype=np.float64)
    if not np.any(salience > 0) or np.any(salience < 0):
        raise InvalidInput("no input is ever other than 0; give inputs that the layer really meets")
    if not np.isfinite(exponent):
        raise InvalidInput(f"the exponent is {exponent!r}; give numbers, usually from 0 to 1")
    scale = np.maximum(salience, salience[salience > 0].min()) ** exponent
    return np.asarray(scale / np.sqrt(scale.max() * scale.min()))


def tried(
    weight: ArrayLike,
    inputs: ArrayLike,
    bits: int,
    *,
    exponents: Sequence[float] = EXPONENTS,
    group: int | None = None,
    symmetric: bool = False,
) -> list[Scaled]:
    """W diag(s) rounded with s of each exponent; parameters as of :func:`awq`."""
    weight, large = _fitting(weight, inputs)
    hessian, grid = hessian_of(inputs), _grid(group)
    found = []
    for exponent in exponents:
        scale = scale_of(large, exponent)
        rounded = quantise(weight * scale, bits, symmetric=symmetric, **grid)
        error = output_error(weight, rounded.values() / scale, hessian)
        found.append(Scaled(rounded, scale, float(exponent), error))
    return found


def awq(
    weight: ArrayLike,
    inputs: ArrayLike,
    bits: int,
    *,
    group: int | None = None,
    symmetric: bool = False,
    exponents: Sequence[float] = EXPONENTS,
) -> Scaled:
    """Of a grid of exponents the one that changes the layer's output least.

    Q(W diag(s)) diag(s)⁻¹ x takes the place of W x. There is no closed form for s, because Q is not smooth: it is
    searched, layer by layer, on calibration inputs.

    Parameters
    ----------
    weight : array_like, shape (outputs, inputs)
    inputs : array_like, shape (tokens, inputs)
        What the layer is given on calibration text.
    bits : int
    group : int, optional
        Inputs that share a grid; one grid for each output channel without it.
    symmetric : bool
        As of :func:`workbench.theory.quantisation.uniform.quantise`.
    exponents : sequence of float
        Tried in this order; with 0 among them the result is never worse than plain rounding.

    Returns
    -------
    Scaled

    Raises
    ------
    InvalidInput
        If shapes do not match, no exponent is given, or a value is out of range.

    Examples
    --------
    One input is forty times the other; its weight comes back almost exact:

    >>> weight, inputs = np.array([[3.0, 0.23]]), np.array([[1.0, 40.0], [-1.0, 40.0]])
    >>> quantise(weight, 4, axis=0, symmetric=False).values().round(2)
    array([[3. , 0.2]])
    >>> found = awq(weight, inputs, 4)
    >>> found.exponent, found.values().round(3)
    (0.15, array([[3.  , 0.23]]))
    """
    if not exponents:
        raise InvalidInput("give exponents to try, for instance 0, 0.25, 0.5, 0.75 and 1")
    found = tried(weight, inputs, bits, exponents=exponents, group=group, symmetric=symmetric)
    return min(found, key=lambda one: one.error)


def reversed_as_often_told(
    weight: ArrayLike,
    inputs: ArrayLike,
    bits: int,
    exponent: float = 0.5,
    *,
    group: int | None = None,
    symmetric: bool = False,
) -> Scaled:
    """W diag(s)⁻¹ rounded and the inputs multiplied by s, with s = mean|x|^α. Wrong.

    Without rounding it changes as little; with it, the columns that matter most are the smallest beside the step of
    the grid. Kept here to be compared with.
    """
    return tried(weight, inputs, bits, exponents=[-exponent], group=group, symmetric=symmetric)[0]


def in_16_bit_as_often_told(
    weight: ArrayLike, inputs: ArrayLike, bits: int, share: float, *, group: int | None = None, symmetric: bool = False
) -> tuple[Floats, float]:
    """Mixed precision: the columns of the largest inputs left as they are, the others rounded. Not what AWQ does.

    Parameters
    ----------
    share : float
        Of the columns that are left as they are.

    Returns
    -------
    values : ndarray, shape (outputs, inputs)
    error : float
        As of :class:`Scaled`.
    """
    weight, large = _fitting(weight, inputs)
    if not 0 <= share <= 1:
        raise InvalidInput(f"share is {share!r}; give a number from 0 to 1")
    kept = np.argsort(-large)[: round(share * len(large))]
    values = quantise(weight, bits, symmetric=symmetric, **_grid(group)).values()
    values[:, kept] = weight[:, kept]
    return values, output_error(weight, values, hessian_of(inputs))


def _fitting(weight: ArrayLike, inputs: ArrayLike) -> tuple[Floats, Floats]:
    """The weight, and how large its inputs are."""
    weight, large = np.asarray(weight, dtype=np.float64), salience(inputs)
    if weight.ndim != 2 or weight.shape[1] != len(large):
        raise InvalidInput(
            f"the weight has the shape {weight.shape} and there are {len(large)} inputs; they must match"
        )
    return weight, large


def _grid(group: int | None) -> dict[str, int]:
    """A grid a group, or a grid an output channel."""
    return {"axis": 0} if group is None else {"group": group}
