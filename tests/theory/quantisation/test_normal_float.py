"""NF4: bitsandbytes's table from its quantiles, and how far it is from what the guides say of it."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import scipy.stats

from workbench.errors import InvalidInput
from workbench.theory.quantisation import normal_float as module
from workbench.theory.quantisation.codebook import expected_error
from workbench.theory.quantisation.density import Normal, Sampled
from workbench.theory.quantisation.error import mean_square_error
from workbench.theory.quantisation.lloyd_max import best_spread, lloyd_max
from workbench.theory.quantisation.normal_float import (
    normal_float,
    normal_float_as_often_told,
    normal_quantiles,
    quantise_blocks,
)
from workbench.theory.quantisation.uniform import code_range, quantise

#: github:bitsandbytes-foundation/bitsandbytes, what ``create_normal_map`` makes, as QLoRA's appendix E prints it.
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((20_000, 64))


def test_examples_hold():
    assert doctest.testmod(module).failed == 0


def test_the_table_is_the_published_one():
    np.testing.assert_allclose(normal_float(), NF4, atol=2e-7)


def test_quantiles_are_scipys():
    shares = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(normal_quantiles(shares), scipy.stats.norm.ppf(shares), rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_any_width_has_a_zero_and_ends_at_one(bits):
    levels = normal_float(bits)
    assert levels.size == 2**bits
    assert np.all(np.diff(levels) > 0)
    assert (levels[0], levels[-1]) == (-1.0, 1.0)
    assert 0.0 in levels


def test_blocks_keep_their_largest_and_their_zeros(blocks):
    some = blocks[:50].copy()
    some[:, 7] = 0.0
    some[3] = 0.0
    found = quantise_blocks(some, normal_float()).values()
    most = np.abs(some).argmax(1)
    np.testing.assert_allclose(found[np.arange(50), most], some[np.arange(50), most])
    assert not found[:, 7].any()
    assert not found[3].any()


def test_a_table_of_integers_is_symmetric_rounding(blocks):
    """The general code with evenly spaced levels is what `uniform` does."""
    some = blocks[:100]
    codes = quantise_blocks(some, np.arange(-7, 8) / 7).values()
    np.testing.assert_allclose(codes, quantise(some, 4, group=64).values(), atol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_float(1),
        lambda: normal_float(4, offset=1.0),
        lambda: quantise_blocks(np.ones(10), normal_float(), block=3),
        lambda: quantise_blocks(np.ones(4), np.arange(300.0), block=4),
        lambda: quantise_blocks([np.inf], normal_float(), block=1),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


# ------------------------------------------------------------------------------------------------- the guides' claims


def test_c004_016_the_guides_formula_is_another_table():
    """The guides: Φ⁻¹((i + 1/2) / 16). No zero, symmetric, and divided by its end still not NF4."""
    told = normal_float_as_often_told()
    scaled = told / told.max()
    assert 0.0 not in told
    np.testing.assert_allclose(told, -told[::-1])
    np.testing.assert_allclose(scaled[8:11], [0.042, 0.127, 0.216], atol=5e-4)
    assert scaled[14] == pytest.approx(0.708, abs=5e-4)
    assert np.abs(scaled - normal_float()).max() > 0.03


def test_c004_017_int4_has_sixteen_even_levels():
    assert code_range(4) == (-8, 7)
    assert np.unique(np.diff(quantise(np.arange(-8.0, 8.0), 4, limits=(-7, 7)).values())).tolist() == [1.0]


def test_c004_018_equally_likely_levels_do_not_lose_least():
    """The guides: NF4 approximates the Lloyd-Max optimum. Their formula loses more than even levels do."""
    told = expected_error(normal_float_as_often_told(), Normal())
    best, even = lloyd_max(Normal(), 16).error, best_spread(Normal(), 16).error
    assert [round(each, 4) for each in (told, best, even)] == [0.0232, 0.0095, 0.0115]


def test_c004_019_nf4_gains_a_quarter_and_not_a_half(blocks):
    """The guides: c is 0.5 for NF4 and 1 for even levels, error = c σ² / 4^b. It is 2.2, and 3.0 or 2.6."""
    tables = {"NF4": normal_float(), "INT4": np.arange(-7, 8) / 7, "16 even levels": np.linspace(-1, 1, 16)}
    lost = {name: mean_square_error(blocks, quantise_blocks(blocks, each).values()) for name, each in tables.items()}
    assert lost["NF4"] == pytest.approx(0.00846, rel=0.003)
    assert lost["INT4"] == pytest.approx(0.01161, rel=0.003)
    assert lost["16 even levels"] == pytest.approx(0.01012, rel=0.003)
    assert [round(each * 4**4, 1) for each in lost.values()] == [2.2, 3.0, 2.6]
    assert round(1 - lost["NF4"] / lost["INT4"], 2) == 0.27
    assert round(1 - lost["NF4"] / lost["16 even levels"], 2) == 0.16


def test_the_best_table_for_blocks_is_neither(blocks):
    """Levels that lose least once each block's maximum is 1: a tenth less than NF4, and another table."""
    found = quantise_blocks(blocks, normal_float())
    shrunk = blocks / found.absmax
    best = lloyd_max(Sampled(shrunk, np.broadcast_to(found.absmax**2, blocks.shape)), 16)
    lost = mean_square_error(blocks, quantise_blocks(blocks, best.levels).values())
    assert lost == pytest.approx(0.00764, rel=0.01)
    assert lost < mean_square_error(blocks, found.values()) * 0.92
