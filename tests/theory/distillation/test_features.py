"""Hidden states matched: the loss, its slopes, the best projection and what no projection can reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.theory.distillation.features import (
    best_projection,
    feature_gradients,
    feature_loss,
    followed_layers,
    least_loss,
)

seeds = st.integers(0, 2**32 - 1)


def states(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Student of width 3, teacher of width 5, a projection between them; 20 tokens."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(20, 3)), generator.normal(size=(20, 5)), generator.normal(size=(3, 5))


@given(seeds)
def test_gradients_are_the_slopes_of_the_loss(seed):
    student, teacher, projection = states(seed)
    found = feature_gradients(student, teacher, projection)
    for which, gradient in enumerate(found):
        for index in ((0, 0), (2, 1)):
            moved = [student.copy(), student.copy()] if which == 0 else [projection.copy(), projection.copy()]
            moved[0][index] += 1e-5
            moved[1][index] -= 1e-5
            losses = [
                feature_loss(each, teacher, projection) if which == 0 else feature_loss(student, teacher, each)
                for each in moved
            ]
            assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-7)


@given(seeds)
def test_the_best_projection_has_no_slope_and_reaches_no_less_than_its_rank_allows(seed):
    student, teacher, other = states(seed)
    best = best_projection(student, teacher)
    assert feature_gradients(student, teacher, best)[1] == pytest.approx(np.zeros((3, 5)), abs=1e-9)
    assert least_loss(teacher, 3) <= feature_loss(student, teacher, best) <= feature_loss(student, teacher, other)


@given(seeds, st.integers(1, 5))
def test_the_least_loss_is_reached_by_the_leading_directions(seed, width):
    """A student that holds the teacher's own strongest directions gets there."""
    _, teacher, _ = states(seed)
    u, s, _ = np.linalg.svd(teacher, full_matrices=False)
    student = u[:, :width] * s[:width]
    reached = feature_loss(student, teacher, best_projection(student, teacher))
    assert reached == pytest.approx(least_loss(teacher, width), abs=1e-9)


@given(seeds, st.floats(0.01, 100))
def test_the_scale_of_the_teachers_layer_does_not_matter(seed, scale):
    student, teacher, projection = states(seed)
    assert feature_loss(student, scale * teacher, scale * projection) == pytest.approx(
        feature_loss(student, teacher, projection)
    )


@given(st.integers(1, 40), st.integers(0, 40))
def test_layers_are_followed_in_order_to_the_last(layers, more):
    found = followed_layers(layers, layers + more)
    assert len(set(found)) == layers
    assert found == sorted(found)
    assert (found[0] >= 1, found[-1]) == (True, layers + more)


def test_tinyberts_own_example():
    """Four layers of a student follow every third of twelve."""
    assert followed_layers(4, 12) == [3, 6, 9, 12]


def test_what_does_not_fit_is_refused():
    student, teacher, projection = states(0)
    with pytest.raises(InvalidInput, match="from 3 to 5 dimensions"):
        feature_loss(student, teacher, projection.T)
    with pytest.raises(InvalidInput, match="both must see the same"):
        feature_loss(student[:5], teacher, projection)
    with pytest.raises(InvalidInput, match="nothing to follow"):
        feature_loss(student, 0 * teacher, projection)
    with pytest.raises(InvalidInput, match="must be a matrix"):
        best_projection(student[0], teacher)
    with pytest.raises(InvalidInput, match="width is 0"):
        least_loss(teacher, 0)
    for student_layers, teacher_layers in ((0, 4), (5, 4)):
        with pytest.raises(InvalidInput, match="cannot follow"):
            followed_layers(student_layers, teacher_layers)
