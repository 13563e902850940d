"""A weight's score is exactly what its absence does to the output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.pruning import wanda
from workbench.theory.pruning.magnitude import keep_highest
from workbench.theory.pruning.patterns import TWO_OF_FOUR
from workbench.theory.pruning.sparsegpt import output_error

seeds = st.integers(0, 2**32 - 1)


def layer(seed: int, loud: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 16))
    x[:, 3] *= loud
    return generator.normal(size=(6, 16)), x


@given(seeds)
def test_the_score_is_the_error_of_that_weight_alone(seed):
    w, x = layer(seed)
    found = wanda.scores(w, x)
    for row, column in ((0, 0), (5, 3), (2, 15)):
        without = w.copy()
        without[row, column] = 0
        assert found[row, column] == pytest.approx(np.linalg.norm(x @ (w - without).T))


@given(seeds)
def test_with_inputs_that_do_not_meet_it_is_the_best_mask(seed):
    """Orthogonal inputs: errors add up, so the lowest scores are the cheapest set; by brute force over one row."""
    from itertools import combinations

    generator = np.random.default_rng(seed)
    x = np.linalg.qr(generator.normal(size=(20, 8)))[0] * generator.uniform(0.1, 3, 8)
    w = generator.normal(size=(1, 8))
    kept = wanda.mask(w, x, 0.5)
    errors = []
    for gone in combinations(range(8), 4):
        without = w.copy()
        without[0, list(gone)] = 0
        errors.append(output_error(w, without, x))
    assert output_error(w, np.where(kept, w, 0), x) == pytest.approx(min(errors))


@given(seeds)
def test_every_output_keeps_as_many(seed):
    w, x = layer(seed)
    assert (wanda.mask(w, x, 0.5).sum(axis=1) == 8).all()
    assert TWO_OF_FOUR.fits(np.where(wanda.mask(w, x, TWO_OF_FOUR), w, 0))


def test_a_loud_input_keeps_its_weights_and_the_output():
    """What size alone loses: a twentieth of the weights' scale on an input fifty times as loud."""
    w, x = layer(0, loud=50.0)
    w[:, 3] /= 20
    by_size = np.where([keep_highest(np.abs(row), 0.5) for row in w], w, 0)
    by_score = np.where(wanda.mask(w, x, 0.5), w, 0)
    assert (by_score[:, 3] != 0).all()
    assert output_error(w, by_score, x) < 0.2 * output_error(w, by_size, x)


@given(seeds)
def test_equal_inputs_make_it_magnitude(seed):
    w, _ = layer(seed)
    kept = wanda.mask(w, np.eye(16), 0.25)
    assert np.array_equal(kept, np.stack([keep_highest(np.abs(row), 0.25) for row in w]))


def test_what_does_not_fit_is_refused():
    for w, x, says in (
        (np.ones((2, 3)), np.ones((4, 2)), "takes 3 inputs, the tokens have 2"),
        (np.ones(3), np.ones((4, 3)), "are needed"),
        (np.ones((2, 3)), np.full((4, 3), np.nan), "NaN or infinity"),
    ):
        with pytest.raises(InvalidInput, match=says):
            wanda.scores(w, x)
