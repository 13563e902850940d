"""Quantised KV caches: keys and values in eight bits or fewer, and what error attention's output sees.

The cache is written token by token, so that what shares a scale must be known when a token arrives: one scale a layer
that was calibrated, one a head, or one a head of each token, measured as it comes. Keys and values do not suffer alike.
An error of a value reaches the output weighed by how much attention looks there; an error of a key changes *where*
attention looks, and grows with the query. Keys of many models have a few channels that are large in every token, and
one scale for a token is then set by these; a scale for each channel would suit keys better, but needs many tokens at
once.

References
----------
Hooper and others, "KVQuant", arXiv 2401.18079, section 3.1, and Liu and others, "KIVI", arXiv 2402.02750, section 3
(outlier channels of keys, values without). vLLM 0.32.0 ``model_executor/layers/quantization/kv_cache.py`` (a scale of
1.0 where the checkpoint brings none) and ``v1/attention/backends/triton_attn.py`` (a scale a token and head).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import InvalidInput
from workbench.theory.attention.softmax import softmax
from workbench.theory.quantisation.float8 import FloatFormat, quantise_float
from workbench.theory.quantisation.linear import relative_error
from workbench.theory.quantisation.sharing import finite
from workbench.theory.quantisation.uniform import Floats, quantise

#: What has one scale: the layer's whole cache, a head, a head of each token, a channel of each head; or nothing, a
#: scale of 1.
Sharing = Literal["none", "layer", "head", "token", "channel"]


@dataclass(frozen=True)
class Effect:
    """What attention sees of a cache that was rounded.

    Parameters
    ----------
    scores : float
        Root mean square of what the scores q·k / √d changed by [nats]: 0.1 makes a weight 10 % larger or smaller.
    keys, values, both : float
        Error of the output, its square as a share of the output's, with only the keys rounded, only the values, both.
    """

    scores: float
    keys: float
    values: float
    both: float


def stored(cache: ArrayLike, number: int | FloatFormat, sharing: Sharing) -> Floats:
    """Keys or values as they come back from the cache.

    Parameters
    ----------
    cache : array_like, shape (heads, tokens, dimension)
    number : int or FloatFormat
        Bits of a symmetric grid of whole numbers (8: INT8), or a small float such as
        :data:`workbench.theory.quantisation.float8.E4M3FN`.
    sharing : {"none", "layer", "head", "token", "channel"}
        ``"token"``: a scale for each head of each token.

    Returns
    -------
    ndarray, shape (heads, tokens, dimension)

    Raises
    ------
    InvalidInput
        If the shape is another, something is not finite, or whole numbers have no scale.

    Examples
    --------
    A loud token sets the scale of a quiet one, unless each has its own:

    >>> cache = np.array([[[0.3, 0.2], [90.0, 10.0]]])
    >>> stored(cache, 8, "head").round(2)
    array([[[ 0.  ,  0.  ],
            [90.  ,  9.92]]])
    >>> stored(cache, 8, "token").round(2)
    array([[[ 0.3 ,  0.2 ],
            [90.  ,  9.92]]])
    """
    cache = _cache("the cache", cache)
    if sharing == "none":
        if not isinstance(number, FloatFormat):
            raise InvalidInput("whole numbers need a scale: share one by layer, head, token or channel")
        return number.round(cache)
    order = (0, 2, 1) if sharing == "channel" else (0, 1, 2)
    shaped = cache.transpose(order)
    rows = shaped.reshape(_rows(sharing, shaped.shape), -1)
    if isinstance(number, FloatFormat):
        back = quantise_float(rows, number, axis=0).values()
    else:
        back = quantise(rows, number, axis=0).values()
    return back.reshape(shaped.shape).transpose(order)


def bits_per_value(number: int | FloatFormat, sharing: Sharing, dimension: int, scale_bits: int = 32) -> float:
    """Bits of the cache for each value: its code, and its part of a token's own scale.

    Scales of a layer, a head or a channel are kept once, beside the cache.

    Examples
    --------
    >>> from workbench.theory.quantisation.float8 import E4M3FN
    >>> bits_per_value(8, "token", 128), bits_per_value(E4M3FN, "layer", 128)
    (8.25, 8.0)
    """
    bits = number.bits if isinstance(number, FloatFormat) else number
    return bits + (scale_bits / dimension if sharing == "token" else 0.0)


def decode_attention(queries: ArrayLike, keys: ArrayLike, values: ArrayLike) -> Floats:
    """Attention of one new token in each head: softmax(q Kᵀ / √d) V.

    Parameters
    ----------
    queries : array_like, shape (heads, dimension)
    keys, values : array_like, shape (heads, tokens, dimension)

    Returns
    -------
    ndarray, shape (heads, dimension)
    """
    return np.einsum("ht,htd->hd", softmax(scores(queries, keys)), np.asarray(values, dtype=np.float64))


def scores(queries: ArrayLike, keys: ArrayLike) -> Floats:
    """q·k / √d of one new token in each head, shape (heads, tokens)."""
    queries, keys = np.asarray(queries, dtype=np.float64), np.asarray(keys, dtype=np.float64)
    return np.einsum("hd,htd->ht", queries, keys) / np.sqrt(keys.shape[2])


def effect(
    queries: ArrayLike, keys: ArrayLike, values: ArrayLike, kept_keys: ArrayLike, kept_values: ArrayLike
) -> Effect:
    """Hold attention over a rounded cache against attention over the exact one.

    Parameters
    ----------
    queries : array_like, shape (heads, dimension)
    keys, values, kept_keys, kept_values : array_like, shape (heads, tokens, dimension)
        As they were, and as they came back.

    Returns
    -------
    Effect

    Raises
    ------
    InvalidInput
        If shapes do not go together.

    Examples
    --------
    >>> keys = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    >>> found = effect([[2.0, 0.0]], keys, keys, keys + 0.1, keys)
    >>> round(found.scores, 4), found.values
    (0.1414, 0.0)
    """
    keys, values = _cache("keys", keys), _cache("values", values)
    kept_keys, kept_values = _cache("kept keys", kept_keys), _cache("kept values", kept_values)
    queries = finite(queries)
    if not keys.shape == values.shape == kept_keys.shape == kept_values.shape:
        raise InvalidInput(f"keys and values, and what came back, must have one shape; the keys have {keys.shape}")
    if queries.shape != (keys.shape[0], keys.shape[2]):
        raise InvalidInput(f"queries have the shape {queries.shape}; one for each head of {keys.shape} is needed")
    exact = decode_attention(queries, keys, values)
    return Effect(
        scores=float(np.sqrt(np.mean((scores(queries, kept_keys) - scores(queries, keys)) ** 2))),
        keys=relative_error(exact, decode_attention(queries, kept_keys, values)),
        values=relative_error(exact, decode_attention(queries, keys, kept_values)),
        both=relative_error(exact, decode_attention(queries, kept_keys, kept_values)),
    )


def example_cache(
    dice: np.random.Generator, heads: int = 8, tokens: int = 256, dimension: int = 64, outlier: float = 10.0
) -> tuple[Floats, Floats, Floats]:
    """Queries, keys and values made up after what KIVI's figure 2 shows of Llama's.

    Parameters
    ----------
    dice : numpy.random.Generator
    heads, tokens, dimension : int
    outlier : float
        How much larger two channels of each head's keys are than the others, in every token. They have one sign, so
        that they mostly add the same to every score.

    Returns
    -------
    queries : ndarray, shape (heads, dimension)
    keys, values : ndarray, shape (heads, tokens, dimension)
    """
    queries = dice.standard_normal((heads, dimension))
    keys, values = dice.standard_normal((2, heads, tokens, dimension))
    for head in range(heads):
        loud = dice.choice(dimension, 2, replace=False)
        keys[head][:, loud] = outlier * (1 + 0.1 * keys[head][:, loud])
    return queries, keys, values


def _rows(sharing: Sharing, shape: tuple[int, ...]) -> int:
    """How many scales there are for a cache of this shape."""
    heads, each, _ = shape
    counts = {"layer": 1, "head": heads, "token": heads * each, "channel": heads * each}
    if sharing not in counts:
        raise InvalidInput(f"sharing is {sharing!r}; give none, {', '.join(counts)}")
    return counts[sharing]


def _cache(name: str, given: ArrayLike) -> Floats:
    found = finite(given)
    if found.ndim != 3:
        raise InvalidInput(f"{name} must be (heads, tokens, dimension); the shape is {found.shape}")
    return found
