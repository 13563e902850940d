"""The picture of a cache, place by place: what is said is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.theory.serving.reservation import FILLED, FREE
from workbench.ui.learn.pictures import paging


@pytest.mark.parametrize("way", paging.WAYS)
@pytest.mark.parametrize(("block", "step"), [(1, 0), (16, 100), (128, 300), (16, 10_000)])
def test_places_of_a_cache(way, block, step):
    picture = paging.places(way, block, step)
    assert [trace.name for trace in picture.figure.data] == [trace.name for trace in paging.places().figure.data]
    places = np.asarray(picture.figure.data[0].z)
    assert places.shape == (paging.ROWS, paging.ACROSS)
    assert f"{(places == FILLED).mean():.0%} of the cache holds tokens" in picture.said
    assert f"{(places == FREE).mean():.0%} is free" in picture.said


def test_pages_hold_more_than_any_reservation():
    filled = {way: float(paging.places(way).said.split("it is ")[1].split("%")[0]) for way in paging.WAYS}
    assert max(filled, key=filled.__getitem__) == paging.PAGED
    assert min(filled, key=filled.__getitem__) == paging.LONGEST_RESERVED
