"""The ledger of engines that take what the deployment asks for, instead of filling a share of the card with cache.

llama.cpp and transformers: a cache of ``max_num_seqs`` × ``max_model_len`` tokens is needed in full; it fits or it does
not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.choices import Numbers, Setup
from workbench.memory.ledger import Floats, Interval, Ledger, spread
from workbench.memory.longest import longest_request
from workbench.memory.pool import card, difference

#: Bytes that lengths need, for requests of the rows [B].
Needed = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Device:
    """What one card holds [B].

    Parameters
    ----------
    weights : float
    cache, activation : callable
        Length of each request -> bytes of cache for all of them, and the peak of what is computed.
    """

    weights: float
    cache: Needed
    activation: Needed


def ledger(
    setup: Setup,
    numbers: Numbers,
    devices: list[Device],
    *,
    idle: float,
    outside: Interval,
    weights: tuple[float, float],
    activation: tuple[float, float],
) -> Ledger:
    """The ledger of the fullest device.

    Parameters
    ----------
    devices : list of Device
        Each card's share.
    idle : float
        Bytes that the context takes before anything is loaded.
    outside : Interval
        What is taken besides, by each row [B].
    weights, activation : tuple of float
        Relative half-widths below and above.

    Notes
    -----
    ``requested`` is all that is free. ``kv_cache`` is what is needed where that fits, else what is left.
    """
    ones = np.ones_like(numbers.max_model_len)
    length, seqs = numbers.max_model_len, numbers.max_num_seqs
    made = card(setup, idle, ones)
    capacity, free = made.capacity, made.free

    def total(device: Device) -> float:
        return float(np.sum(device.weights + device.cache(length) + device.activation(length)))

    fullest = max(devices, key=total)
    held = spread(fullest.weights * ones, *weights)
    peak = spread(fullest.activation(length), *activation)
    left = difference(free, held, peak, outside)
    needed = fullest.cache(length)
    cache = Interval(*(np.minimum(needed, bound) for bound in (left.value, left.low, left.high)))
    fit = Interval(*((needed <= bound).astype(float) for bound in (left.value, left.low, left.high)))
    longest = longest_request(
        free.value - held.value - outside.value,
        lambda tokens: fullest.cache(tokens) + fullest.activation(tokens),
        setup.model.max_model_len,
    )
    tokens = np.where(fit.value > 0, length, np.minimum(longest, length)) * seqs
    share = np.where(needed > 0, needed / np.maximum(length * seqs, 1), 0.0)
    low_tokens = np.where(fit.low > 0, tokens, np.floor(tokens * np.clip(_share(left.low, needed), 0, 1)))
    high_tokens = np.where(fit.high > 0, length * seqs, tokens)
    return Ledger(
        capacity=capacity,
        requested=free,
        weights=held,
        activation_peak=peak,
        non_torch=outside,
        cuda_graphs=spread(np.zeros_like(ones), 0, 0),
        kv_cache=cache,
        kv_bytes_per_token=share,
        kv_cache_tokens=Interval(tokens, np.minimum(low_tokens, tokens), np.maximum(high_tokens, tokens)),
        max_concurrency=Interval(seqs * fit.value, seqs * fit.low, seqs * fit.high),
        longest=longest,
        needed=needed,
        graphs_in_budget=np.ones(len(ones), dtype=bool),
        idle=np.full(len(ones), float(made.idle)),
    )


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, 1.0)
