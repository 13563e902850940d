"""Two timetables of the same requests: batches that wait, and one that does not."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.serving.batching import Schedule, continuous, static
from workbench.ui.chart import BLUE
from workbench.ui.learn import Picture, drawing

REQUESTS, MEAN, COLUMNS = 64, 100, 400
EQUAL, UNIFORM, EXPONENTIAL = "all equal", "evenly from 1 to twice the mean", "many short, a few long"
SPREADS = [EXPONENTIAL, UNIFORM, EQUAL]
#: Shades of neighbours in a place, so that one is seen to end and another to begin.
SHADES = (BLUE, "#7f9af0", "#b3c3f7")
#: An empty place, paler than what fills one.
IDLE = "#eec98f"
#: What a place is where no request, which is a shade from 1 on, is in it.
OVER, EMPTY = -1, 0


def timetable(places: int = 8, lengths: str = EXPONENTIAL) -> Picture:
    """Which place computes at which step: above batches that wait for their longest, below a continuous one.

    Parameters
    ----------
    places : int
        Requests at once.
    lengths : str
        One of :data:`SPREADS`.
    """
    schedules = [static(_lengths(lengths), places), continuous(_lengths(lengths), places)]
    longest = schedules[0].steps
    gap = np.full((1, COLUMNS), OVER)
    rows = np.concatenate([_rows(schedules[0], longest), gap, _rows(schedules[1], longest)])
    figure = drawing.matrix(
        rows,
        x={"title": f"time, {longest:,} steps", "showticklabels": False},
        y={"showticklabels": False},
        span=(OVER, len(SHADES)),
    )
    ends = np.linspace(0, 1, len(SHADES) + 2)
    shades = ["rgba(0,0,0,0)", IDLE, *SHADES]
    figure.data[0].colorscale = [[end, shade] for end, shade in zip(ends, shades, strict=True)]
    drawing.mark(figure, "a request", [None], [None], colour=BLUE)
    drawing.mark(figure, "an empty place", [None], [None], colour=IDLE)
    figure.update_layout(margin={"l": 14}, xaxis={"showgrid": False}, yaxis={"showgrid": False})
    waiting, flowing = schedules
    return Picture(
        figure,
        f"Above, batches that wait: {waiting.steps:,} steps, {waiting.busy_share:.0%} of the places busy. Below, "
        f"continuous: {flowing.steps:,} steps, {flowing.busy_share:.0%} busy; "
        f"{waiting.steps / flowing.steps:.2f} times faster.",
    )


def _rows(schedule: Schedule, longest: int) -> np.ndarray:
    """A row a place: EMPTY, OVER once all are done, else the shade of the request."""
    steps = np.linspace(0, longest, COLUMNS, endpoint=False)
    found = np.full((schedule.places, COLUMNS), EMPTY)
    turn = np.zeros(schedule.places, int)
    for place, begin, end in zip(schedule.place, schedule.begin, schedule.end, strict=True):
        found[place, (steps >= begin) & (steps < end)] = 1 + turn[place] % len(SHADES)
        turn[place] += 1
    found[:, steps >= schedule.steps] = OVER
    return found


@cache
def _lengths(spread: str) -> tuple[int, ...]:
    rng = np.random.default_rng(1)
    drawn = {
        EQUAL: np.full(REQUESTS, MEAN),
        UNIFORM: rng.integers(1, 2 * MEAN, REQUESTS),
        EXPONENTIAL: np.ceil(rng.exponential(MEAN, REQUESTS)).astype(int),
    }
    return tuple(int(length) for length in drawn[spread])
