"""A cache of keys and values, place by place, while requests are served."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from workbench.theory.serving.reservation import FILLED, HELD, Exact, Longest, Paged, Played, PowerOfTwo, Request, play
from workbench.ui.chart import BLUE, ORANGE
from workbench.ui.learn import Picture, drawing

ROWS, ACROSS = 32, 128
PLACES = ROWS * ACROSS
#: The longest a request may become.
LONGEST = 512
PAGED, LONGEST_RESERVED = "in pages", "the longest is reserved"
#: The menu's name -> the room it makes.
WAYS: dict[str, Callable[[int], Longest | PowerOfTwo | Exact | Paged]] = {
    LONGEST_RESERVED: lambda block: Longest(PLACES, LONGEST),
    "answer reserved, up to a power of two": lambda block: PowerOfTwo(PLACES),
    "answer reserved, known to the token": lambda block: Exact(PLACES),
    PAGED: lambda block: Paged(PLACES, block),
}


def places(way: str = LONGEST_RESERVED, block: int = 16, step: int = 100) -> Picture:
    """The cache at one step: what holds a token, what is held for one that may come, what is free.

    Parameters
    ----------
    way : str
        A name of :data:`WAYS`.
    block : int
        Tokens a page.
    step : int
        Steps since the first request.
    """
    played = _played(way, block if way == PAGED else 0, step)
    figure = drawing.matrix(
        played.snapshot.reshape(ROWS, ACROSS),
        x={"title": "places of the cache, row after row", "showticklabels": False},
        y={"showticklabels": False},
        span=(0, FILLED),
    )
    figure.data[0].colorscale = [[0, "rgba(139,148,168,0.12)"], [HELD / FILLED, ORANGE], [1, BLUE]]
    drawing.mark(figure, "a token", [None], [None], colour=BLUE)
    drawing.mark(figure, "held, and empty", [None], [None], colour=ORANGE)
    figure.update_layout(margin={"l": 14}, xaxis={"showgrid": False}, yaxis={"showgrid": False})
    at = min(step, len(played.running) - 1)
    return Picture(
        figure,
        f"{played.running[at]} requests run at once. {played.filled[at]:.0%} of the cache holds tokens, "
        f"{played.held[at] - played.filled[at]:.0%} is held and empty, {1 - played.held[at]:.0%} is free. "
        f"While others wait it is {played.share_filled:.0%} on average.",
    )


@cache
def _played(way: str, block: int, step: int) -> Played:
    return play(WAYS[way](block), _requests(), snapshot=step)


@cache
def _requests() -> tuple[Request, ...]:
    rng = np.random.default_rng(0)
    prompts, answers = (np.clip(rng.geometric(1 / mean, 120), 4, LONGEST // 2) for mean in (40, 85))
    return tuple(Request(int(prompt), int(answer)) for prompt, answer in zip(prompts, answers, strict=True))
