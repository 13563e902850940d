"""Uniform quantisation: what integers on a grid must keep, whoever shares the grid, and what the guides say of it."""

from __future__ import annotations

import doctest

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from workbench.errors import InvalidInput
from workbench.theory.quantisation import sharing, uniform
from workbench.theory.quantisation.uniform import asymmetric_scale, code_range, encode, quantise, symmetric_scale

SIZES = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3))
MATRICES = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(12)), elements=SIZES)
SHARED = st.sampled_from([{}, {"axis": 0}, {"axis": -1}, {"group": 4}, {"group": 12}])


@pytest.mark.parametrize("module", [uniform, sharing])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


@given(MATRICES, st.integers(2, 8), st.booleans(), SHARED)
def test_nothing_is_off_by_more_than_half_a_step(x, bits, symmetric, shared):
    """Or a whole one, asymmetric: its zero point is rounded too, and then an end lies up to half a step outside."""
    found = quantise(x, bits, symmetric=symmetric, **shared)
    scale = np.repeat(found.scale, found.group, -1) if found.group else found.scale
    steps = np.abs(found.values() - x) / scale
    assert steps.max() <= (0.5 if symmetric else 1.0) + 1e-9
    lowest, highest = code_range(bits, symmetric)
    assert lowest <= found.codes.min()
    assert found.codes.max() <= highest


@given(MATRICES, st.integers(2, 8), st.booleans(), SHARED)
def test_zero_stays_zero(x, bits, symmetric, shared):
    x[:, ::3] = 0
    assert not quantise(x, bits, symmetric=symmetric, **shared).values()[:, ::3].any()


@given(MATRICES, st.integers(2, 8), st.booleans(), SHARED)
def test_what_is_on_the_grid_stays_where_it_is(x, bits, symmetric, shared):
    once = quantise(x, bits, symmetric=symmetric, **shared)
    scale = np.repeat(once.scale, once.group, -1) if once.group else once.scale
    zero = np.repeat(once.zero_point, once.group, -1) if once.group else once.zero_point
    np.testing.assert_array_equal(encode(once.values(), scale, zero, bits, symmetric), once.codes)


@given(MATRICES, st.integers(2, 8))
def test_a_sign_turned_turns_a_symmetric_code(x, bits):
    np.testing.assert_array_equal(quantise(-x, bits).codes, -quantise(x, bits).codes)


def test_a_group_sees_only_itself():
    """Each group is what it would be alone, and so is each channel."""
    x = np.random.default_rng(0).standard_normal((3, 64))
    for symmetric in (True, False):
        grouped = quantise(x, 4, symmetric=symmetric, group=16)
        assert grouped.scale.shape == (3, 4)
        for row in range(3):
            for group in range(4):
                part = slice(16 * group, 16 * group + 16)
                alone = quantise(x[row, part], 4, symmetric=symmetric)
                np.testing.assert_array_equal(grouped.values()[row, part], alone.values())
        channels = quantise(x, 4, symmetric=symmetric, axis=0)
        assert channels.scale.shape == (3, 1)
        np.testing.assert_array_equal(channels.values()[1], quantise(x[1], 4, symmetric=symmetric).values())


def test_one_outlier_costs_its_group_only():
    x = np.random.default_rng(1).standard_normal((1, 1024))
    x[0, 5] = 50.0
    errors = {group: np.square(quantise(x, 4, group=group).values() - x)[0, 128:].mean() for group in (64, 1024)}
    assert errors[64] < 0.02
    assert errors[1024] > 0.9  # all others have become 0


def test_all_zero_needs_no_special_care():
    for symmetric in (True, False):
        found = quantise(np.zeros((2, 4)), 4, symmetric=symmetric, group=2)
        assert not found.values().any()
        assert (found.scale == 1).all()


def test_numbers_as_large_as_can_be_do_not_overflow():
    most = np.finfo(np.float64).max / 2
    x = np.array([-most, most])
    np.testing.assert_allclose(quantise(x, 8).values(), x)
    assert np.isfinite(quantise(x, 8, symmetric=False).scale).all()


def test_limits_clip_and_broadcast():
    x = np.array([[-4.0, 1.0, 2.0, 8.0]])
    assert quantise(x, 4, limits=(-3.5, 3.5)).values().tolist() == [[-4.0, 1.0, 2.0, 3.5]]
    assert quantise(x, 4, symmetric=False, limits=(0.0, 3.75)).values().tolist() == [[0.0, 1.0, 2.0, 3.75]]
    each = quantise(x, 4, group=2, limits=([[-4.0, 0.0]], [[4.0, 8.0]]))
    np.testing.assert_allclose(each.scale, [[4 / 7, 8 / 7]])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bits": 1}, "whole number from 2 to 16"),
        ({"bits": 4.0}, "whole number"),
        ({"bits": True}, "whole number"),
        ({"bits": 17, "symmetric": False}, "from 1 to 16"),
        ({"axis": 0, "group": 2}, "not both"),
        ({"axis": 2}, "the array has 2 axes"),
        ({"group": 3}, "divides the last axis"),
        ({"group": 0}, "divides the last axis"),
        ({"limits": (2.0, 1.0)}, "the low one first"),
        ({"limits": (0.0, np.inf)}, "finite"),
        ({"x": []}, "empty"),
        ({"x": [1.0, np.nan]}, "NaN or infinity"),
    ],
)
def test_what_cannot_be_quantised_is_refused(wrong, said):
    given = {"x": np.ones((2, 4)), "bits": 4} | wrong
    with pytest.raises(InvalidInput, match=said):
        quantise(given.pop("x"), given.pop("bits"), **given)


# ------------------------------------------------------------------------------------------------- the guides' claims


def test_c004_001_the_symmetric_scale_is_right():
    x = np.random.default_rng(2).standard_normal(1000)
    assert symmetric_scale(np.abs(x).max(), 8) == np.abs(x).max() / 127
    assert quantise(x, 8).scale == np.abs(x).max() / 127


def test_c004_002_a_zero_point_is_a_code_and_not_the_least_value():
    """round((x - x_min) / s) is a valid map, but its 0 falls between two codes; round(-x_min / s) gives it one."""
    x = np.array([-1.0, 0.0, 0.4, 2.1])
    step = (x.max() - x.min()) / 15
    told = np.rint((x - x.min()) / step) * step + x.min()
    assert told[1] != 0.0
    assert abs(told[1]) < step / 2
    scale, zero_point = asymmetric_scale(x.min(), x.max(), 4)
    assert zero_point == round(1.0 / step)
    assert quantise(x, 4, symmetric=False).values()[1] == 0.0
    assert zero_point.dtype.kind == "i"
    assert scale == pytest.approx(step)
