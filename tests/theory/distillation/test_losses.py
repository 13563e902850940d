"""Losses and their gradients: against SciPy, against finite differences, at their limits, and as guides tell them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax

from workbench.errors import InvalidInput
from workbench.theory.distillation.losses import (
    divergence,
    hard_gradient,
    hard_loss,
    mixture,
    mixture_gradient,
    soft_gradient,
    soft_loss,
    softened,
)

seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.2, 20)


def logits(seed: int, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, teacher and student: 4 tokens of 7 words."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 7, 4), *(scale * generator.normal(size=(2, 4, 7)))


def differences(loss, at: np.ndarray) -> np.ndarray:
    """The gradient by central differences."""
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-5
        found[index] = (loss(at + step) - loss(at - step)) / 2e-5
    return found


@given(seeds, temperatures)
def test_softened_and_divergence_are_scipys(seed, temperature):
    _, teacher, student = logits(seed)
    p, q = softmax(teacher / temperature, axis=1), softmax(student / temperature, axis=1)
    assert softened(teacher, temperature) == pytest.approx(p)
    assert divergence(teacher, student, temperature) == pytest.approx(rel_entr(p, q).sum(axis=1), abs=1e-12)


@given(seeds, temperatures, st.floats(0, 1))
def test_gradients_are_the_slopes_of_the_losses(seed, temperature, alpha):
    labels, teacher, student = logits(seed)
    soft = differences(lambda z: soft_loss(teacher, z, temperature), student)
    assert soft_gradient(teacher, student, temperature) == pytest.approx(soft, abs=1e-6)
    assert hard_gradient(labels, student) == pytest.approx(
        differences(lambda z: hard_loss(labels, z), student), abs=1e-6
    )
    both = {"alpha": alpha, "temperature": temperature}
    slopes = differences(lambda z: mixture(labels, teacher, z, **both), student)
    assert mixture_gradient(labels, teacher, student, **both) == pytest.approx(slopes, abs=1e-6)


@given(seeds, temperatures)
def test_it_is_never_negative_and_0_only_for_the_teachers_own_words(seed, temperature):
    _, teacher, student = logits(seed)
    assert (divergence(teacher, student, temperature) > 0).all()
    assert divergence(teacher, teacher + 3.0, temperature) == pytest.approx(np.zeros(4), abs=1e-12)
    assert soft_gradient(teacher, teacher, temperature) == pytest.approx(np.zeros((4, 7)), abs=1e-12)


@given(seeds)
def test_a_sure_teacher_is_a_label(seed):
    labels, _, student = logits(seed)
    sure = 200.0 * np.eye(7)[labels]
    assert soft_loss(sure, student) == pytest.approx(hard_loss(labels, student))
    assert soft_gradient(sure, student) == pytest.approx(hard_gradient(labels, student), abs=1e-12)


@given(seeds)
def test_a_high_temperature_compares_the_logits_themselves(seed):
    """Hinton and others, equation 4: (z − v) / (N T²), here times T²; logits less their mean."""
    _, teacher, student = logits(seed)
    apart = (student - student.mean(axis=1, keepdims=True)) - (teacher - teacher.mean(axis=1, keepdims=True))
    assert soft_gradient(teacher, student, 1e4) == pytest.approx(apart / 7 / 4, abs=1e-3)


def test_c003_037_t_squared_keeps_gradients_as_large():
    """Without T² they fall like 1 / T²: at 8 to a hundredth of what labels give; with it they stay."""
    labels, teacher, student = logits(0, scale=1.0)
    hard = np.linalg.norm(hard_gradient(labels, student))
    sizes = {t: np.linalg.norm(soft_gradient(teacher, student, t)) for t in (1, 2, 4, 8)}
    assert max(sizes.values()) / min(sizes.values()) < 1.5
    assert sizes[8] / 64 < 0.02 * hard
    assert sizes[8] > 0.3 * hard


def test_c003_036_a_softened_distribution():
    """The guide: [0.9, 0.05, 0.05] becomes [0.4, 0.3, 0.3] at T = 5. It does near T = 10."""
    told = np.array([0.4, 0.3, 0.3])
    at_5 = softened(np.log([[0.9, 0.05, 0.05]]), 5)[0]
    assert at_5.round(3) == pytest.approx([0.471, 0.264, 0.264])
    assert np.abs(at_5 - told).max() > 0.07
    assert softened(np.log([[0.9, 0.05, 0.05]]), 10)[0] == pytest.approx(told, abs=0.01)


@given(seeds, temperatures, st.floats(0.01, 10))
def test_both_guides_mixtures_are_one(seed, temperature, a):
    """Document 003: α T² KL + (1 − α) CE; document 004: T² KL + a CE. The same direction, 1 + a times as far."""
    labels, teacher, student = logits(seed)
    as_in_004 = soft_loss(teacher, student, temperature) + a * hard_loss(labels, student)
    ours = mixture(labels, teacher, student, alpha=1 / (1 + a), temperature=temperature)
    assert as_in_004 == pytest.approx((1 + a) * ours)


def test_a_mean_over_words_too_is_smaller_by_the_vocabulary():
    """What ``kl_div`` gives by default: beside the labels' loss, nothing."""
    _, teacher, student = logits(0)
    p, q = softmax(teacher, axis=1), softmax(student, axis=1)
    assert rel_entr(p, q).mean() * 7 == pytest.approx(soft_loss(teacher, student))


def test_large_logits_do_not_overflow():
    huge = np.array([[1e4, 0.0, -1e4]])
    assert np.isfinite(divergence(huge, -huge, 0.5)).all()
    assert softened(huge, 2.0).sum() == 1


def test_what_cannot_be_compared_is_refused():
    z = np.zeros((2, 3))
    for temperature in (0, -1, np.nan, np.inf):
        with pytest.raises(InvalidInput, match="temperature"):
            softened(z, temperature)
    for bad in ([1.0, 2.0], [[np.nan]], np.zeros((0, 3))):
        with pytest.raises(InvalidInput, match="must be a matrix"):
            softened(bad)
    with pytest.raises(InvalidInput, match="same tokens and words"):
        divergence(z, np.zeros((2, 4)))
    for labels, says in (([0], "as many"), ([0, 3], "outside the vocabulary"), ([0.5, 1.0], "whole numbers")):
        with pytest.raises(InvalidInput, match=says):
            hard_loss(labels, z)
    for call in (mixture, mixture_gradient):
        with pytest.raises(InvalidInput, match=r"alpha is 1\.5"):
            call([0, 1], z, z, alpha=1.5)
