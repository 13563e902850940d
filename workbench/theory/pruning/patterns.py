"""2:4 and its kin: zeros where hardware can skip them.

In every m neighbours of a row at most n stay. NVIDIA's sparse tensor cores take 2 of 4: they read the two that stay and
two bits for each that say where it stood, and pick the matching two of four inputs. Half of the products are left out.

What that gains depends on what a step waits for. Where it computes, the rate doubles at most. Where it waits for the
weights, as when few tokens are decoded, only the bytes count, and their positions are bytes too: in 16 bits 9/16 of the
matrix are still read, in 4 bits 3/4.

References
----------
Mishra and others, "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378, section 3 and figure 1 (format: the
values that stay and two-bit indices). NVIDIA PTX ISA, "Sparse matrix storage" of ``mma.sp``,
https://docs.nvidia.com/cuda/parallel-thread-execution/index.html (FP16, BF16, INT8 and FP8: 2 of 4).
Least time of a multiplication: Williams and others, "Roofline", https://doi.org/10.1145/1498765.1498785.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pattern:
    """At most `keep` of every `of` neighbours in a row stay.

    Parameters
    ----------
    keep, of : int
        n and m of n:m; 2:4 is NVIDIA's.

    Raises
    ------
    InvalidInput
        If not 1 ≤ keep ≤ of ≤ 256.

    Examples
    --------
    >>> Pattern(2, 4).sparsity, Pattern(2, 4).bits_per_weight(16), Pattern(2, 4).bits_per_weight(4)
    (0.5, 9.0, 3.0)
    """

    keep: int = 2
    of: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.keep <= self.of <= 256:
            raise InvalidInput(f"{self.keep}:{self.of} is no pattern; keep at least 1 and at most all of up to 256")

    @property
    def sparsity(self) -> float:
        """Share of the weights that become zero."""
        return 1 - self.keep / self.of

    @property
    def index_bits(self) -> int:
        """Bits that say where one of the kept stood among its neighbours."""
        return (self.of - 1).bit_length()

    def bits_per_weight(self, bits: float) -> float:
        """Bits stored for each weight of the dense matrix: (n / m) (b + index bits).

        Parameters
        ----------
        bits : float
            Of a weight that stays.
        """
        return self.keep / self.of * (bits + self.index_bits)

    def mask(self, scores: ArrayLike) -> Mask:
        """Keep the highest scores of each group of neighbours; among equals the last stay.

        Parameters
        ----------
        scores : array_like, shape (rows, columns)

        Returns
        -------
        ndarray of bool, shape (rows, columns)

        Raises
        ------
        InvalidInput
            If the columns are no multiple of `of`.

        Examples
        --------
        >>> Pattern(2, 4).mask([[0.9, 0.1, 0.5, 0.2]])
        array([[ True, False,  True, False]])
        """
        groups = self._groups(np.asarray(scores, dtype=np.float64))
        kept = np.ones(groups.shape, dtype=bool)
        lowest = np.argsort(groups, axis=-1, kind="stable")[..., : self.of - self.keep]
        np.put_along_axis(kept, lowest, False, axis=-1)
        return kept.reshape(np.shape(scores))

    def fits(self, w: ArrayLike) -> bool:
        """Whether a matrix has at most `keep` non-zeros in each group."""
        return bool((np.count_nonzero(self._groups(np.asarray(w)), axis=-1) <= self.keep).all())

    def _groups(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Shape (rows, columns) as (rows, groups, of)."""
        if matrix.ndim != 2 or matrix.size == 0 or matrix.shape[1] % self.of:
            raise InvalidInput(f"a matrix of shape {matrix.shape} has no whole groups of {self.of} in its rows")
        return matrix.reshape(len(matrix), -1, self.of)


#: What NVIDIA's sparse tensor cores multiply.
TWO_OF_FOUR = Pattern(2, 4)


@dataclass(frozen=True)
class Packed:
    """A matrix of a pattern without its zeros.

    Parameters
    ----------
    values : ndarray, shape (rows, columns × keep / of)
        The weights that stay, in their order.
    metadata : ndarray of uint8
        Where each stood among its neighbours, `pattern.index_bits` bits each, the first in the lowest bits of the first
        byte. (Tensor cores want these bits in an order of their own, which differs by card; their number is the same.)
    pattern : Pattern
    """

    values: NDArray[Any]
    metadata: NDArray[np.uint8]
    pattern: Pattern

    @property
    def bytes(self) -> int:
        """Values and metadata together [bytes]."""
        return int(self.values.nbytes + self.metadata.nbytes)

    def positions(self) -> NDArray[np.intp]:
        """Where each value stood among its neighbours, shape of `values`."""
        bits = np.unpackbits(self.metadata, bitorder="little")[: self.values.size * self.pattern.index_bits]
        weights = 1 << np.arange(self.pattern.index_bits)
        return np.asarray(bits.reshape(*self.values.shape, -1) @ weights, dtype=np.intp)

    def unpacked(self) -> NDArray[Any]:
        """The dense matrix, its zeros included."""
        pattern, (rows, kept) = self.pattern, self.values.shape
        groups = (rows, kept // pattern.keep)
        dense = np.zeros((*groups, pattern.of), dtype=self.values.dtype)
        at = self.positions().reshape(*groups, pattern.keep)
        np.put_along_axis(dense, at, self.values.reshape(*groups, pattern.keep), axis=-1)
        return dense.reshape(rows, -1)

    def multiply(self, x: ArrayLike) -> NDArray[Any]:
        """x Wᵀ without a product by zero: each value picks its input, as a sparse tensor core does.

        Parameters
        ----------
        x : array_like, shape (tokens, columns)

        Returns
        -------
        ndarray, shape (tokens, rows)
        """
        pattern, (rows, kept) = self.pattern, self.values.shape
        group = np.repeat(np.arange(kept // pattern.keep), pattern.keep)
        columns = group * pattern.of + self.positions()
        inputs = np.asarray(x)
        return np.stack([inputs[:, columns[row]] @ self.values[row] for row in range(rows)], axis=1)


def pack(w: ArrayLike, pattern: Pattern = TWO_OF_FOUR) -> Packed:
    """Leave the zeros out of a matrix that has the pattern.

    A group with fewer non-zeros than may stay keeps some zeros, the last ones.

    Raises
    ------
    InvalidInput
        If some group has more non-zeros than may stay.

    Examples
    --------
    >>> packed = pack(np.array([[0.0, 3.0, 0.0, 5.0]], dtype=np.float16))
    >>> packed.values, packed.metadata, packed.bytes
    (array([[3., 5.]], dtype=float16), array([13], dtype=uint8), 5)

    Positions 1 and 3: binary 01 and 11, the first in the lowest bits, make 13.
    """
    dense = np.asarray(w)
    groups = pattern._groups(dense)
    if not pattern.fits(dense):
        raise InvalidInput(
            f"the matrix has more than {pattern.keep} non-zeros among {pattern.of} neighbours; apply a mask first"
        )
    zeros_first = np.argsort(groups != 0, axis=-1, kind="stable")
    positions = np.sort(zeros_first[..., pattern.of - pattern.keep :], axis=-1)
    values = np.take_along_axis(groups, positions, axis=-1).reshape(len(dense), -1)
    bits = (positions.reshape(-1, 1) >> np.arange(pattern.index_bits)) & 1
    return Packed(values, np.packbits(bits.astype(np.uint8).ravel(), bitorder="little"), pattern)


def least_seconds(
    tokens: ArrayLike, outputs: int, inputs: int, bits: float, rate: float, bandwidth: float, *, sparse: bool = False
) -> Floats:
    """Least time of a multiplication on a card: the longer of computing and reading.

    max(2 t N K / rate, (N K b + t (N + K) a) / bandwidth), with half the products and 2:4's bits where `sparse`; the
    activations' a is 16 bits.

    Parameters
    ----------
    tokens : array_like
        t, multiplied at once.
    outputs, inputs : int
        N and K of the weight.
    bits : float
        b, of a weight that stays.
    rate : float
        Dense rate of the tensor cores [FLOP/s].
    bandwidth : float
        Of the memory [bytes/s].

    Returns
    -------
    ndarray of float64, shape of `tokens`
        [s]; a floor, no measurement.

    Examples
    --------
    One token of a 4096 × 4096 matrix in 16 bits on a card of 400 TFLOP/s and 1 TB/s: 34 µs, and 19 sparse.

    >>> [float(least_seconds(1, 4096, 4096, 16, 400e12, 1e12, sparse=s).round(7)) for s in (False, True)]
    [3.36e-05, 1.89e-05]
    """
    t = np.asarray(tokens, dtype=np.float64)
    if min(outputs, inputs) < 1 or not (t >= 1).all() or min(bits, rate, bandwidth) <= 0:
        raise InvalidInput("tokens, outputs and inputs must be at least 1, bits, rate and bandwidth above 0")
    stored = TWO_OF_FOUR.bits_per_weight(bits) if sparse else bits
    computing = 2 * t * outputs * inputs / rate * (TWO_OF_FOUR.sparsity if sparse else 1)
    reading = (outputs * inputs * stored + t * (outputs + inputs) * 16) / 8 / bandwidth
    return np.maximum(computing, reading)


def gain(tokens: ArrayLike, outputs: int, inputs: int, bits: float, rate: float, bandwidth: float) -> Floats:
    """How many times faster 2:4 can be at most; parameters as of :func:`least_seconds`.

    Examples
    --------
    >>> gain([1, 4096], 4096, 4096, 16, 400e12, 1e12).round(2)
    array([1.78, 2.  ])
    """
    dense = least_seconds(tokens, outputs, inputs, bits, rate, bandwidth)
    return dense / least_seconds(tokens, outputs, inputs, bits, rate, bandwidth, sparse=True)
