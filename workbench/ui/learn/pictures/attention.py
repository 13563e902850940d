"""Softmax block by block, and what attention moves by the length of the text."""

from __future__ import annotations

import numpy as np

from workbench.theory.attention.softmax import softmax, trace
from workbench.theory.attention.traffic import (
    keys_outside,
    queries_outside,
    standard,
    tile_for,
    traffic_as_often_told,
    turned,
)
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE, RED
from workbench.ui.learn import Picture, drawing

COLUMNS = 64
TOKENS = 2 ** np.arange(10, 18)
#: Elements of 16 bits in a kilobyte, and bytes of one.
IN_KILOBYTE, WIDTH = 512, 2


def blocks(seen: int = 2, block: int = 16, peak: int = 40) -> Picture:
    """Weights of a row of 64 scores, as far as it has been read.

    Parameters
    ----------
    seen : int
        Blocks read so far; all, where there are fewer.
    block : int
        Scores in a block.
    peak : int
        Where the largest score stands.
    """
    scores = np.random.default_rng(3).normal(size=(1, COLUMNS))
    scores[0, peak] = 4.0
    states = trace(scores, block)
    seen = min(seen, len(states))
    read = seen * block
    now, at_the_end = states[seen - 1], softmax(scores)[0]
    here = np.where(np.arange(COLUMNS) < read, np.exp(scores[0] - now.largest[0]) / now.total[0], 0.0)
    places = np.arange(COLUMNS)
    figure = drawing.bars(
        {"the row read so far": (places, here), "the whole row": (places, at_the_end)},
        x={"title": "key", "range": [-1, COLUMNS]},
        y={"title": "weight", "range": [0, 0.6]},
        colours={"the row read so far": BLUE, "the whole row": GREY},
    )
    shrink = float(np.exp(now.logsumexp[0] - states[-1].logsumexp[0]))
    return Picture(
        figure,
        f"After {read} of {COLUMNS} scores m = {now.largest[0]:.2f} and l = {now.total[0]:.2f}. "
        f"What is summed up so far is {shrink:.1%} of the row, and only its scale will change.",
    )


def moved(head_dim: int = 64, kilobytes: int = 192, tokens: int = 2048) -> Picture:
    """Megabytes that one head moves forward, in 16 bits, by the length of the text.

    Parameters
    ----------
    head_dim : int
    kilobytes : int
        Fast memory of one multiprocessor [kB].
    tokens : int
        Where the sentence is spoken of.
    """
    tile = tile_for(kilobytes * IN_KILOBYTE, head_dim)

    def megabytes(elements: int) -> float:
        return elements * WIDTH / 1e6

    series = {
        "standard": [standard(int(n), head_dim) for n in TOKENS],
        "keys in the outer loop": [keys_outside(int(n), head_dim, tile) for n in TOKENS],
        "queries in the outer loop": [queries_outside(int(n), head_dim, turned(tile)) for n in TOKENS],
        "4 N d, as often told": [traffic_as_often_told(int(n), head_dim) for n in TOKENS],
    }
    figure = drawing.lines(
        {name: (TOKENS, [megabytes(each) for each in values]) for name, values in series.items()},
        x={"title": "tokens N", "type": "log", "dtick": 1, "range": [2.95, 5.2]},
        y={"title": "moved [MB]", "type": "log", "range": [-1, 5.4], "exponentformat": "power", "dtick": 1},
        colours={
            "standard": GREY,
            "keys in the outer loop": ORANGE,
            "queries in the outer loop": BLUE,
            "4 N d, as often told": RED,
        },
        dashed=["4 N d, as often told"],
    )
    whole, tiled = standard(tokens, head_dim), queries_outside(tokens, head_dim, turned(tile))
    drawing.mark(figure, "here", [tokens, tokens], [megabytes(whole), megabytes(tiled)], colour=GREEN)
    return Picture(
        figure,
        f"At {tokens:,} tokens the standard way moves {megabytes(whole):.1f} MB, tiles of {tile.keys} queries "
        f"{megabytes(tiled):.1f} MB: {whole / tiled:.1f} times less. N / d would be {tokens / head_dim:.0f} times.",
    )
