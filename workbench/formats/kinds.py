"""How one weight matrix is stored: each kind of format knows its own bytes.

A kind is built from what a quantiser writes (packed words, scales, zero points, indices), so that the bytes of a matrix
are exact, not an average number of bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Format(Protocol):
    """What every kind of stored matrix can say."""

    @property
    def id(self) -> str:
        """Short name, for tables and errors."""
        ...

    @property
    def bits(self) -> float:
        """Bits of one stored weight, scales apart."""
        ...

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of a matrix of ``outputs`` rows and ``inputs`` columns, everything included [B]."""
        ...


def _words(count: int, bits: float, word_bits: int) -> int:
    """Bytes of values packed one after another into whole words."""
    return math.ceil(count * bits / word_bits) * word_bits // 8


@dataclass(frozen=True, slots=True)
class Float:
    """Plain floats.

    >>> Float("f32", 32).matrix_bytes(10, 3)
    120.0
    """

    id: str
    bits: float

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one matrix [B]."""
        return inputs * outputs * self.bits / 8


@dataclass(frozen=True, slots=True)
class Packed:
    """Integers or short floats with scales: AWQ, GPTQ, compressed-tensors, FP8, MXFP4, NVFP4, ModelOpt.

    Parameters
    ----------
    id : str
    bits : float
        Bits of one weight.
    group_size : int
        Inputs that share one scale; 0: one scale an output channel; -1: one for the matrix.
    block : tuple of int, optional
        Outputs × inputs that share a scale, instead of groups.
    scale_bits, zero_bits : int
        Bits of a scale and of a zero point.
    index_bits : int
        Bits stored for every input (GPTQ's ``g_idx``, a smoothing factor).
    tensor_bytes : int
        Bytes stored once for a matrix (a global scale, the scale of the activations, the shape).
    word_bits : int
        Into what the weights are packed: 32 for int32 words, 8 for bytes.
    pack : {"inputs", "outputs"}
        Along which side; it matters only where a side is no multiple of the word.

    Notes
    -----
    Zero points are packed along the outputs, into the same words.

    References
    ----------
    AWQ: ``qweight`` (inputs × outputs / 8), ``qzeros``, ``scales`` of AutoAWQ 0.2.9. GPTQ: ``qweight`` (inputs / 8 ×
    outputs), ``qzeros``, ``scales``, ``g_idx`` of GPTQModel 7.4. compressed-tensors 0.17: ``weight_packed``,
    ``weight_scale``, ``weight_zero_point``, ``weight_shape``. MXFP4: OCP Microscaling Formats 1.0, blocks of 32 with an
    8-bit exponent. NVFP4: blocks of 16 with an FP8 scale and an FP32 scale a matrix.
    """

    id: str
    bits: float
    group_size: int = 0
    block: tuple[int, int] | None = None
    scale_bits: int = 16
    zero_bits: int = 0
    index_bits: int = 0
    tensor_bytes: int = 0
    word_bits: int = 8
    pack: str = "inputs"

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one matrix [B].

        Examples
        --------
        AWQ in groups of 128: 4 bits and (16 + 4) / 128 bits a weight.

        >>> awq = Packed("int4", 4, 128, zero_bits=4, word_bits=32, pack="outputs")
        >>> awq.matrix_bytes(4096, 4096) * 8 / 4096**2
        4.15625
        >>> Packed("fp8", 8, block=(128, 128), scale_bits=32).matrix_bytes(7168, 576) - 7168 * 576
        1120
        """
        if self.pack == "inputs":
            values = outputs * _words(inputs, self.bits, self.word_bits)
        else:
            values = inputs * _words(outputs, self.bits, self.word_bits)
        if self.block is not None:
            groups = math.ceil(outputs / self.block[0]) * math.ceil(inputs / self.block[1])
            scales, zeros = groups * self.scale_bits // 8, 0
        elif self.group_size < 0:
            scales, zeros = self.scale_bits // 8, 0
        else:
            groups = math.ceil(inputs / self.group_size) if self.group_size else 1
            scales = groups * outputs * self.scale_bits // 8
            zeros = groups * _words(outputs, self.zero_bits, self.word_bits)
        return values + scales + zeros + inputs * self.index_bits // 8 + self.tensor_bytes


@dataclass(frozen=True, slots=True)
class FlatBlocks:
    """Blocks over the flattened matrix with one scale each, that may be quantised again: bitsandbytes NF4 and FP4.

    Parameters
    ----------
    id : str
    bits : float
    block : int
        Weights that share a scale.
    nested : int
        Scales that share a scale of their own (double quantisation); 0: the scales are FP32.
    tensor_bytes : int
        Bytes stored once for a matrix: the code book, with nesting a second one.
    state : str
        Text stored with each matrix, with two places (``%d``) for its outputs and inputs.

    References
    ----------
    bitsandbytes 0.50, ``functional.py`` ``quantize_4bit`` and ``QuantState.as_dict``: ``absmax``, ``quant_map`` (16 ×
    FP32), ``nested_absmax``, ``nested_quant_map`` (256 × FP32), and a JSON text that says the rest.
    """

    id: str
    bits: float
    block: int
    nested: int = 0
    tensor_bytes: int = 64
    state: str = ""

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one matrix [B].

        >>> FlatBlocks("nf4", 4, 64).matrix_bytes(4096, 4096) - 64 == 4096 * 4096 * (4 + 32 / 64) / 8
        True
        """
        elements = inputs * outputs
        scales = math.ceil(elements / self.block)
        size = scales + math.ceil(scales / self.nested) * 4 if self.nested else scales * 4
        text = len(self.state % (outputs, inputs)) if self.state else 0
        return _words(elements, self.bits, 8) + size + self.tensor_bytes + text


@dataclass(frozen=True, slots=True)
class Codebooks:
    """Additive codes into learnt codebooks: AQLM.

    Parameters
    ----------
    id : str
    codebooks, code_bits : int
        How many codes a group of weights has, and bits of a code; it is stored in 8 or 16 bits.
    in_group, out_group : int
        Weights a code stands for.

    References
    ----------
    AQLM 1.1, ``inference.py``: ``codes`` (outputs / out_group × inputs / in_group × codebooks), ``codebooks`` (FP16),
    ``scales`` (FP16, one an output group). arXiv:2401.06118.
    """

    id: str
    codebooks: int
    code_bits: int
    in_group: int = 8
    out_group: int = 1

    @property
    def bits(self) -> float:
        """Bits of one weight, codebooks and scales apart."""
        return self.codebooks * self.code_bits / (self.in_group * self.out_group)

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one matrix [B].

        >>> Codebooks("aqlm 1x16", 1, 16).matrix_bytes(4096, 4096) * 8 / 4096**2
        2.50390625
        """
        stored = 1 if self.code_bits <= 8 else 2
        rows, columns = math.ceil(outputs / self.out_group), math.ceil(inputs / self.in_group)
        books = self.codebooks * 2**self.code_bits * self.in_group * self.out_group * 2
        return float(rows * columns * self.codebooks * stored + books + rows * 2)


@dataclass(frozen=True, slots=True)
class Blocks:
    """ggml's blocks of a row: every GGUF type.

    Parameters
    ----------
    id : str
        ggml's name, lower case.
    block, block_bytes : int
        Weights in a block and its bytes.
    """

    id: str
    block: int
    block_bytes: int

    @property
    def bits(self) -> float:
        """Bits of one weight, the block's scales included.

        >>> Blocks("q4_k", 256, 144).bits
        4.5
        """
        return self.block_bytes * 8 / self.block

    def matrix_bytes(self, inputs: int, outputs: int) -> float:
        """Stored bytes of one matrix [B]; a row is whole blocks."""
        return float(outputs * math.ceil(inputs / self.block) * self.block_bytes)
