"""Pictures of floats: their error by magnitude, outliers, and a block in four bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.theory.quantisation.blocks import mxfp4
from workbench.ui.learn.pictures import float8


def shape(picture):
    return [trace.type for trace in picture.figure.data]


@pytest.mark.parametrize(("name", "largest"), list(itertools.product(float8.FORMATS, [1.0, 448.0])))
def test_the_error_is_relative_down_to_the_smallest_normal_number(name, largest):
    format = float8.FORMATS[name]
    picture = float8.error(format, largest)
    assert shape(picture) == shape(float8.error())
    trace = picture.figure.data[2]
    normal = (trace.x > 2 * format.smallest_normal) & (trace.x < format.largest / 2)
    assert trace.y[normal].max() <= format.relative_error
    assert trace.y[normal].max() == pytest.approx(format.relative_error, rel=0.05)
    assert f"{format.relative_error:.1%}" in picture.said
    below = trace.x < format.smallest / 2
    assert np.all(trace.y[below] == 1.0)


@pytest.mark.parametrize(("size", "per_thousand"), list(itertools.product([1.0, 100.0], [1, 10])))
def test_outliers_turn_the_order(size, per_thousand):
    picture = float8.outliers(size, per_thousand)
    assert shape(picture) == shape(float8.outliers())
    floats, integers = picture.figure.data[2].y
    assert (floats > integers) == (size > 10)
    assert f"{floats:.1f} dB in E4M3 and {integers:.1f} dB in INT8" in picture.said


@pytest.mark.parametrize(("largest", "kept"), [(4.0, 4), (6.0, 6), (7.9, 6), (8.0, 8), (12.0, 12)])
def test_a_power_of_two_clips(largest, kept):
    picture = float8.block(largest)
    assert shape(picture) == shape(float8.block())
    value, mx, _ = (np.asarray(trace.y) for trace in picture.figure.data)
    np.testing.assert_array_equal(mx, mxfp4(value).values())
    assert np.abs(mx).max() == kept
    assert f"as {kept};" in picture.said
