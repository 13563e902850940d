"""FP8: every code and tie, both ways to overflow, and what the guides say of it. torch: test_against_libraries.py."""

from __future__ import annotations

import doctest

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from workbench.errors import InvalidInput
from workbench.theory.quantisation import float8
from workbench.theory.quantisation.blocks import E2M1
from workbench.theory.quantisation.error import sqnr
from workbench.theory.quantisation.float8 import E4M3FN, E5M2, e4m3_as_often_told, quantise_float
from workbench.theory.quantisation.uniform import quantise

FORMATS = [E4M3FN, E5M2, E2M1]
NAMES = [each.name for each in FORMATS]


def test_examples_hold():
    assert doctest.testmod(float8).failed == 0


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_codes_and_numbers_go_both_ways(format):
    codes = np.arange(2**format.bits)
    numbers = format.decode(codes)
    some = np.isfinite(numbers)
    np.testing.assert_array_equal(format.encode(numbers[some]), codes[some])
    positive = format.decode(np.arange(format.highest_code + 1))
    assert np.all(np.diff(positive) > 0)  # integers and floats have one order
    np.testing.assert_array_equal(numbers[2 ** (format.bits - 1) :][some[: codes.size // 2]], -positive)


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
@given(st.floats(-1e6, 1e6))
def test_a_number_becomes_the_nearest(format, x):
    values = format.values()
    found = float(format.round(x))
    distance = np.abs(values - x)
    assert abs(found - x) == distance.min()
    if np.sum(distance == distance.min()) == 2:  # a tie: the even code
        assert int(format.encode(x)) % 2 == 0


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_a_tie_goes_to_the_even_code(format):
    values = format.values()
    halfway = (values[1:] + values[:-1]) / 2
    assert not np.any(format.encode(halfway) % 2)


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_a_step_is_the_distance_to_the_next(format):
    values = format.values()
    positive = values[values >= 0]
    np.testing.assert_array_equal(format.step(positive[:-1]), np.diff(positive))


def test_what_is_too_large():
    large = [500.0, np.inf, -np.inf]
    assert E4M3FN.round(large).tolist() == [448.0, 448.0, -448.0]
    assert np.isnan(E4M3FN.round(large, saturate=False)).all()
    assert E5M2.round([61440.0, np.inf, -1e9]).tolist() == [57344.0, 57344.0, -57344.0]
    assert E5M2.round([61440.0, np.inf, -1e9], saturate=False).tolist() == [np.inf, np.inf, -np.inf]
    assert E5M2.round(61439.0, saturate=False) == 57344.0
    for format in (E4M3FN, E5M2):
        for saturate in (True, False):
            assert np.isnan(format.round(np.nan, saturate))


def test_without_saturation_it_is_what_ml_dtypes_makes():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="comes with the export extra only")
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    numbers = halves[~np.isnan(halves)].astype(np.float32)
    for format, kind in ((E4M3FN, ml_dtypes.float8_e4m3fn), (E5M2, ml_dtypes.float8_e5m2)):
        with np.errstate(invalid="ignore"):
            theirs = numbers.astype(kind).view(np.uint8)
        np.testing.assert_array_equal(format.encode(numbers, saturate=False), theirs)
    small = numbers[np.abs(numbers) <= 6].astype(ml_dtypes.float4_e2m1fn)
    np.testing.assert_array_equal(E2M1.encode(numbers[np.abs(numbers) <= 6]), small.view(np.uint8) & 15)


def test_a_format_without_specials_refuses_what_has_no_code():
    assert E2M1.values().tolist() == [-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert E2M1.round(100.0) == 6.0
    for x, saturate in ((np.nan, True), (100.0, False)):
        with pytest.raises(InvalidInput, match="neither NaN nor infinity"):
            E2M1.encode(x, saturate)


@pytest.mark.parametrize("codes", [[256], [-1], [0.5]])
def test_codes_that_are_none_are_refused(codes):
    with pytest.raises(InvalidInput, match="whole numbers from 0 to 255"):
        E4M3FN.decode(codes)


def test_a_scale_a_channel_keeps_small_channels():
    x = np.random.default_rng(0).standard_normal((2, 256)) * [[1.0], [1e-5]]
    whole, each = quantise_float(x), quantise_float(x, axis=0)
    assert each.scale.shape == (2, 1)
    assert sqnr(x[1], each.values()[1]) > 25 > sqnr(x[1], whole.values()[1])
    np.testing.assert_allclose(np.abs(each.values()).max(1), np.abs(x).max(1))
    assert not quantise_float(np.zeros(3)).values().any()
    with pytest.raises(InvalidInput, match="NaN"):
        quantise_float([np.nan])


# ------------------------------------------------------------------------------------------------- the guides' claims


def test_c003_053_054_057_the_largest_numbers_and_the_biases():
    assert (E4M3FN.largest, E5M2.largest) == (448.0, 57344.0)
    assert (E4M3FN.bias, E5M2.bias) == (7, 15)


def test_c003_055_056_what_the_guides_call_smallest_normal_is_the_smallest_of_all():
    assert (E4M3FN.smallest_normal, E4M3FN.smallest) == (2.0**-6, 2.0**-9)
    assert (E5M2.smallest_normal, E5M2.smallest) == (2.0**-14, 2.0**-16)


def test_c003_058_a_simulator_that_keeps_three_bits_of_small_numbers_flatters():
    """Below 2^-6 the step is 2^-9 and no longer shrinks; the simulator has numbers there that do not exist."""
    small = np.linspace(2.0**-9, 2.0**-6, 1001)
    told, right = e4m3_as_often_told(small), E4M3FN.round(small)
    assert np.mean((told - small) ** 2) < np.mean((right - small) ** 2) / 4
    assert set(right) <= set(E4M3FN.values())
    assert not set(told) <= set(E4M3FN.values())
    tiny = 0.9 * 2.0**-9
    assert e4m3_as_often_told(tiny) == 0.0
    assert E4M3FN.round(tiny) == 2.0**-9
    large = np.random.default_rng(1).uniform(2.0**-6, 448, 10_000)
    np.testing.assert_array_equal(e4m3_as_often_told(large), E4M3FN.round(large))


def test_c003_059_for_normal_weights_eight_bits_of_integers_lose_less():
    """The guides: FP8 loses less than INT8. On their kind of data, scaled by the maximum, it is the other way about."""
    x = np.random.default_rng(2).standard_normal(2**20)
    floats, integers = quantise_float(x).values(), quantise(x, 8).values()
    relative = [np.mean(np.abs(each - x)) / np.mean(np.abs(x)) for each in (floats, integers)]
    assert relative == pytest.approx([0.0225, 0.0132], rel=0.08)
    assert [sqnr(x, each) for each in (floats, integers)] == pytest.approx([31.5, 38.3], abs=0.5)


def test_with_outliers_it_is_the_other_way_about():
    """One value in a thousand is thirty times larger, as in activations: a float's error is relative to each value."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(100_000)
    x[::1000] *= 60
    ordinary = np.abs(x) < 4
    floats, integers = quantise_float(x).values(), quantise(x, 8).values()
    assert sqnr(x[ordinary], floats[ordinary]) > sqnr(x[ordinary], integers[ordinary]) + 10
