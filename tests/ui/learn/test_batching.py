"""The picture of two timetables: what is said is what the theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.theory.serving.batching import continuous, static
from workbench.ui.learn.pictures import batching


@pytest.mark.parametrize("places", [2, 16])
@pytest.mark.parametrize("lengths", batching.SPREADS)
def test_timetables(places, lengths):
    picture = batching.timetable(places, lengths)
    assert [trace.name for trace in picture.figure.data] == [trace.name for trace in batching.timetable().figure.data]
    drawn = np.asarray(picture.figure.data[0].z)
    assert drawn.shape == (2 * places + 1, batching.COLUMNS)
    for rows, schedule in (
        (drawn[:places], static(batching._lengths(lengths), places)),
        (drawn[places + 1 :], continuous(batching._lengths(lengths), places)),
    ):
        assert f"{schedule.steps:,} steps, {schedule.busy_share:.0%}" in picture.said
        assert (rows > batching.EMPTY).sum() / (rows != batching.OVER).sum() == pytest.approx(
            schedule.busy_share, abs=0.01
        )
