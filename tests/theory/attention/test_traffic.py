"""What the closed forms say is moved against what the loops count while they run; and the guides' figures."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.attention import traffic
from workbench.theory.attention.memory import SlowMemory
from workbench.theory.attention.naive import attention
from workbench.theory.attention.tiled import Tile, backward, forward, forward_keys_outside
from workbench.theory.attention.traffic import keys_outside, on_chip, queries_outside, standard, tile_for, turned

KB_192 = 192 * 1024 // 2  # elements of 16 bits in the shared memory of an A100's multiprocessor


def test_the_examples_hold():
    assert doctest.testmod(traffic).failed == 0


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 8), st.builds(Tile, st.integers(1, 70), st.integers(1, 70)))
def test_the_loops_move_what_the_closed_forms_say(tokens, width, tile):
    q, k, v = np.random.default_rng(0).normal(size=(3, tokens, width))
    counted = [SlowMemory(), SlowMemory(), SlowMemory()]
    attention(q, k, v, memory=counted[0])
    forward(q, k, v, tile, memory=counted[1])
    forward_keys_outside(q, k, v, tile, memory=counted[2])
    assert [each.moved for each in counted] == [
        standard(tokens, width),
        queries_outside(tokens, width, tile),
        keys_outside(tokens, width, tile),
    ]


def test_real_sizes_counted_too():
    """N = 2048, d = 64, 192 kB: the loops themselves run, on zeros."""
    zeros, tile = np.zeros((2048, 64)), tile_for(KB_192, 64)
    by_keys, by_queries = SlowMemory(), SlowMemory()
    forward_keys_outside(zeros, zeros, zeros, tile, memory=by_keys)
    forward(zeros, zeros, zeros, turned(tile), memory=by_queries)
    assert by_keys.moved == keys_outside(2048, 64, tile)
    assert by_queries.moved == queries_outside(2048, 64, turned(tile))


@settings(deadline=None)
@given(st.integers(8, 256), st.integers(14, 20))
def test_the_tile_fits_the_fast_memory(width, power):
    """As FlashAttention's block sizes promise, wherever a head's square is small beside the memory."""
    capacity = 2**power
    tile = tile_for(capacity, width)
    if width**2 <= capacity / 9:
        assert on_chip(tile, width) <= capacity
        assert on_chip(turned(tile), width) == on_chip(tile, width)


@pytest.mark.parametrize("width", [32, 64, 128])
@pytest.mark.parametrize(("moved", "factor"), [(keys_outside, 12), (queries_outside, 8)])
def test_traffic_is_of_the_order_of_n2_d2_over_m(width, moved, factor):
    """Theorem 2: twice the text moves four times as much, twice the memory half; the factor is the loop's own."""
    for capacity in (2**16, 2**17, 2**18):
        tile = tile_for(capacity, width)
        tile = turned(tile) if moved is queries_outside else tile
        tokens = 2**17
        order = tokens**2 * width**2 / capacity
        extra = 1 + 4 / (3 * width) if moved is keys_outside else 1  # the two numbers a row
        assert moved(tokens, width, tile) == pytest.approx(factor * order * extra, rel=0.05)


def test_what_is_gained_does_not_grow_with_the_text():
    tile = turned(tile_for(KB_192, 64))
    gains = [standard(n, 64) / queries_outside(n, 64, tile) for n in (2**14, 2**16, 2**18)]
    assert gains == pytest.approx([KB_192 / (2 * 64**2)] * 3, rel=0.05)


def test_the_future_is_not_read():
    q, k, v = np.random.default_rng(0).normal(size=(3, 256, 8))
    whole, causal = SlowMemory(), SlowMemory()
    forward(q, k, v, Tile(16, 16), memory=whole)
    forward(q, k, v, Tile(16, 16), causal=True, memory=causal)
    columns_read = sum(range(1, 17)) / 16**2
    fixed = 2 * 256 * 8 + 256
    assert causal.moved - fixed == columns_read * (whole.moved - fixed)


def test_backward_moves_no_matrix_either():
    """Each tile reads Q, dO, two numbers a row, and dQ, which it writes back; K, V, dK, dV once."""
    n, d, tile = 96, 8, Tile(16, 24)
    q, k, v, o = np.random.default_rng(0).normal(size=(4, n, d))
    memory = SlowMemory()
    backward(q, k, v, forward(q, k, v, tile), o, tile, memory=memory)
    passes = math.ceil(n / tile.keys)
    assert memory.moved == 4 * n * d + passes * (4 * n * d + 2 * n) + (2 * n * d + n)


# ------------------------------------------------------------------------------------------ what guides say


def test_c004_023_to_026_the_standard_ways_figures():
    assert standard(1024, 64) / 1e6 == pytest.approx(4.46, abs=0.005)  # elements, 8.9 MB in 16 bits: C004-025
    assert 2 * standard(1024, 64) / 1e6 == pytest.approx(8.9, abs=0.05)  # C004-023: bytes are twice that
    told = 2 * 1024**2 * 64
    assert told / 1e6 == pytest.approx(134, abs=0.5)  # C004-024: half of it, one of two products
    assert traffic.forward_flops(1024, 64) == 2 * told
    share = traffic.compute_share(traffic.forward_flops(1024, 64), 2 * standard(1024, 64), 312e12, 1.5e12)
    assert share == pytest.approx(0.145, abs=0.001)  # C004-026: right, since both factors of two are left out
    assert share == traffic.compute_share(told, standard(1024, 64), 312e12, 1.5e12)


def test_c004_027_tiles_do_not_move_4nd():
    assert traffic.traffic_as_often_told(2048, 64) / 1e6 == pytest.approx(0.52, abs=0.005)
    assert queries_outside(2048, 64, Tile(128, 64)) / 1e6 == pytest.approx(4.5, abs=0.05)
    assert keys_outside(2048, 64, tile_for(KB_192, 64)) / 1e6 == pytest.approx(2.67, abs=0.005)
    # Counted without reading back the unfinished outputs and their sums, that is 2 N d + T_c 2 N d:
    without = (2 + 6 * 2) * 2048 * 64
    assert without / 1e6 == pytest.approx(1.8, abs=0.05)


def test_c004_028_the_gain_is_not_n_over_d():
    assert traffic.gain_as_often_told(2048, 64) == 32
    assert standard(2048, 64) / queries_outside(2048, 64, Tile(128, 64)) == pytest.approx(3.9, abs=0.05)
    assert standard(2048, 64) / keys_outside(2048, 64, tile_for(KB_192, 64)) == pytest.approx(6.5, abs=0.05)
    without = (2 + 6 * 2) * 2048 * 64  # what C004-027 counts
    assert standard(2048, 64) / without == pytest.approx(9.4, abs=0.05)


def test_c004_029_outputs_and_scores_need_room_too():
    """B_r d + 2 B_c d ≤ M lets in a tile that needs far more than there is."""
    width = 64
    tile = Tile(512, 512)
    told = tile.queries * width + 2 * tile.keys * width
    assert told <= KB_192 < on_chip(tile, width)


def test_c004_032_recomputing_costs_a_quarter_of_the_backward_pass():
    n, d = 512, 64
    again = traffic.backward_flops(n, d)
    kept = traffic.backward_flops(n, d, recomputed=False)
    assert again / kept == 1.25
    forward_too = traffic.forward_flops(n, d)
    assert (forward_too + again) / (forward_too + kept) == pytest.approx(7 / 6)  # a step of training, not twice


@pytest.mark.parametrize("wrong", [lambda: standard(0, 64), lambda: tile_for(100, 64), lambda: tile_for(100, 0)])
def test_bad_input_is_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong()
