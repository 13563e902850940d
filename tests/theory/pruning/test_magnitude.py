"""The smallest weights go, exactly as many as asked; the tensor stays as large as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.errors import InvalidInput
from workbench.theory.pruning.magnitude import (
    all_layers_together,
    bitmask_bits,
    dense_bits,
    indexed_bits,
    keep_highest,
    layer_by_layer,
    sparsity_of,
)

SCORES = hnp.arrays(float, hnp.array_shapes(max_dims=2, max_side=12), elements=st.floats(-1e6, 1e6))
SHARES = st.floats(0, 1)


@given(SCORES, SHARES)
def test_as_many_go_as_asked_and_none_that_stays_is_lower(scores, sparsity):
    kept = keep_highest(scores, sparsity)
    assert kept.shape == scores.shape
    assert (~kept).sum() == round(sparsity * scores.size)
    if kept.any() and not kept.all():
        assert scores[kept].min() >= scores[~kept].max()


@given(SCORES, SHARES, SHARES)
def test_more_sparsity_lets_go_of_the_same_weights_and_more(scores, one, other):
    few, many = sorted((one, other))
    assert not (keep_highest(scores, many) & ~keep_highest(scores, few)).any()


@given(st.lists(SCORES, min_size=1, max_size=4), SHARES)
def test_together_is_the_concatenated_matrix(layers, sparsity):
    weights = {str(at): layer for at, layer in enumerate(layers)}
    found = all_layers_together(weights, sparsity)
    assert {name: mask.shape for name, mask in found.items()} == {name: w.shape for name, w in weights.items()}
    flat = np.concatenate([mask.ravel() for mask in found.values()])
    assert (~flat).sum() == round(sparsity * flat.size)
    sizes = np.abs(np.concatenate([w.ravel() for w in layers]))
    if flat.any() and not flat.all():
        assert sizes[flat].min() >= sizes[~flat].max()


def test_one_threshold_empties_a_layer_of_small_weights():
    generator = np.random.default_rng(0)
    weights = {"loud": generator.normal(size=(64, 64)), "quiet": 0.001 * generator.normal(size=(64, 64))}
    assert {name: sparsity_of(mask) for name, mask in layer_by_layer(weights, 0.5).items()} == {
        "loud": 0.5,
        "quiet": 0.5,
    }
    together = all_layers_together(weights, 0.5)
    assert sparsity_of(together["quiet"]) > 0.95
    assert sparsity_of(together["loud"]) < 0.05


def test_c003_039_thirty_percent_of_zeros_make_no_file_smaller(tmp_path):
    """The guide: 30 % to 70 % smaller. A tensor with zeros is a tensor."""
    weight = np.random.default_rng(0).normal(size=(256, 784)).astype(np.float16)
    pruned = np.where(keep_highest(np.abs(weight), 0.3), weight, 0)
    np.save(tmp_path / "dense.npy", weight)
    np.save(tmp_path / "pruned.npy", pruned)
    assert sparsity_of(pruned != 0) == pytest.approx(0.3, abs=1e-4)
    assert (tmp_path / "pruned.npy").stat().st_size == (tmp_path / "dense.npy").stat().st_size
    assert pruned.nbytes * 8 / pruned.size == dense_bits(16)
    # Even stored by a bitmask, 30 % of zeros save less than 30 %, and an index for each makes it larger.
    assert 1 - bitmask_bits(0.3, 16) / 16 == pytest.approx(0.2375)
    assert indexed_bits(0.3, 16) > 16


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_bitmask_is_as_large_as_what_it_is_made_of(bits):
    kept = keep_highest(np.arange(800.0), 0.6)
    stored = np.packbits(kept).nbytes * 8 + bits * kept.sum()
    assert bitmask_bits(sparsity_of(kept), bits) == pytest.approx(stored / 800)
    assert bitmask_bits(1 / bits, bits) == pytest.approx(bits)  # where it begins to pay


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(bad):
    for call in (lambda: keep_highest([1.0], bad), lambda: bitmask_bits(bad, 16), lambda: indexed_bits(bad, 16)):
        with pytest.raises(InvalidInput, match="a share from 0 to 1"):
            call()


def test_scores_that_cannot_be_compared_are_refused():
    for scores in ([], [1.0, np.nan]):
        with pytest.raises(InvalidInput, match="must hold numbers"):
            keep_highest(scores, 0.5)
    with pytest.raises(InvalidInput, match="at least one layer"):
        all_layers_together({}, 0.5)
