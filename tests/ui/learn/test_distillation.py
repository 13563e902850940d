"""Pictures of distillation: temperatures, gradients, and students that learn."""

from __future__ import annotations

import pytest

from workbench.ui.learn.pictures import distillation


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize(
    ("temperature", "said"), [(1.0, "0.900, 0.050, 0.050"), (5.0, "0.471, 0.264, 0.264"), (10.0, "0.400, 0.300, 0.300")]
)
def test_softer_says_the_distribution(temperature, said):
    picture = distillation.softer(temperature)
    assert shape(picture) == shape(distillation.softer())
    assert said in picture.said
    assert sum(picture.figure.data[1].y) == pytest.approx(1)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_slopes_stay_with_the_factor_and_fall_without(temperature):
    picture = distillation.slopes(temperature)
    assert shape(picture) == shape(distillation.slopes())
    with_factor, without, _, here = picture.figure.data
    assert max(with_factor.y) / min(with_factor.y) < 2
    assert without.y[-1] < 0.01 * without.y[0]
    assert f"{here.y[0]:.2f} times" in picture.said
    assert here.y[0] == pytest.approx(temperature**2 * here.y[1])


@pytest.mark.parametrize(
    ("tokens", "alpha", "temperature", "rank"), [(500, 0.7, 4.0, 4), (50, 0.0, 1.0, 1), (20000, 1.0, 10.0, 8)]
)
def test_students_end_where_the_sentence_says(tokens, alpha, temperature, rank):
    picture = distillation.student(tokens, alpha, temperature, rank)
    assert shape(picture) == shape(distillation.student())
    labels, teacher, mixture = (trace.y[-1] for trace in picture.figure.data)
    assert f"{labels:.2f} nats from the teacher by labels, {teacher:.2f} by its" in picture.said
    assert teacher <= labels + 0.01
    if alpha == 0.0:
        assert mixture == labels
