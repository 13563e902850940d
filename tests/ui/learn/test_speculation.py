"""Pictures of guessing ahead: what is said is what the theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.theory.serving.drafting import best_drafted, speedup
from workbench.ui.learn.pictures import speculation


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize("acceptance", [0.0, 0.7, 0.95])
@pytest.mark.parametrize("cost", [0.0, 0.1, 0.5])
def test_speed_up_by_drafts(acceptance, cost):
    picture = speculation.by_drafted(acceptance, cost)
    assert shape(picture) == shape(speculation.by_drafted())
    assert f"With five it is {float(speedup(acceptance, 5, cost)):.2f} times" in picture.said
    best = best_drafted(acceptance, cost, most=16)
    assert picture.figure.data[2].x[0] == best
    assert ("never pays" in picture.said) == (best == 0)


@pytest.mark.parametrize("kind", speculation.KINDS)
@pytest.mark.parametrize(("drafted", "temperature", "top_p"), [(1, 0.0, 0.5), (2, 1.0, 0.9), (5, 2.0, 1.0)])
def test_sequences(kind, drafted, temperature, top_p):
    picture = speculation.sequences(kind, drafted, temperature, top_p)
    assert shape(picture) == shape(speculation.sequences())
    alone, together = (np.asarray(trace.y) for trace in picture.figure.data)
    assert alone.sum() <= 1 + 1e-9
    assert together.sum() <= 1 + 1e-9
    assert max(*alone, *together) <= picture.figure.layout.yaxis.range[1]


def test_only_the_right_way_is_as_near_as_counting_is():
    near = {}
    for kind in speculation.KINDS:
        words = speculation.sequences(kind).said
        near[kind] = float(words.split("lie ")[1].split()[0]) < 2 * float(
            words.split("leaves ")[1].split(";")[0].split(". ")[0]
        )
    assert near == {kind: kind == speculation.RIGHT for kind in speculation.KINDS}
