"""What a temperature shows of a teacher, how large the gradients are, and a student that learns while one watches."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from workbench.theory.distillation import table
from workbench.theory.distillation.losses import Floats, hard_gradient, soft_gradient, softened
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE, RED
from workbench.ui.learn import Picture, drawing

#: The guides' example: what a teacher says, and what it is told to say at T = 5.
SAID, TOLD = np.array([[0.9, 0.05, 0.05]]), [0.4, 0.3, 0.3]
TEMPERATURES = np.geomspace(1, 16, 33)
#: What a student is taught by -> alpha and temperature.
TEACHING = {"labels": (0.0, 1.0), "teacher, T = 1": (1.0, 1.0)}


def softer(temperature: float = 5.0) -> Picture:
    """A distribution at a temperature, beside what is told of T = 5.

    Parameters
    ----------
    temperature : float
    """
    words = ["first word", "second", "third"]
    found = softened(np.log(SAID), temperature)[0]
    figure = drawing.bars(
        {"T = 1": (words, SAID[0]), "at T": (words, found), "told of T = 5": (words, TOLD)},
        y={"title": "probability", "range": [0, 1]},
        colours={"T = 1": GREY, "at T": BLUE, "told of T = 5": RED},
    )
    spoken = ", ".join(f"{p:.3f}" for p in found)
    return Picture(
        figure,
        f"At T = {temperature:g}: {spoken}. The first word is {found[0] / found[1]:.2f} times as likely as the second, "
        f"18 to the power 1/{temperature:g}.",
    )


def slopes(temperature: float = 4.0) -> Picture:
    """How hard a student is pulled, held against labels, with and without T².

    Parameters
    ----------
    temperature : float
    """
    with_factor = np.array([_pull(float(t)) for t in TEMPERATURES])
    figure = drawing.lines(
        {
            "T² KL": (TEMPERATURES, with_factor),
            "KL alone": (TEMPERATURES, with_factor / TEMPERATURES**2),
            "labels": (TEMPERATURES, np.ones(len(TEMPERATURES))),
        },
        x={"title": "temperature", "type": "log", "range": [0, 1.21], "tickvals": [1, 2, 4, 8, 16]},
        y={"title": "gradient, labels = 1", "type": "log", "range": [-3.5, 0.3], "tickvals": [0.001, 0.01, 0.1, 1]},
        colours={"T² KL": BLUE, "KL alone": RED, "labels": GREY},
        dashed=["labels"],
    )
    here = _pull(temperature)
    drawing.mark(figure, "here", [temperature] * 2, [here, here / temperature**2], colour=GREEN)
    return Picture(
        figure,
        f"At T = {temperature:g} the teacher pulls {here:.2f} times as hard as labels with T² in front, "
        f"{here / temperature**2:.4f} times without.",
    )


def student(tokens: int = 500, alpha: float = 0.7, temperature: float = 4.0, rank: int = 4) -> Picture:
    """Students of one text as they learn: from its words, from the teacher, and from both.

    Parameters
    ----------
    tokens : int
        Of the text, drawn from the teacher.
    alpha, temperature : float
        Of the third student: α T² KL + (1 − α) labels.
    rank : int
        Of the students' tables; the teacher's is 8.
    """
    lessons = {**TEACHING, "mixture": (alpha, temperature)}
    found = {name: _learned(tokens, *how, rank) for name, how in lessons.items()}
    figure = drawing.lines(
        {name: (each.steps, each.divergences) for name, each in found.items()},
        x={"title": "steps", "range": [0, 151]},
        y={"title": "KL from the teacher [nats a token]", "type": "log", "range": [-2.5, 1.1],
           "tickvals": [0.01, 0.1, 1, 10]},
        colours={"labels": ORANGE, "teacher, T = 1": BLUE, "mixture": GREEN},
    )  # fmt: skip
    ends = [each.divergences[-1] for each in found.values()]
    return Picture(
        figure,
        f"After 150 steps on {tokens:,} tokens: {ends[0]:.2f} nats from the teacher by labels, {ends[1]:.2f} by its "
        f"distributions, {ends[2]:.2f} by the mixture. By labels it was closest at step "
        f"{found['labels'].steps[np.argmin(found['labels'].divergences)]}.",
    )


@cache
def _logits() -> tuple[np.ndarray, Floats, Floats]:
    """Labels, a teacher and a student: 64 tokens of 100 words."""
    generator = np.random.default_rng(0)
    teacher, other = generator.standard_normal((2, 64, 100))
    labels = np.array([generator.choice(100, p=p) for p in softened(teacher)])
    return labels, teacher, other


@cache
def _pull(temperature: float) -> float:
    labels, teacher, other = _logits()
    return float(
        np.linalg.norm(soft_gradient(teacher, other, temperature)) / np.linalg.norm(hard_gradient(labels, other))
    )


@cache
def _teacher() -> Floats:
    return table.teacher(np.random.default_rng(0))


@lru_cache(64)
def _learned(tokens: int, alpha: float, temperature: float, rank: int) -> table.Learned:
    counts = table.text(np.random.default_rng(1), _teacher(), tokens)
    return table.learn(_teacher(), counts, alpha=alpha, temperature=temperature, rank=rank)
