"""MXFP4 and NVFP4: by brute force, and what their definitions promise. torchao: test_against_libraries.py."""

from __future__ import annotations

import doctest

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from workbench.errors import InvalidInput
from workbench.theory.quantisation import blocks
from workbench.theory.quantisation.blocks import E2M1, mxfp4, nvfp4
from workbench.theory.quantisation.clipping import coverage
from workbench.theory.quantisation.error import mean_square_error
from workbench.theory.quantisation.float8 import E4M3FN
from workbench.theory.quantisation.uniform import quantise

VALUES = arrays.arrays(np.float64, (2, 32), elements=st.floats(-1e4, 1e4).map(lambda x: round(x, 3)))


def test_examples_hold():
    assert doctest.testmod(blocks).failed == 0


@given(VALUES)
def test_an_mx_block_is_its_definition(x):
    """Read slowly: the power of two by comparing, then the nearest of fifteen numbers by trying them."""
    found = mxfp4(x)
    for row, scale, values in zip(x, found.scales[:, 0], found.values(), strict=True):
        most = np.abs(row).max()
        if most == 0:
            assert not values.any()
            continue
        power = next(each for each in range(20, -20, -1) if 2.0**each <= most)
        assert int(scale) - 127 == power - 2
        by_hand = E2M1.values() * 2.0 ** (power - 2)
        assert np.allclose(np.abs(values - row), np.abs(by_hand[:, None] - row).min(0))


@given(VALUES)
def test_an_nv_block_holds_its_largest_to_a_sixteenth(x):
    """E4M3 has three bits of mantissa, so a scale is off by 1/16 at most (subnormal ones more), and 6 times it too."""
    found = nvfp4(x)
    most = np.abs(x.reshape(2, 2, 16)).max(-1)
    kept = np.abs(found.values().reshape(2, 2, 16)).max(-1)
    scale = E4M3FN.decode(found.scales)
    normal = scale >= E4M3FN.smallest_normal
    assert np.all(np.abs(kept - most)[normal] <= most[normal] / 16 + 1e-9)


def test_both_take_four_and_a_bit_of_bits():
    x = np.ones((4, 64))
    assert mxfp4(x).bits_per_value == 4.25
    assert nvfp4(x).bits_per_value == 4.5


def test_the_finer_scale_loses_less_and_the_coarse_one_clips():
    x = np.random.default_rng(0).standard_normal((2000, 64))
    lost = {name: mean_square_error(x, each(x).values()) for name, each in (("MX", mxfp4), ("NV", nvfp4))}
    assert lost["NV"] < 0.75 * lost["MX"]
    found = mxfp4(x)
    landed = np.abs(x.reshape(-1, 32)).max(1) / 2.0 ** (found.scales.ravel() - 127.0)
    assert np.all((landed >= 4) & (landed < 8))
    kept = np.abs(E2M1.decode(found.codes)).reshape(-1, 32).max(1)
    assert np.all(kept[landed > 5] == 6)
    # The largest of 32 lies from 1.5 to 2 standard deviations, or from 3 to 4: three blocks in ten are clipped.
    below = {k: coverage(k) ** 32 for k in (1.5, 2, 3, 4)}
    assert np.mean(landed > 6) == pytest.approx(below[2] - below[1.5] + below[4] - below[3], abs=0.02)


def test_integers_of_the_same_size_are_as_good_on_normal_weights():
    """Even levels in groups of 32 with an FP16 scale: 4.5 bits as NVFP4, and not far from it."""
    x = np.random.default_rng(1).standard_normal((2000, 64))
    integers = mean_square_error(x, quantise(x, 4, group=32).values())
    assert integers == pytest.approx(mean_square_error(x, nvfp4(x).values()), rel=0.15)


def test_blocks_of_nothing_and_far_too_small():
    x = np.zeros((1, 64))
    assert not mxfp4(x).values().any()
    assert not nvfp4(x).values().any()
    x[0, 0], x[0, 40] = 1e4, 1e-4
    assert nvfp4(x).values()[0, 40] == 0.0
    assert mxfp4(x).values()[0, 40] > 0.0


def test_a_calibrated_tensor_scale_clips():
    x = np.linspace(-1, 1, 16)
    assert np.abs(nvfp4(x, tensor_scale=0.5 / (6 * 448)).values()).max() == pytest.approx(0.5)
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(InvalidInput, match="above 0"):
            nvfp4(x, tensor_scale=wrong)


@pytest.mark.parametrize("each", [mxfp4, nvfp4])
def test_bad_input_is_refused(each):
    with pytest.raises(InvalidInput, match="divides"):
        each(np.ones(33))
    with pytest.raises(InvalidInput, match="NaN"):
        each(np.full(32, np.nan))
