"""Between doing nothing and the best: SparseGPT's weights against least squares, and against every mask."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.pruning import wanda
from workbench.theory.pruning.patterns import TWO_OF_FOUR
from workbench.theory.pruning.sparsegpt import hessian, inverse_factor, least_squares, output_error, prune

seeds = st.integers(0, 2**32 - 1)


def layer(seed: int, inputs: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that depend on each other, so that one weight can make up for another."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(inputs, inputs)) + np.eye(inputs)
    return generator.normal(size=(5, inputs)), generator.normal(size=(80, inputs)) @ mixing


@given(seeds)
@settings(max_examples=40)
def test_it_is_never_better_than_least_squares_and_knows_its_error(seed):
    w, x = layer(seed)
    kept = np.random.default_rng(seed).random(w.shape) < 0.6
    found = prune(w, x, kept, dampening=0.0)
    assert np.array_equal(found.kept, kept)
    assert (found.weight[~kept] == 0).all()
    assert output_error(w, least_squares(w, x, kept), x) <= output_error(w, found.weight, x) * (1 + 1e-9) + 1e-12
    assert found.errors == pytest.approx(np.square(x @ (found.weight - w).T).mean(axis=0), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("choice", [0.5, TWO_OF_FOUR], ids=["half", "2:4"])
def test_on_a_layer_of_some_size_it_is_far_better_than_doing_nothing(choice):
    """Inputs of a few common causes, as in a language model: their weights can stand in for each other."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 24)) @ generator.normal(size=(24, 128)) + generator.normal(size=(600, 128))
    w = generator.normal(size=(64, 128))
    plain = np.where(wanda.mask(w, x, choice), w, 0)
    found = prune(w, x, choice)
    errors = [output_error(w, each, x) for each in (least_squares(w, x, found.kept), found.weight, plain)]
    assert errors[0] < errors[1] < 0.5 * errors[2]


@given(seeds, st.integers(1, 11))
@settings(max_examples=40)
def test_when_the_first_columns_go_it_is_least_squares(seed, first):
    """All that stays is to their right, so nothing is missed."""
    w, x = layer(seed)
    kept = np.broadcast_to(np.arange(12) >= first, w.shape)
    found = prune(w, x, np.array(kept), dampening=0.0)
    assert found.weight == pytest.approx(least_squares(w, x, kept), rel=1e-6, abs=1e-8)


@given(seeds)
@settings(max_examples=20)
def test_the_factor_holds_the_inverses_from_each_column_on(seed):
    _, x = layer(seed, inputs=6)
    h = hessian(x)
    factor = inverse_factor(h, dampening=0.0)
    for j in range(6):
        rest = np.linalg.inv(h[j:, j:])
        assert factor[j, j] ** 2 == pytest.approx(rest[0, 0])
        assert factor[j, j:] / factor[j, j] == pytest.approx(rest[0] / rest[0, 0])


def test_the_hessian_is_that_of_the_error():
    w, x = layer(0)
    v = np.random.default_rng(1).normal(size=w.shape[1])
    error = np.square(x @ (v - w[0])).sum() / len(x)
    assert (v - w[0]) @ hessian(x) @ (v - w[0]) / 2 == pytest.approx(error)


@pytest.mark.parametrize("seed", range(5))
def test_against_every_mask_of_a_row(seed):
    """Half of 8 weights: 70 masks, each with its best weights. None of ours is below the best of them."""
    w, x = layer(seed, inputs=8)
    w = w[:1]
    best = min(
        output_error(w, least_squares(w, x, np.isin(np.arange(8), kept)[None]), x) for kept in combinations(range(8), 4)
    )
    ours = output_error(w, prune(w, x, 0.5, dampening=0.0, block=8).weight, x)
    assert best <= ours * (1 + 1e-9)
    assert ours < 1


@given(seeds, st.sampled_from([4, 8, 12]))
@settings(max_examples=20)
def test_a_pattern_holds_and_blocks_have_their_share(seed, block):
    w, x = layer(seed)
    patterned = prune(w, x, TWO_OF_FOUR)
    assert TWO_OF_FOUR.fits(patterned.weight)
    assert (patterned.kept.reshape(5, 3, 4).sum(axis=2) == 2).all()
    shared = prune(w, x, 0.5, block=block)
    for start in range(0, 12, block):
        part = shared.kept[:, start : start + block]
        assert (~part).sum() == round(part.size / 2)


def test_an_input_that_is_never_used_loses_its_weights():
    w, x = layer(0)
    x[:, 4] = 0
    found = prune(w, x, 0.25)
    assert (found.weight[:, 4] == 0).all()
    assert np.isfinite(found.weight).all()


def test_what_cannot_be_pruned_is_refused():
    w, x = layer(0)
    with pytest.raises(InvalidInput, match="depend on each other"):
        prune(w, np.repeat(x[:, :1], 12, axis=1), 0.5, dampening=0.0)
    with pytest.raises(InvalidInput, match="no whole groups of 4"):
        prune(w[:, :10], x[:, :10], TWO_OF_FOUR)
    with pytest.raises(InvalidInput, match="block is 0"):
        prune(w, x, 0.5, block=0)
    with pytest.raises(InvalidInput, match="dampening is -1"):
        prune(w, x, 0.5, dampening=-1)
    with pytest.raises(InvalidInput, match="a share from 0 to 1"):
        prune(w, x, 1.5)
    with pytest.raises(InvalidInput, match="the output is 0"):
        output_error(np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2)))
