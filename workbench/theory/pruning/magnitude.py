"""Magnitude pruning: the smallest weights become zero, anywhere in the matrix; and what their zeros take to store.

A mask says which weights stay. The matrix keeps its shape, and so its bytes and its multiplications, until something
stores the zeros in another way *and* something multiplies without them. Memory can be saved by storing them away; time
is saved only by a kernel made for the pattern.

References
----------
Han and others, "Learning both Weights and Connections for Efficient Neural Networks", arXiv 1506.02626, section 3.
One threshold for all layers or one for each: Blalock and others, "What is the State of Neural Network Pruning?",
arXiv 2003.03033, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]
#: True where a weight stays.
Mask = NDArray[np.bool_]


def keep_highest(scores: ArrayLike, sparsity: float) -> Mask:
    """The mask that lets go of exactly round(sparsity × size) weights, those of the lowest scores.

    Parameters
    ----------
    scores : array_like
        How much each weight matters, in any unit; among equals the first goes first.
    sparsity : float
        Share of the weights that become zero, from 0 to 1.

    Returns
    -------
    ndarray of bool, shape of `scores`

    Raises
    ------
    InvalidInput
        If `scores` is empty or holds NaN, or the sparsity is no share.

    Examples
    --------
    >>> keep_highest([[1.2, 0.3, 0.8], [0.1, 2.1, 0.4], [0.9, 0.2, 1.5]], 4 / 9).astype(int)
    array([[1, 0, 1],
           [0, 1, 0],
           [1, 0, 1]])
    """
    s = np.asarray(scores, dtype=np.float64)
    if s.size == 0 or np.isnan(s).any():
        raise InvalidInput("scores must hold numbers, at least one and none of them NaN")
    kept = np.ones(s.size, dtype=bool)
    kept[np.argsort(s, axis=None, kind="stable")[: round(_share(sparsity) * s.size)]] = False
    return kept.reshape(s.shape)


def layer_by_layer(weights: Mapping[str, ArrayLike], sparsity: float) -> dict[str, Mask]:
    """The smallest weights of each layer: every layer ends at the same sparsity.

    Examples
    --------
    >>> masks = layer_by_layer({"first": [4.0, 3.0], "second": [0.2, 0.1]}, 0.5)
    >>> {name: mask.tolist() for name, mask in masks.items()}
    {'first': [True, False], 'second': [True, False]}
    """
    return {name: keep_highest(np.abs(w), sparsity) for name, w in weights.items()}


def all_layers_together(weights: Mapping[str, ArrayLike], sparsity: float) -> dict[str, Mask]:
    """The smallest weights of the whole model, by one threshold: layers of small weights lose more, at worst all.

    Examples
    --------
    >>> masks = all_layers_together({"first": [4.0, 3.0], "second": [0.2, 0.1]}, 0.5)
    >>> {name: mask.tolist() for name, mask in masks.items()}
    {'first': [True, True], 'second': [False, False]}
    """
    if not weights:
        raise InvalidInput("give at least one layer")
    sizes = [np.size(w) for w in weights.values()]
    kept = keep_highest(np.concatenate([np.abs(w, dtype=np.float64).ravel() for w in weights.values()]), sparsity)
    parts = np.split(kept, np.cumsum(sizes)[:-1])
    return {name: part.reshape(np.shape(w)) for (name, w), part in zip(weights.items(), parts, strict=True)}


def sparsity_of(kept: ArrayLike) -> float:
    """Share of the weights that a mask makes zero.

    >>> sparsity_of([True, False, True, False])
    0.5
    """
    return float(1 - np.mean(np.asarray(kept, dtype=bool)))


def dense_bits(bits: float) -> float:
    """Bits a weight of an ordinary tensor, whatever its zeros: as many as before."""
    return float(bits)


def bitmask_bits(sparsity: float, bits: float) -> float:
    """Bits a weight where one bit says whether it stays, and those that stay follow: (1 − s) b + 1.

    Smaller than dense where s > 1 / b: from 6 % zeros at 16 bits, from 25 % at 4.

    Examples
    --------
    >>> bitmask_bits(0.3, 16), bitmask_bits(0.3, 4)
    (12.2, 3.8)
    """
    return float((1 - _share(sparsity)) * bits + 1)


def indexed_bits(sparsity: float, bits: float, index_bits: float = 16) -> float:
    """Bits a weight where each that stays carries its column, as in CSR without its row pointers: (1 − s) (b + i).

    With 16-bit weights and columns it needs more than half zeros to save anything.

    Examples
    --------
    >>> indexed_bits(0.3, 16), indexed_bits(0.5, 16)
    (22.4, 16.0)
    """
    return float((1 - _share(sparsity)) * (bits + index_bits))


def _share(sparsity: float) -> float:
    if not 0 <= sparsity <= 1:
        raise InvalidInput(f"sparsity is {sparsity!r}; give a share from 0 to 1")
    return float(sparsity)
