"""Four-bit floats with a scale for each small block: MXFP4 and NVFP4.

An E2M1 number is one of 0, 0.5, 1, 1.5, 2, 3, 4, 6 with a sign: far too little by itself, so each block of neighbours
carries a scale. *MXFP4*: 32 neighbours share a power of two, in eight bits (E8M0). *NVFP4*: 16 share an E4M3 number,
and all of these one FP32 number a tensor. The finer scale fits the block's largest value; a power of two leaves it
anywhere from 4 to 8, and what is above 6 is clipped.

References
----------
Open Compute Project, "OCP Microscaling Formats (MX) Specification", version 1.0, sections 5.3, 5.4 and 6.3; Rouhani and
others, "Microscaling Data Formats for Deep Learning", arXiv 2310.10537, algorithm 1. NVFP4: NVIDIA, "Pretraining Large
Language Models with NVFP4", arXiv 2509.25149, appendix C; as torchao makes both: github:pytorch/ao
torchao/prototype/mx_formats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput
from workbench.theory.quantisation.float8 import E4M3FN, FloatFormat
from workbench.theory.quantisation.sharing import finite, in_groups

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

#: Two bits of exponent, one of mantissa, neither NaN nor infinity.
E2M1 = FloatFormat("E2M1", 2, 1, "none")
#: An E8M0 code means 2^(code - 127); 255 would be NaN.
E8M0_BIAS = 127


@dataclass(frozen=True)
class MXFP4:
    """A tensor in MXFP4.

    Parameters
    ----------
    codes : ndarray of uint8, shape of the tensor
        E2M1, each from 0 to 15.
    scales : ndarray of uint8, shape (…, blocks)
        E8M0.
    block : int
    """

    codes: Codes
    scales: Codes
    block: int

    def values(self) -> Floats:
        """The numbers that the codes stand for; shape of the tensor."""
        scale = np.exp2(self.scales.astype(np.float64) - E8M0_BIAS)
        return _times(scale, E2M1.decode(self.codes), self.block)

    @property
    def bits_per_value(self) -> float:
        """A code, and its share of a scale."""
        return 4 + 8 / self.block


@dataclass(frozen=True)
class NVFP4:
    """A tensor in NVFP4.

    Parameters
    ----------
    codes : ndarray of uint8, shape of the tensor
        E2M1, each from 0 to 15.
    scales : ndarray of uint8, shape (…, blocks)
        E4M3.
    tensor_scale : float
        By which every block's scale is multiplied, stored once.
    block : int
    """

    codes: Codes
    scales: Codes
    tensor_scale: float
    block: int

    def values(self) -> Floats:
        """The numbers that the codes stand for; shape of the tensor."""
        return _times(E4M3FN.decode(self.scales) * self.tensor_scale, E2M1.decode(self.codes), self.block)

    @property
    def bits_per_value(self) -> float:
        """A code, and its share of a block's scale; the tensor's is too little to count."""
        return 4 + 8 / self.block


def mxfp4(x: ArrayLike, block: int = 32) -> MXFP4:
    """Round to MXFP4: the block's scale is 2^(floor(log2(largest magnitude)) - 2).

    The 2 is the exponent of E2M1's largest number, 6 = 1.5 · 2². So the largest magnitude lands from 4 to below 8, and
    what lands above 6 is clipped to it.

    Parameters
    ----------
    x : array_like
        Blocks lie along its last axis.
    block : int
        32 in the specification.

    Examples
    --------
    The scale is 1, and 7.9 is clipped:

    >>> mxfp4([0.2, 1.3, -2.6, 7.9], block=4).values()
    array([ 0. ,  1.5, -3. ,  6. ])
    """
    blocks = in_groups(finite(x), block)
    most = np.abs(blocks).max(axis=-1)
    _, above = np.frexp(most)  # most = f 2^above with 1/2 <= f < 1
    exponent = np.where(most > 0, above.astype(np.int64) - 1, -E8M0_BIAS) - 2
    exponent = np.clip(exponent, -E8M0_BIAS, E8M0_BIAS)
    codes = E2M1.encode(blocks / np.exp2(exponent.astype(np.float64))[..., None])
    return MXFP4(codes.reshape(np.shape(x)), (exponent + E8M0_BIAS).astype(np.uint8), block)


def nvfp4(x: ArrayLike, block: int = 16, tensor_scale: float | None = None) -> NVFP4:
    """Round to NVFP4: the block's scale is its largest magnitude over 6, as a multiple of the tensor's scale in E4M3.

    Parameters
    ----------
    x : array_like
        Blocks lie along its last axis.
    block : int
        16 as the hardware has it.
    tensor_scale : float, optional
        By default the tensor's largest magnitude over 6 · 448, so that the largest block's scale is E4M3's largest
        number. A calibrated one may be smaller; then what is larger is clipped.

    Examples
    --------
    >>> nvfp4([0.2, 1.3, -2.6, 7.9], block=4).values().round(3)
    array([ 0.   ,  1.317, -2.633,  7.9  ])
    """
    x = finite(x)
    blocks = in_groups(x, block)
    most = np.abs(blocks).max(axis=-1)
    if tensor_scale is None:
        tensor_scale = float(most.max()) / (E2M1.largest * E4M3FN.largest) or 1.0
    if not (np.isfinite(tensor_scale) and tensor_scale > 0):
        raise InvalidInput(f"tensor_scale is {tensor_scale}; give a finite number above 0")
    scales = E4M3FN.encode(most / E2M1.largest / tensor_scale)
    scale = E4M3FN.decode(scales) * tensor_scale
    # A block too small beside the tensor's largest has the scale 0, and all its values become 0.
    shrunk = np.where(scale[..., None] > 0, blocks / np.where(scale > 0, scale, 1.0)[..., None], 0.0)
    return NVFP4(E2M1.encode(shrunk).reshape(x.shape), scales, tensor_scale, block)


def _times(scale: Floats, values: Floats, block: int) -> Floats:
    return np.asarray(in_groups(values, block) * scale[..., None]).reshape(values.shape)
