"""2:4: which stay, what is stored, what a multiplication by it gives and what it can gain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.pruning.magnitude import bitmask_bits
from workbench.theory.pruning.patterns import TWO_OF_FOUR, Pattern, gain, least_seconds, pack

PATTERNS = st.sampled_from([Pattern(2, 4), Pattern(1, 2), Pattern(4, 8), Pattern(6, 8), Pattern(1, 16), Pattern(3, 4)])


@st.composite
def matrices(draw):
    pattern = draw(PATTERNS)
    rows, groups, seed = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(0, 2**32 - 1))
    w = np.random.default_rng(seed).integers(-3, 4, (rows, groups * pattern.of)).astype(np.float32)
    return pattern, w


@given(matrices())
def test_the_best_of_all_masks_is_chosen(found):
    pattern, w = found
    kept = pattern.mask(np.abs(w))
    groups = kept.reshape(-1, pattern.of)
    assert (groups.sum(axis=1) == pattern.keep).all()
    for sizes, mask in zip(np.abs(w).reshape(-1, pattern.of), groups, strict=True):
        every = itertools.combinations(range(pattern.of), pattern.keep) if pattern.of <= 8 else []
        assert all(sizes[list(each)].sum() <= sizes[mask].sum() for each in every)


@given(matrices())
def test_packed_and_unpacked_is_the_same_and_multiplies_the_same(found):
    pattern, w = found
    pruned = np.where(pattern.mask(np.abs(w)), w, 0)
    packed = pack(pruned, pattern)
    assert np.array_equal(packed.unpacked(), pruned)
    assert packed.values.shape == (len(w), w.shape[1] * pattern.keep // pattern.of)
    x = np.arange(2.0 * w.shape[1]).reshape(2, -1)
    assert np.allclose(packed.multiply(x), x @ pruned.T)
    assert packed.values.nbytes + np.ceil(packed.values.size * pattern.index_bits / 8) == packed.bytes


@pytest.mark.parametrize(("dtype", "bits", "share"), [(np.float16, 16, 9 / 16), (np.int8, 8, 5 / 8)])
def test_bytes_of_2_4_are_not_half(dtype, bits, share):
    w = np.random.default_rng(0).integers(1, 100, (64, 256)).astype(dtype)
    packed = pack(np.where(TWO_OF_FOUR.mask(w), w, 0))
    assert packed.bytes / w.nbytes == share == TWO_OF_FOUR.bits_per_weight(bits) / bits
    # A mask of one bit a weight, as checkpoints hold it, takes as many.
    assert bitmask_bits(0.5, bits) == TWO_OF_FOUR.bits_per_weight(bits)


def test_what_is_denser_than_the_pattern_is_refused():
    with pytest.raises(InvalidInput, match="more than 2 non-zeros among 4"):
        pack([[1.0, 2.0, 3.0, 0.0]])
    for call in (pack, TWO_OF_FOUR.mask, TWO_OF_FOUR.fits):
        for shape in ((2, 6), (4,), (0, 4)):
            with pytest.raises(InvalidInput, match="no whole groups of 4"):
                call(np.zeros(shape))
    for keep, of in ((0, 4), (5, 4), (2, 300)):
        with pytest.raises(InvalidInput, match="is no pattern"):
            Pattern(keep, of)


def test_groups_that_are_already_empty_are_packed_too():
    w = np.zeros((3, 8))
    w[1, 5] = 2.0
    assert np.array_equal(pack(w).unpacked(), w)


L40S = {"rate": 362e12, "bandwidth": 864e9}


def test_c000_008_the_rate_that_doubles_is_the_datasheets():
    """362 TFLOP/s dense and 733 sparse: the gain of a multiplication that computes."""
    assert gain(8192, 4096, 14336, 16, **L40S) == pytest.approx(733 / 362, rel=0.02)


@pytest.mark.parametrize(("bits", "most"), [(16, 16 / 9), (8, 8 / 5), (4, 4 / 3)])
def test_a_step_that_waits_for_the_weights_gains_only_their_bytes(bits, most):
    assert gain(1, 4096, 14336, bits, **L40S) == pytest.approx(most, rel=0.01)


@given(st.integers(1, 10**5), st.sampled_from([4, 8, 16]))
def test_it_gains_at_most_two_and_never_loses(tokens, bits):
    assert 1 <= gain(tokens, 1024, 4096, bits, **L40S) <= 2


def test_more_tokens_take_no_less_time():
    tokens = np.arange(1, 4096)
    for sparse in (False, True):
        assert (np.diff(least_seconds(tokens, 1024, 4096, 16, **L40S, sparse=sparse)) >= 0).all()


def test_sizes_that_are_none_are_refused():
    for bad in ({"tokens": 0}, {"outputs": 0}, {"bits": 0}, {"rate": 0.0}):
        with pytest.raises(InvalidInput, match="must be at least 1"):
            least_seconds(**{"tokens": 1, "outputs": 8, "inputs": 8, "bits": 16, **L40S, **bad})
