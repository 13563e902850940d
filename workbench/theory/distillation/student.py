"""Students that really learn: small models beside each other, each taught in its own way by the same teacher.

All begin with the same weights, see the same text in the same order and take the same steps. Only the loss differs, so
what differs in the end comes from it. They are measured on text that none of them saw: how far from the teacher (KL
divergence) and how well they guess the text itself (perplexity).

A job in the environment ``quantize``; :mod:`workbench.theory.distillation.student_worker` does the work.

References
----------
Hinton and others, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2.
Bootstrap over stretches of text: :mod:`workbench.quality.resampling`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.datafiles import read_rows
from workbench.errors import InvalidInput
from workbench.quality.resampling import log_ratio

if TYPE_CHECKING:
    from pandas import DataFrame

    from workbench.jobs import Job

ENVIRONMENT = "quantize"
#: What students of the built-in model were measured to reach.
MEASURED = ("measurements", "distilled_students.csv")
#: Threads that wait sleep: two jobs on the same cores otherwise take ten times as long.
_SLEEP_WHILE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Lesson:
    """What a student is told to come close to: a weighted sum of three losses.

    Parameters
    ----------
    name : str
    labels : float
        Weight of the cross-entropy with the text's own next token.
    logits : float
        Weight of T² KL(teacher || student), both softened by `temperature`.
    features : float
        Weight of the relative error of the hidden states
        (:func:`~workbench.theory.distillation.features.feature_loss`), averaged over the student's layers.
    temperature : float
        T, of the logits.

    Raises
    ------
    InvalidInput
        If a weight is negative, none is above 0, the temperature is not above 0, or the name is no name of a folder.
    """

    name: str
    labels: float = 0.0
    logits: float = 0.0
    features: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w ,.-]*", self.name):
            raise InvalidInput(f"{self.name!r} cannot name a lesson; take letters, digits, spaces, commas, dashes")
        weights = (self.labels, self.logits, self.features)
        if min(weights) < 0 or max(weights) <= 0:
            raise InvalidInput(f"the lesson {self.name!r} needs weights of at least 0, and one above it")
        if not 0 < self.temperature < float("inf"):
            raise InvalidInput(f"temperature is {self.temperature!r}; a number above 0 is needed")


LABELS = Lesson("labels", labels=1.0)
LOGITS = Lesson("logits", logits=1.0)
FEATURES = Lesson("features", labels=1.0, features=1.0)
#: The student by default [layers, width, width of the MLP, heads of 64]: three tenths of the built-in model's weights.
SHAPE = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 2}


def teach(
    teacher: str | Path,
    documents: Sequence[str],
    held_out: Sequence[str],
    out: str | Path | None = None,
    *,
    lessons: Sequence[Lesson] = (LABELS, LOGITS, FEATURES),
    seeds: Sequence[int] = (0,),
    steps: int = 150,
    batch_size: int = 4,
    length: int = 256,
    learning_rate: float = 4e-3,
    measured_tokens: int = 8192,
    shape: Mapping[str, int] = SHAPE,
    threads: int = 2,
) -> Job:
    """Train a student for each lesson and seed, and measure how close each came; returns at once.

    Parameters
    ----------
    teacher : str or Path
        Folder of a Llama checkpoint with its tokenizer, such as ``workbench.builtin.ensure()``.
    documents, held_out : sequence of str
        Text to learn from, and text to be measured on.
    out : str or Path, optional
        Folder that the students are saved in, a folder each; without it only the measurements remain.
    lessons : sequence of Lesson
    seeds : sequence of int
        Of the first weights and of the order of the text.
    steps, batch_size, length : int
        A step sees ``batch_size`` rows of ``length`` tokens.
    learning_rate : float
        Highest, of AdamW: a warm-up of 20 steps, then down to a fiftieth.
    measured_tokens : int
        About so many tokens of whole held-out documents.
    shape : mapping of str to int
        The student's sizes in the words of a Llama's configuration; the rest is the teacher's.
    threads : int
        Of torch: another number rounds otherwise.

    Returns
    -------
    Job
        Its result: ``students`` [{``lesson``, ``seed``, ``parameters``, ``divergence`` and ``nll`` (sums of each
        window [nats]), ``agreement``, ``losses`` [(step, loss)]}], ``windows`` (tokens of each), ``teacher`` (``nll``,
        ``parameters``), ``tokens_seen``, ``seconds``. :func:`rows` reads it.

    Raises
    ------
    InvalidInput
        If there is no lesson, seed or text, two lessons have one name, or a number is below 1.

    Examples
    --------
    >>> from workbench import builtin                                                         # doctest: +SKIP
    >>> from workbench.builtin import text                                                    # doctest: +SKIP
    >>> job = teach(builtin.ensure(), [d.text for d in text.training()], [d.text for d in text.held_out()])
    ... # doctest: +SKIP
    >>> rows(job.wait())                                                                      # doctest: +SKIP
    """
    names = [lesson.name for lesson in lessons]
    if not names or len(set(names)) < len(names):
        raise InvalidInput("give at least one lesson, each of a name of its own")
    if not seeds or not documents or not held_out:
        raise InvalidInput("give at least one seed, a document to learn from and one to be measured on")
    counts = {"steps": steps, "batch_size": batch_size, "measured_tokens": measured_tokens, "threads": threads}
    for name, count in {**counts, "length - 1": length - 1}.items():
        if count < 1:
            raise InvalidInput(f"{name} is {count}; a whole number of at least 1 is needed")
    folder = Path(teacher).expanduser().absolute()
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"there is no checkpoint at {folder}; give the folder that holds config.json")
    request = {
        **counts,
        "teacher": os.fspath(folder),
        "documents": list(documents),
        "held_out": list(held_out),
        "lessons": [asdict(lesson) for lesson in lessons],
        "seeds": list(seeds),
        "length": length,
        "learning_rate": learning_rate,
        "shape": dict(shape),
    }
    from workbench import jobs

    return jobs.start(
        f"teach {len(names) * len(seeds)} students of {folder.name}",
        "workbench.theory.distillation.student_worker",
        request,
        ENVIRONMENT,
        out,
        variables={"HF_HUB_OFFLINE": "1", **_SLEEP_WHILE_WAITING},
    )


def rows(result: Mapping[str, Any], than: str = "labels") -> list[dict[str, Any]]:
    """What :func:`teach` found, a row a student, each with its distance from the same student on another lesson.

    Parameters
    ----------
    result : mapping
        Of the job.
    than : str
        Name of the lesson that the others are compared with.

    Returns
    -------
    list of dict
        ``lesson``, ``seed``; ``divergence`` from the teacher [nats a token] with ``divergence_low`` and ``_high``;
        ``perplexity``; ``agreement`` (share of tokens at which both would say the same); ``closer`` (how much less the
        divergence is than of lesson `than` with the same seed [nats a token]) with ``closer_low`` and ``_high``.
        Intervals bound 90 %, over stretches of the held-out text, two students resampled together.

    Examples
    --------
    >>> found = {"windows": [10, 10], "students": [
    ...     {"lesson": "labels", "seed": 0, "divergence": [9.0, 11.0], "nll": [30.0, 30.0], "agreement": 0.5},
    ...     {"lesson": "logits", "seed": 0, "divergence": [4.0, 6.0], "nll": [29.0, 29.0], "agreement": 0.6}]}
    >>> [(row["lesson"], row["divergence"], row["closer"], row["closer_low"]) for row in rows(found)]
    [('labels', 1.0, 0.0, 0.0), ('logits', 0.5, 0.5, 0.5)]
    """
    windows = result["windows"]
    base = {each["seed"]: each["divergence"] for each in result["students"] if each["lesson"] == than}
    if not base:
        raise InvalidInput(f"no student had the lesson {than!r}")
    found = []
    for each in result["students"]:
        apart, low, high = log_ratio(windows, [0.0] * len(windows), each["divergence"])
        closer, closer_low, closer_high = log_ratio(windows, each["divergence"], base[each["seed"]])
        found.append(
            {
                "lesson": each["lesson"],
                "seed": each["seed"],
                "divergence": apart,
                "divergence_low": low,
                "divergence_high": high,
                "perplexity": math.exp(sum(each["nll"]) / sum(windows)),
                "agreement": each["agreement"],
                "closer": closer,
                "closer_low": closer_low,
                "closer_high": closer_high,
            }
        )
    return found


def measured() -> DataFrame:
    """How close students of the built-in model came when they were measured; how, the file says in its first lines.

    Examples
    --------
    >>> {"lesson", "seed", "divergence", "perplexity", "closer", "closer_low"} <= set(measured().columns)
    True
    """
    import pandas as pd

    found = pd.DataFrame(read_rows(*MEASURED))
    return found[["lesson"]].join(found.drop(columns="lesson").apply(pd.to_numeric))
