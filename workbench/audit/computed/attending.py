"""Attention and its traffic, by :mod:`workbench.theory.attention`; batches that wait for their longest member."""

from __future__ import annotations

import numpy as np

from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, number, statement, worst
from workbench.hardware import gpu
from workbench.theory.attention.softmax import online_softmax, softmax
from workbench.theory.attention.tiled import Tile
from workbench.theory.attention.traffic import (
    backward_flops,
    compute_share,
    forward_flops,
    gain_as_often_told,
    keys_outside,
    on_chip,
    queries_outside,
    standard,
    tile_for,
    traffic_as_often_told,
)
from workbench.theory.serving.batching import static

#: An A100's multiprocessor holds 192 kB: so many elements of 16 bit.
ON_CHIP = 192 * 1024 // 2


@computes("C004-023", told=4)
def elements_called_bytes(told: int) -> Found:
    """What plain attention moves: the count told, which is of elements."""
    tokens, width = 1024, 64
    found = standard(tokens, width)
    right = told * tokens * width + told * tokens**2 == found
    return statement(right, f"{found / 1e6:.2f} million elements, {2 * found / 1e6:.1f} MB", but=True, number=2 * found)


@computes("C004-025", told=4.5e6)
def moved(told: float) -> Found:
    """The same as a number without a unit."""
    found = standard(1024, 64)
    right = number(told, found).verdict == "correct"
    return statement(right, f"{found / 1e6:.2f} million elements, {2 * found / 1e6:.1f} MB", but=True, number=found)


@computes("C004-024", told=134e6)
def operations(told: float) -> Found:
    """Operations of 1024 tokens with heads of 64."""
    return number(told, forward_flops(1024, 64), limits=EXACT, shown=f"{forward_flops(1024, 64) / 1e6:.0f} million")


@computes("C004-026", told=15)
def used(told: float) -> Found:
    """The share of an A100's arithmetic that plain attention can use [%]."""
    card = gpu("A100 40GB SXM4")
    share = compute_share(forward_flops(1024, 64), 2 * standard(1024, 64), card.peak("fp16"), card.bandwidth)
    return number(told, 100 * share, "%")


@computes("C004-027")
def traffic() -> Found:
    """What FlashAttention moves at 2048 tokens with heads of 64, by its two versions' loops."""
    told, first = traffic_as_often_told(2048, 64), keys_outside(2048, 64, tile_for(ON_CHIP, 64))
    parts = [
        number(told, found, limits=EXACT, shown=f"{found / 1e6:.1f} million")
        for found in (first, queries_outside(2048, 64, Tile(128, 64)))
    ]
    return worst(parts, f"{parts[0].value} or {parts[1].value} elements, not {told / 1e6:.1f}")


@computes("C004-028")
def gain() -> Found:
    """By how much the traffic falls at 2048 tokens, by the two versions' loops."""
    moves = (keys_outside(2048, 64, tile_for(ON_CHIP, 64)), queries_outside(2048, 64, Tile(128, 64)))
    falls = [standard(2048, 64) / moved for moved in moves]
    parts = [number(gain_as_often_told(2048, 64), fall, shown=f"{fall:.1f}") for fall in falls]
    return worst(parts, f"{parts[0].value} or {parts[1].value} times")


@computes("C004-029")
def room_on_chip() -> Found:
    """The condition told beside all that lies on the chip at a time: it is needed, and not enough."""
    tile = tile_for(ON_CHIP, 64)
    told, whole = tile.queries * 64 + 2 * tile.keys * 64, on_chip(tile, 64)
    return statement(told <= whole, f"{told:,} of {whole:,} elements", but=told < whole, number=whole)


@computes("C004-030")
def running_softmax() -> Found:
    """The running softmax beside the plain one, over rows of scores in blocks of three sizes."""
    scores = np.random.default_rng(0).normal(scale=20, size=(8, 100))
    apart = max(float(np.abs(online_softmax(scores, block) - softmax(scores)).max()) for block in (1, 7, 64))
    return statement(apart < 1e-12, f"apart by {apart:.0e}", number=apart)


@computes("C004-031")
def shapes() -> Found:
    """Whether the product told can be formed at all, of 5 tokens with heads of 3."""
    output, weights = np.ones((5, 3)), np.ones((5, 5))
    fits = output.shape[1] == weights.shape[0]
    return statement(fits, f"{output.shape[0]} × {output.shape[1]} times {weights.shape[0]} × {weights.shape[1]}")


@computes("C004-032", told=2)
def computed_again(told: float) -> Found:
    """The backward pass with scores computed again, over that with scores kept."""
    return number(told, backward_flops(1024, 64) / backward_flops(1024, 64, recomputed=False), "times")


@computes("C004-039", told=50, lengths=(100, 200, 50))
def idle(told: float, lengths: tuple[int, ...]) -> Found:
    """The share of a fixed batch's places that stand empty until its longest answer is done [%]."""
    return number(told, 100 * static(lengths, len(lengths)).idle_share, "%")
