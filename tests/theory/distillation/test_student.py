"""Students that really learn: closer to their teacher by its logits than by labels, from the same start and text."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from workbench import builtin, jobs
from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.theory.distillation import features, losses
from workbench.theory.distillation.student import FEATURES, LABELS, LOGITS, SHAPE, Lesson, measured, rows, teach


def found(**more: object) -> dict:
    """What a job could have found: two students on three windows."""
    students = [
        {"lesson": "labels", "seed": 0, "divergence": [20.0, 30.0, 10.0], "nll": [50.0, 60.0, 30.0], "agreement": 0.3},
        {"lesson": "logits", "seed": 0, "divergence": [10.0, 20.0, 6.0], "nll": [40.0, 55.0, 28.0], "agreement": 0.4},
    ]
    return {"windows": [10, 20, 5], "students": students, **more}


def test_a_row_says_how_much_closer_and_how_sure():
    labels, logits = rows(found())
    assert labels["divergence"] == pytest.approx(60 / 35)
    assert logits["closer"] == pytest.approx((60 - 36) / 35)
    assert logits["closer_low"] <= logits["closer"] <= logits["closer_high"]
    assert logits["closer_low"] > 0
    assert labels["perplexity"] == pytest.approx(np.exp(140 / 35))
    assert (labels["closer"], labels["closer_low"], labels["closer_high"]) == (0, 0, 0)
    assert rows(found(), than="logits")[0]["closer"] == pytest.approx(-logits["closer"])
    with pytest.raises(InvalidInput, match="no student had the lesson 'none'"):
        rows(found(), than="none")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "weights of at least 0, and one above it"),
        ({"labels": -1.0, "logits": 1.0}, "weights of at least 0"),
        ({"logits": 1.0, "temperature": 0.0}, "temperature is 0.0"),
        ({"logits": 1.0, "temperature": float("nan")}, "temperature is nan"),
        ({"labels": 1.0, "name": "../out"}, "cannot name a lesson"),
        ({"labels": 1.0, "name": ""}, "cannot name a lesson"),
    ],
)
def test_a_lesson_that_teaches_nothing_is_refused(fields, says):
    with pytest.raises(InvalidInput, match=says):
        Lesson(**{"name": "a", **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"lessons": []}, "at least one lesson"),
        ({"lessons": [LABELS, LABELS]}, "a name of its own"),
        ({"seeds": []}, "at least one seed"),
        ({"documents": []}, "a document to learn from"),
        ({"held_out": []}, "one to be measured on"),
        ({"steps": 0}, "steps is 0"),
        ({"length": 1}, "length - 1 is 0"),
        ({"threads": 0}, "threads is 0"),
        ({}, "there is no checkpoint at"),
    ],
)
def test_what_cannot_be_taught_is_refused_before_anything_starts(tmp_path, fields, says):
    with pytest.raises(InvalidInput, match=says):
        teach(tmp_path, **{"documents": ["a"], "held_out": ["b"], **fields})


def test_what_was_measured_is_what_it_is_told_to_be():
    """Closer by logits than by labels, the whole interval of it; by T = 4 less; a third of the weights, and worse."""
    found = measured()
    assert {"labels", "logits"} <= set(found["lesson"])
    for _, one_seed in found.groupby("seed"):
        row = one_seed.set_index("lesson")
        assert row.loc["logits", "closer_low"] > 0.2
        closer = row.loc["labels", "divergence"] - row["divergence"]
        assert row["closer"].tolist() == pytest.approx(closer.tolist(), abs=2e-4)
        if "mixture, T 4" in row.index:
            assert row.loc["mixture, T 4", "closer_high"] < row.loc["logits", "closer_low"]
            assert row.loc["features", "closer_low"] > 0
    assert (found["divergence"].between(found["divergence_low"], found["divergence_high"])).all()
    assert (found["perplexity"] > found["teacher_perplexity"]).all()
    assert (found["parameters"] / found["teacher_parameters"]).round(2).eq(0.3).all()


@pytest.mark.environment
def test_the_losses_they_learn_by_are_those_that_are_taught_here():
    """torch's in the worker, NumPy's in losses.py and features.py; gradients by torch, too."""
    lessons = [
        LABELS,
        LOGITS,
        Lesson("soft", logits=1.0, temperature=4.0),
        Lesson("mixture", labels=0.3, logits=0.7, temperature=2.0),
        Lesson("states", features=1.0),
        Lesson("all", labels=0.2, logits=0.5, features=0.3, temperature=3.0),
    ]
    request = {"seed": 0, "lessons": [asdict(lesson) for lesson in lessons]}
    worker = Path(__file__).with_name("losses_worker.py")
    said = jobs.start("losses", worker, request, "quantize").wait(900)
    labels = np.array(said["batch"])[:, 1:].ravel()
    teacher, student = np.array(said["taught"]), np.array(said["logits"])
    states = [np.array(each).reshape(-1, 3) for each in said["states"]]
    follow = [np.array(said["followed"][layer - 1]).reshape(-1, 4) for layer in features.followed_layers(2, 4)]
    apart = [
        features.feature_loss(s, t, np.array(w).T) for s, t, w in zip(states, follow, said["projections"], strict=True)
    ]
    for lesson, loss, gradient in zip(lessons, said["losses"], said["gradients"], strict=True):
        soft = losses.soft_loss(teacher, student, lesson.temperature)
        expected = lesson.labels * losses.hard_loss(labels, student) + lesson.logits * soft
        assert loss == pytest.approx(expected + lesson.features * np.mean(apart), rel=1e-6)
        if gradient is not None:
            slope = lesson.labels * losses.hard_gradient(labels, student)
            slope += lesson.logits * losses.soft_gradient(teacher, student, lesson.temperature)
            assert np.array(gradient) == pytest.approx(slope, abs=1e-6)
    assert sum(gradient is not None for gradient in said["gradients"]) == 5


@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_after_a_short_run_the_student_of_logits_is_closer(tmp_path):
    """Twenty steps: far from good, and already closer than the student of labels, beyond what chance would give."""
    teacher = builtin.ensure()
    job = teach(
        teacher,
        [document.text for document in text.training()[:250]],
        [document.text for document in text.held_out()],
        tmp_path / "students",
        lessons=[LABELS, LOGITS],
        steps=20,
        length=128,
        measured_tokens=1200,
    )
    result = job.wait(1200)
    labels, logits = rows(result)
    assert logits["closer_low"] > 0.02
    assert logits["divergence"] < labels["divergence"]
    one, other = result["students"]
    assert one["parameters"] == other["parameters"] < 0.35 * result["teacher"]["parameters"]
    assert one["losses"][-1][1] < one["losses"][0][1]
    for name in ("labels-0", "logits-0"):
        folder = tmp_path / "students" / name
        config = json.loads((folder / "config.json").read_text())
        assert {key: config[key] for key in SHAPE} == SHAPE
        assert (folder / "model.safetensors").is_file()
        assert (folder / "tokenizer.json").read_bytes() == (teacher / "tokenizer.json").read_bytes()


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(7200)
def test_after_a_few_minutes_the_student_of_logits_is_closer_for_every_seed():
    job = teach(
        builtin.ensure(),
        [document.text for document in text.training()],
        [document.text for document in text.held_out()],
        lessons=[LABELS, LOGITS, FEATURES],
        seeds=(0, 1),
    )
    found = rows(job.wait(7200))
    logits = [row for row in found if row["lesson"] == "logits"]
    assert len(logits) == 2
    for row in logits:
        assert row["closer_low"] > 0.05
        assert row["perplexity"] < 2000
