"""Sixteen levels among the values that come to them, and what six tables of levels lose."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.quantisation.density import Floats, Normal, Sampled
from workbench.theory.quantisation.error import mean_square_error
from workbench.theory.quantisation.lloyd_max import lloyd_max
from workbench.theory.quantisation.normal_float import (
    normal_float,
    normal_float_as_often_told,
    normal_quantiles,
    quantise_blocks,
)
from workbench.ui.chart import BLUE
from workbench.ui.learn import Picture, drawing

#: How many weights of a normal distribution are cut into blocks.
WEIGHTS = 2**16
TABLES = ("NF4", "formula of guides", "INT4", "16 even levels", "Lloyd-Max", "best for blocks")
BINS = np.linspace(-1.0, 1.0, 61)


def levels(table: str = "NF4", block: int = 64) -> Picture:
    """Values of blocks divided by their largest magnitude, and the levels of a table among them.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`: Lloyd-Max is for a normal distribution before it is cut into blocks.
    block : int
        Weights that share a magnitude.
    """
    height, _ = np.histogram(_shrunk(block), BINS, density=True)
    middle = (BINS[1:] + BINS[:-1]) / 2
    figure = drawing.bars(
        {"values of blocks, their largest made 1": (middle, height)},
        x={"title": "value over its block's largest", "range": [-1.05, 1.05]},
        y={"title": "how many", "range": [0, 1.5]},
        colours={"values of blocks, their largest made 1": "rgba(139,148,168,0.45)"},
    )
    chosen = _table(table, block)
    drawing.mark(figure, f"levels of {table}", chosen, np.full(chosen.size, 0.04), BLUE)
    here, least = _lost(table, block), _lost("best for blocks", block)
    return Picture(
        figure,
        f"{table}: a mean squared error of {here:.5f} σ² in blocks of {block}, which is {here * 4**4:.2f} σ² / 4⁴, and "
        f"{here / least - 1:.0%} more than the best sixteen levels for these blocks have.",
    )


def lost(block: int = 64) -> Picture:
    """What each table loses, by the size of a block.

    Parameters
    ----------
    block : int
        Weights that share a magnitude.
    """
    figure = drawing.bars(
        {
            "mean squared error": (
                [each.replace(" ", "<br>") for each in TABLES],
                [_lost(each, block) for each in TABLES],
            )
        },
        y={"title": "mean squared error [σ²]", "range": [0, 0.022]},
        colours={"mean squared error": BLUE},
    )
    figure.update_layout(margin={"b": 64})
    figure.update_xaxes(tickfont={"size": 11}, tickangle=0)
    nf4, int4 = _lost("NF4", block), _lost("INT4", block)
    return Picture(
        figure,
        f"In blocks of {block}, NF4 loses {nf4:.5f} σ² and INT4 {int4:.5f} σ²: {1 - nf4 / int4:.0%} less. "
        f"A magnitude of 32 bits a block makes {4 + 32 / block:.2f} bits a weight.",
    )


@cache
def _lost(table: str, block: int) -> float:
    return mean_square_error(_blocks(block), quantise_blocks(_blocks(block), _table(table, block), block).values())


@cache
def _table(table: str, block: int) -> Floats:
    if table == "NF4":
        return normal_float()
    if table == "INT4":
        return np.arange(-7, 8) / 7
    if table == "16 even levels":
        return np.linspace(-1, 1, 16)
    if table == "Lloyd-Max":
        found = lloyd_max(Normal(), 16).levels
        return found / found.max()
    if table == "formula of guides":
        return normal_float_as_often_told() / normal_float_as_often_told().max()
    largest = quantise_blocks(_blocks(block), normal_float(), block).absmax
    weights = np.broadcast_to(largest**2, _blocks(block).shape)
    return lloyd_max(Sampled(_shrunk(block), weights), 16, closeness=1e-4).levels


@cache
def _blocks(block: int) -> Floats:
    return np.random.default_rng(0).permutation(_weights()).reshape(-1, block)


@cache
def _weights() -> Floats:
    """Quantiles evenly spread, so that as few as these are spread as a normal distribution."""
    return normal_quantiles((np.arange(WEIGHTS) + 0.5) / WEIGHTS)


@cache
def _shrunk(block: int) -> Floats:
    return _blocks(block) / np.abs(_blocks(block)).max(1, keepdims=True)
