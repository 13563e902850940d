"""Linear layers whose weights *and* activations have eight bits (W8A8): the product itself is done in eight bits.

Rounded to INT8, both sides are integers, and so is every product and every sum: the multiplication makes no error at
all in 32 bits, and the scales come once, after the sum. For this they must be the same for all that is summed: a scale
a token (a row of X) and one an output channel (a row of W) can be taken out of the sum over inputs, a scale an input
cannot. In FP8 the sum is one of floats, which rounds; its scales are subject to the same.

References
----------
Jacob and others, arXiv 1712.05877, section 2.2 (sums in 32 bits). Dettmers and others, "LLM.int8()", arXiv 2208.07339,
section 2.1 and equation 3 (a scale a token times a scale a channel). Xiao and others, "SmoothQuant", arXiv 2211.10438,
section 3 and figure 3 (what can be taken out of the sum). FP8: Micikevicius and others, arXiv 2209.05433. On Hopper's
tensor cores FP8 products are summed with about 14 bits before they reach a float32: DeepSeek-AI, "DeepSeek-V3",
arXiv 2412.19437, section 3.3.2; here they are summed in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.float8 import ScaledFloats
from workbench.theory.quantisation.sharing import finite
from workbench.theory.quantisation.uniform import Floats, Quantised, encode, symmetric_scale

#: Most inputs of which the sum of products of two INT8 codes surely fits a signed 32-bit integer.
MOST_INPUTS = (2**31 - 1) // (128 * 128)


class Activations(Protocol):
    """How it is told what the largest code of the activations stands for."""

    def largest(self, x: Floats) -> Floats:
        """The magnitude that must be held, shape (tokens, 1) or (1, 1); `x` has the shape (tokens, inputs)."""
        ...


@dataclass(frozen=True)
class EachToken:
    """Measured in each token as it comes ("dynamic per token"): nothing is calibrated."""

    def largest(self, x: Floats) -> Floats:
        """The largest magnitude of each row, shape (tokens, 1)."""
        return np.asarray(np.abs(x).max(axis=1, keepdims=True))


@dataclass(frozen=True)
class WholeTensor:
    """Measured over all tokens that come together ("dynamic per tensor"); the result depends on its neighbours."""

    def largest(self, x: Floats) -> Floats:
        """The largest magnitude, shape (1, 1)."""
        return np.asarray(np.abs(x).max(keepdims=True))


@dataclass(frozen=True)
class Calibrated:
    """Measured beforehand on other text ("static"); what is larger is clipped.

    Parameters
    ----------
    most : float
        The largest magnitude that was met.
    """

    most: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.most) and self.most > 0):
            raise InvalidInput(f"most is {self.most!r}; give the largest magnitude that calibration met, above 0")

    def largest(self, x: Floats) -> Floats:
        """The same for whatever comes, shape (1, 1)."""
        return np.full((1, 1), self.most)


def integer_product(x: ArrayLike, weight: ArrayLike) -> NDArray[np.int32]:
    """X Wᵀ of codes of eight bits, summed in 32 bits: exact.

    Parameters
    ----------
    x : array_like of int, shape (tokens, inputs)
    weight : array_like of int, shape (outputs, inputs)
        Both from -128 to 127.

    Returns
    -------
    ndarray of int32, shape (tokens, outputs)

    Raises
    ------
    InvalidInput
        If a code has more than eight bits, or there are more than 131,071 inputs, whose sum may not fit.

    Examples
    --------
    Sums of products far exceed eight bits:

    >>> integer_product([[-128] * 4096], [[-128] * 4096])
    array([[67108864]], dtype=int32)
    """
    x, weight = np.asarray(x), np.asarray(weight)
    for codes in (x, weight):
        if codes.dtype.kind not in "iu" or codes.ndim != 2 or not codes.size or np.any((codes < -128) | (codes > 127)):
            raise InvalidInput("codes must be matrices of whole numbers from -128 to 127")
    if x.shape[1] != weight.shape[1] or x.shape[1] > MOST_INPUTS:
        raise InvalidInput(
            f"{x.shape[1]} inputs meet {weight.shape[1]} of the weight; they must be as many, at most {MOST_INPUTS}"
        )
    return x.astype(np.int32) @ weight.astype(np.int32).T


def int8_linear(
    x: ArrayLike, weight: Quantised, bias: ArrayLike | None = None, activations: Activations | None = None
) -> Floats:
    """A linear layer with INT8 weights and activations: y = s_x s_w (codes of X · codes of Wᵀ) + b.

    Parameters
    ----------
    x : array_like, shape (tokens, inputs)
        Floats; rounded here.
    weight : Quantised, codes of shape (outputs, inputs)
        Symmetric, of at most eight bits, with a scale for the whole (``quantise(w, 8)``) or for each output channel
        (``quantise(w, 8, axis=0)``).
    bias : array_like, shape (outputs,), optional
    activations : Activations, optional
        :class:`EachToken` unless another is given.

    Returns
    -------
    ndarray, shape (tokens, outputs)

    Raises
    ------
    InvalidInput
        If the weight's scales cannot be taken out of the sum over inputs, or shapes do not match.

    Examples
    --------
    >>> from workbench.theory.quantisation.uniform import quantise
    >>> x, w = np.array([[1.0, 2.0], [100.0, 0.0]]), np.array([[1.0, -1.0], [0.5, 0.25]])
    >>> int8_linear(x, quantise(w, 8, axis=0)).round(2)
    array([[ -0.99,   1.01],
           [100.  ,  50.  ]])
    """
    if not weight.symmetric or weight.bits > 8 or not _of_channels(weight.scale, weight.codes.shape):
        raise InvalidInput(
            "an INT8 layer takes a symmetric weight of at most 8 bits with a scale for the whole or for each output "
            "channel: quantise(weight, 8) or quantise(weight, 8, axis=0)"
        )
    x = _tokens(x)
    scale = symmetric_scale((activations or EachToken()).largest(x), 8)
    sums = integer_product(encode(x, scale, 0, 8), weight.codes)
    return _biased(sums * scale * weight.scale.T, bias)


def fp8_linear(
    x: ArrayLike, weight: ScaledFloats, bias: ArrayLike | None = None, activations: Activations | None = None
) -> Floats:
    """A linear layer with FP8 weights and activations, summed in float32; parameters as of :func:`int8_linear`.

    A product of two E4M3 numbers has at most 8 significant bits and is exact in float32; the sum is not.

    Examples
    --------
    >>> from workbench.theory.quantisation.float8 import quantise_float
    >>> x, w = np.array([[1.0, 2.0], [100.0, 0.0]]), np.array([[1.0, -1.0], [0.5, 0.25]])
    >>> fp8_linear(x, quantise_float(w, axis=0)).round(2)
    array([[ -1.,   1.],
           [100.,  50.]])
    """
    if not _of_channels(weight.scale, weight.codes.shape):
        raise InvalidInput("an FP8 layer takes a weight with a scale for the whole or for each output channel (axis=0)")
    x, format = _tokens(x), weight.format
    if x.shape[1] != weight.codes.shape[1]:
        raise InvalidInput(f"{x.shape[1]} inputs meet {weight.codes.shape[1]} of the weight; they must be as many")
    most = (activations or EachToken()).largest(x)
    scale = np.where(most > 0, most / format.largest, 1.0)
    sums = format.round(x / scale).astype(np.float32) @ format.decode(weight.codes).astype(np.float32).T
    return _biased(sums * scale * weight.scale.T, bias)


def relative_error(exact: ArrayLike, found: ArrayLike) -> float:
    """Squares of the differences over squares of what is exact.

    >>> relative_error([3.0, 4.0], [3.0, 4.5])
    0.01
    """
    exact, found = np.asarray(exact, dtype=np.float64), np.asarray(found, dtype=np.float64)
    return float(np.sum((found - exact) ** 2) / np.sum(exact**2))


def _tokens(x: ArrayLike) -> Floats:
    x = finite(x)
    if x.ndim != 2:
        raise InvalidInput(f"activations must be a matrix, tokens × inputs; the shape is {x.shape}")
    return x


def _of_channels(scale: Floats, shape: tuple[int, ...]) -> bool:
    """Whether a weight's scale is one for all inputs of an output."""
    return len(shape) == 2 and scale.shape in {(1, 1), (shape[0], 1)}


def _biased(y: Floats, bias: ArrayLike | None) -> Floats:
    return np.asarray(y if bias is None else y + np.asarray(bias, dtype=np.float64), dtype=np.float64)
