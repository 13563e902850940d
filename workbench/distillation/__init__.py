"""Distil a teacher into a student: ask a served model, keep its answers, fine-tune a smaller model on them.

>>> job = distill("http://127.0.0.1:8000", "prompts.txt", "builtin", "student")         # doctest: +SKIP
>>> job.wait()["loss_after"]                                                            # doctest: +SKIP

The student learns the words that the teacher wrote (sequence-level distillation, Kim and Rush, "Sequence-Level
Knowledge Distillation", arXiv:1606.07947): an endpoint gives its text, never its whole distributions.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.distillation.answers import Answers
from workbench.distillation.teacher import Teacher, Wanted, ask
from workbench.errors import InvalidInput, MissingPart, UnsupportedModel
from workbench.progress import Progress
from workbench.quantities import show_bytes
from workbench.quantizers import source_folder
from workbench.serving import Server

if TYPE_CHECKING:
    from workbench.architecture import Model
    from workbench.jobs import Job

__all__ = ["distill"]

#: Of a job's progress, what asking takes.
ASKING = 0.5
#: Built-in prompts, if none are given.
BUILTIN_PROMPTS = 200
#: Weights, gradients and Adam's two moments, in float32 [bytes a parameter].
BYTES_A_PARAMETER = 16


def distill(
    teacher: str | Server,
    prompts: str | Path | Sequence[str] | None = None,
    student: str | Path | Model = "builtin",
    out: str | Path | None = None,
    *,
    teacher_model: str | None = None,
    api_key: str | None = None,
    answers: str | Path | None = None,
    limit: int | None = None,
    max_tokens: int = 512,
    temperature: float = 0.0,
    concurrency: int = 8,
    retries: int = 5,
    timeout: float = 300.0,
    epochs: int = 3,
    learning_rate: float = 2e-5,
    batch_size: int = 4,
    max_length: int = 1024,
    held_out: float = 0.1,
    seed: int = 0,
    revision: str | None = None,
    download: bool = False,
    overwrite: bool = False,
) -> Job:
    """Fine-tune a model on the answers of another; returns at once.

    Parameters
    ----------
    teacher : str or Server
        Address of a server that speaks OpenAI's API (``http://host:port``), or what ``wb.serve`` returned.
    prompts : str, Path or sequence of str, optional
        A .txt with a prompt in each line, a .jsonl with ``prompt``, ``text`` or ``messages``, or the prompts
        themselves; by default questions about Python's standard library.
    student : str, Path or Model
        ``"builtin"``, a folder, or the id of a model on the Hugging Face Hub, not quantised, with a chat template.
    out : str or Path, optional
        Folder to make; by default ``NAME-distilled`` here. It appears when everything is done, or never.
    teacher_model : str, optional
        Name that the server knows its model by; by default the first one it serves.
    api_key : str, optional
        Sent to the teacher and written nowhere.
    answers : str or Path, optional
        JSON lines that the answers are kept in, also if the job is cancelled or fails; what is there already is not
        asked again. By default ``OUT-answers.jsonl``.
    limit : int, optional
        Prompts used, from the first.
    max_tokens, temperature : int, float
        Of an answer. An answer that is cut at ``max_tokens`` is learned without an end.
    concurrency : int
        Requests under way at once.
    retries : int
        Further attempts at a prompt after HTTP 429, 5xx, a broken connection, silence or garbage.
    timeout : float
        Longest time of a request [s].
    epochs, learning_rate, batch_size : int, float, int
        Of the full fine-tuning with AdamW: a tenth of the steps warms up, a cosine follows.
    max_length : int
        Tokens of a conversation; the rest of a longer one is cut.
    held_out : float
        Share of the answers that is only measured on.
    seed : int
        Of the split and the order.
    revision, download, overwrite
        As :func:`workbench.quantize`.

    Returns
    -------
    Job
        Its result: ``out``, ``teacher_model``, ``prompts``, ``answered``, ``kept`` (from before), ``empty``,
        ``failed``, ``cut``, ``answers`` (the file); ``trained_on``, ``held_out``, ``left_out`` (examples), ``tokens``
        (of answers), ``steps``; ``loss_before``, ``loss_after`` (held out) [nats a token of the answers];
        ``samples`` (what the student says before and after), ``notes``, ``peak_memory`` [bytes], ``seconds``.

    Raises
    ------
    InvalidInput
        For a value, address, file or folder that cannot be used.
    UnsupportedModel
        If the student is quantised.
    MissingPart
        If the student is not on this machine, or memory is too small.

    Notes
    -----
    The terms of many services forbid training on their answers: see that you may.

    The default learning rate and schedule are those of ``zephyr-7b-sft-full``
    (https://github.com/huggingface/alignment-handbook, recipes/zephyr-7b-beta/sft/config_full.yaml); a model of a few
    million parameters wants more, 5e-4 for the built-in one.

    Examples
    --------
    >>> job = distill(server, student="builtin", out="student", learning_rate=5e-4)      # doctest: +SKIP
    """
    from workbench import builtin, jobs
    from workbench.distillation.prompts import chosen

    _numbers(
        ("max_tokens", max_tokens, 1), ("concurrency", concurrency, 1), ("retries", retries, 0), ("epochs", epochs, 1),
        ("batch_size", batch_size, 1), ("max_length", max_length, 16), ("seed", seed, 0),
        ("limit", 2 if limit is None else limit, 2),
    )  # fmt: skip
    _share("held_out", held_out, 1)
    _share("learning_rate", learning_rate, 1)
    _share("timeout", timeout, math.inf)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise InvalidInput(f"temperature is {temperature!r}; a number from 0 to 2 is needed")
    known = _known(teacher, teacher_model, api_key)
    questions = chosen(prompts, limit if limit is not None or prompts is not None else BUILTIN_PROMPTS)
    name = os.fspath(student) if isinstance(student, str | os.PathLike) else os.fspath(student.folder or student.id)
    target = Path(out).expanduser().absolute() if out is not None else Path.cwd() / f"{Path(name).name}-distilled"
    file = Path(answers).expanduser().absolute() if answers else target.with_name(f"{target.name}-answers.jsonl")
    if target == file or target in file.parents:
        raise InvalidInput(f"{file} lies inside the result; keep the answers beside it, so that they outlive a failure")
    kept = Answers(file)
    kept.read()
    wanted = Wanted(max_tokens, float(temperature), concurrency, retries, float(timeout))
    local = source_folder(student, revision)
    if local is not None:
        check(local, target, batch_size, max_length)
    elif name != builtin.NAME and not download:
        raise MissingPart(
            f"{name} is not on this machine; allow it to be downloaded (download=True, --download) or give a folder"
        )

    def prepare(tell: Callable[[Progress], None], cancel: threading.Event) -> Mapping[str, Any]:
        folder = local
        if folder is None and name == builtin.NAME:
            folder = builtin.ensure(tell)
        elif folder is None:
            from workbench import hub

            folder = hub.checkpoint(name, revision, progress=tell, cancel=cancel)
        check(folder, target, batch_size, max_length)
        if isinstance(teacher, Server):
            _await(teacher, tell)

        def asking(at: Progress) -> None:
            tell(Progress(None if at.fraction is None else ASKING * at.fraction, at.stage, at.detail, at.seconds_left))

        who = known()
        found = ask(who, questions, kept, wanted, asking)
        return {"student": str(folder), "teacher": who.url, "asked": found.to_dict(), "keys": found.keys}

    request = {
        "begin": ASKING, "epochs": epochs, "learning_rate": float(learning_rate), "batch_size": batch_size,
        "max_length": max_length, "held_out": float(held_out), "seed": seed, "answers": str(file),
    }  # fmt: skip
    return jobs.start(
        f"distil into {name}",
        "workbench.distillation.worker",
        request,
        builtin.ENVIRONMENT,
        target,
        overwrite=overwrite,
        prepare=prepare,
        provenance={"model": name, "revision": revision},
        variables={"HF_HUB_OFFLINE": "1", **builtin.SLEEP_WHILE_WAITING},
    )


def check(folder: Path, out: Path, batch_size: int, max_length: int) -> None:
    """Refuse a student that cannot be trained, before the teacher is asked.

    Raises
    ------
    UnsupportedModel, InvalidInput, MissingPart
        It is quantised; it has no chat template or the target lies inside it; memory is too small.
    """
    from workbench import machine
    from workbench.quality.tokens import has_chat_template, without_template
    from workbench.quantizers.source import read

    student = read(folder)
    if student.quantization:
        raise UnsupportedModel(
            f"{folder.name} is quantised ({student.quantization}) and cannot be fine-tuned; take the 16-bit checkpoint"
        )
    if student.config.get("auto_map"):
        raise UnsupportedModel(f"{folder.name} asks to run code that comes with it (auto_map), which is never done")
    if not has_chat_template(folder):
        raise without_template(folder)
    if out == folder or folder in out.parents:
        raise InvalidInput(f"{out} lies inside the student's own folder; choose a folder outside it")
    # Logits in float32, their softmax and its gradient.
    words = student.config.get("vocab_size")
    logits = 3 * 4 * batch_size * max_length * (words if isinstance(words, int) else 0)
    memory = BYTES_A_PARAMETER * student.parameters + logits
    here = machine.describe(out)
    if not here.gpus and memory > here.memory_available:
        raise MissingPart(
            f"training {folder.name} needs about {show_bytes(memory)} of memory, "
            f"{show_bytes(here.memory_available)} are free; take a smaller student, batch_size or max_length"
        )


def _known(teacher: str | Server, model: str | None, api_key: str | None) -> Callable[[], Teacher]:
    """The teacher, checked now where its address is known now; a server may still be choosing its port."""
    if isinstance(teacher, Server):
        server = teacher
        return lambda: Teacher.at(server.url, model, api_key)
    if not isinstance(teacher, str):
        raise InvalidInput("give a teacher: the address of a server (http://host:port), or what wb.serve returned")
    found = Teacher.at(teacher, model, api_key)
    return lambda: found


def _await(server: Server, tell: Callable[[Progress], None]) -> None:
    """Until the teacher answers; tells, so that the job can be cancelled meanwhile."""
    while True:
        try:
            server.wait_ready(0.2)
            return
        except TimeoutError:
            tell(Progress(None, "waiting for the teacher", server.stage))


def _numbers(*asked: tuple[str, Any, int]) -> None:
    for name, value, low in asked:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InvalidInput(f"{name} is {value!r}; a whole number of at least {low} is needed")


def _share(name: str, value: Any, high: float) -> None:
    """A number above 0 and below ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < high:
        below = "" if math.isinf(high) else f" and below {high:g}"
        raise InvalidInput(f"{name} is {value!r}; a number above 0{below} is needed")
