"""Pictures of a row of weights and of calibrators: what is said is what the theory gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.theory.quantisation.uniform import quantise
from workbench.ui.learn import Explorer
from workbench.ui.learn.pictures import quantisers


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize(
    ("bits", "sharing", "outlier", "symmetric"),
    list(itertools.product([2, 8], [16, 128], [0.0, 40.0], [True, False])),
)
def test_a_row_says_its_steps(bits, sharing, outlier, symmetric):
    picture = quantisers.row(bits, sharing, outlier, symmetric)
    assert shape(picture) == shape(quantisers.row())
    weights, stored = (np.asarray(trace.y) for trace in picture.figure.data)
    found = quantise(weights, bits, symmetric=symmetric, group=sharing)
    np.testing.assert_array_equal(stored, found.values())
    assert f"steps of {found.scale[quantisers.AT // sharing]:.2f} σ" in picture.said
    assert f"{found.bits_per_value():.2f} bits" in picture.said


def test_an_outlier_flattens_those_that_share_with_it():
    flat = [np.count_nonzero(quantisers.row(4, sharing, 40.0).figure.data[1].y) for sharing in (128, 16)]
    assert flat[0] <= 1
    assert flat[1] > 90


@pytest.mark.parametrize(("bits", "outlier", "per_thousand"), list(itertools.product([2, 8], [1.0, 40.0], [0, 10])))
def test_the_search_stands_lowest(bits, outlier, per_thousand):
    picture = quantisers.calibrators(bits, outlier, per_thousand)
    assert shape(picture) == shape(quantisers.calibrators())
    lost = {trace.name: trace.y[0] for trace in picture.figure.data[1:]}
    assert min(lost, key=lambda name: lost[name] * (1 - 1e-9 * name.startswith("search"))).startswith("search")
    assert f"{lost['search for the least error']:.2g} σ²" in picture.said


def test_its_controls_move_it():
    explorer = Explorer(
        quantisers.row, bits=(2, 8), sharing=quantisers.SHARING, outlier=(0.0, 40.0, 1.0), symmetric=True
    )
    before = explorer.said
    explorer.controls["sharing"].value = 128
    assert explorer.said != before
