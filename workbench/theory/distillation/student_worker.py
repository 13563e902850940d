"""Train students side by side and measure them: the worker of :func:`workbench.theory.distillation.student.teach`.

It runs in the ``quantize`` environment. The teacher looks at each batch once, and every student learns from that look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidInput, UnsupportedModel
from workbench.quality.measure import divergence
from workbench.quality.torch_model import TorchModel
from workbench.quality.windows import STRIDE, WINDOW, passages, windows
from workbench.theory.distillation.features import followed_layers

if TYPE_CHECKING:
    from workbench.worker import Worker

_WARM, _LEAST = 20, 0.02
#: Steps between two losses that are kept.
_KEPT_EVERY = 10
_BETAS = (0.9, 0.95)


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Train, save and measure; what is asked and found: see :func:`~workbench.theory.distillation.student.teach`."""
    started = time.monotonic()
    worker.progress(0.0, "loading the libraries")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(request["threads"])
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it
    folder = Path(request["teacher"])
    reader = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    teacher = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    if teacher.config.model_type != "llama":
        raise UnsupportedModel(f"the teacher is a {teacher.config.model_type}; students are made for a Llama only")

    worker.progress(0.02, "reading the text")
    data = _data(reader, request["documents"], request["length"])
    students = [_student(teacher, lesson, seed, request) for seed in request["seeds"] for lesson in request["lessons"]]
    _train(teacher, students, data, request, worker.progress)
    if worker.out is not None:
        for student in students:
            place = worker.out / f"{student.lesson['name']}-{student.seed}"
            student.model.save_pretrained(place)
            reader.save_pretrained(place)
    texts = passages(
        request["held_out"], lambda text: reader(text, verbose=False).input_ids, request["measured_tokens"]
    )
    measured = _measure(teacher, students, texts, lambda done: worker.progress(0.85 + 0.15 * done, "measuring"))
    tokens_seen = request["steps"] * request["batch_size"] * request["length"]
    return {**measured, "tokens_seen": tokens_seen, "seconds": time.monotonic() - started}


@dataclass
class _Student:
    """A student, its lesson, what turns its states into the teacher's, and what moves both."""

    lesson: dict[str, Any]
    seed: int
    model: Any
    projections: Any
    optimizer: Any
    schedule: Any
    losses: list[tuple[int, float]] = field(default_factory=list)


def _data(reader: Any, documents: Sequence[str], length: int) -> Any:
    """All documents one after the other, in rows of `length` tokens, shape (rows, length)."""
    import torch

    stream: list[int] = []
    for ids in reader(list(documents), verbose=False).input_ids:
        stream += [*ids, reader.eos_token_id]
    rows = len(stream) // length
    if not rows:
        raise InvalidInput(f"the documents have {len(stream)} tokens; a row takes {length}, so give more text")
    return torch.tensor(stream[: rows * length]).view(rows, length)


def _student(teacher: Any, lesson: dict[str, Any], seed: int, request: dict[str, Any]) -> _Student:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    shape, steps = request["shape"], request["steps"]
    fields = {key: value for key, value in teacher.config.to_dict().items() if key != "architectures"}
    heads = shape.get("num_attention_heads", teacher.config.num_attention_heads)
    queries = teacher.config.num_attention_heads // teacher.config.num_key_value_heads
    torch.manual_seed(seed)  # students of one seed begin alike, whatever their lesson
    fields |= {"num_key_value_heads": max(heads // queries, 1), "dtype": "float32", **shape}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**fields), dtype=torch.float32).train()
    layers = followed_layers(model.config.num_hidden_layers, teacher.config.num_hidden_layers)
    narrow, wide = model.config.hidden_size, teacher.config.hidden_size
    projections = torch.nn.ModuleList(torch.nn.Linear(narrow, wide, bias=False) for _ in layers)
    learned = [*model.parameters(), *(projections.parameters() if lesson["features"] else ())]
    optimizer = torch.optim.AdamW(learned, lr=request["learning_rate"], betas=_BETAS, weight_decay=0.0)
    warm = min(_WARM, steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1.0) * max(_LEAST, 1 - step / steps)
    )
    return _Student(lesson, seed, model, projections, optimizer, schedule)


def _train(
    teacher: Any, students: list[_Student], data: Any, request: dict[str, Any], tell: Callable[..., None]
) -> None:
    """So many steps of all students, those of one seed on the same rows."""
    import torch

    began, steps, size = time.monotonic(), request["steps"], request["batch_size"]
    for at, seed in enumerate(request["seeds"]):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randint(len(data), (steps, size), generator=generator)
        mine = [student for student in students if student.seed == seed]
        for step in range(steps):
            batch = data[order[step]]
            with torch.no_grad():
                shown = look(teacher, batch)
            for student in mine:
                loss = lesson_loss(student.lesson, look(student.model, batch), shown, student.projections, batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(student.model.parameters(), 1.0)
                student.optimizer.step()
                student.schedule.step()
                student.optimizer.zero_grad()
                if step % _KEPT_EVERY == 0 or step == steps - 1:
                    student.losses.append((step, float(loss.detach())))
            done = (at * steps + step + 1) / (len(request["seeds"]) * steps)
            left = (time.monotonic() - began) * (1 / done - 1)
            tell(0.03 + 0.82 * done, "training", f"seed {seed}, step {step + 1} of {steps}", left)


def look(model: Any, batch: Any) -> tuple[Any, Sequence[Any]]:
    """What a model says after each token but the last, and what leaves its layers.

    Returns
    -------
    logits : tensor, shape (rows × (length − 1), vocabulary)
    states : sequence of tensors, shape (rows, length, width), one a layer
    """
    found = model(batch, use_cache=False, output_hidden_states=True)
    return found.logits[:, :-1].flatten(0, 1), found.hidden_states[1:]


def lesson_loss(lesson: dict[str, Any], student: Any, teacher: Any, projections: Any, batch: Any) -> Any:
    """The loss of a lesson: labels, softened logits and hidden states, each by its weight.

    Parameters
    ----------
    lesson : dict
        Fields of :class:`~workbench.theory.distillation.student.Lesson`.
    student, teacher : (tensor, sequence of tensors)
        Of :func:`look`.
    projections : sequence of modules
        One a layer of the student, from its width to the teacher's.
    batch : tensor, shape (rows, length)
    """
    import torch
    from torch.nn.functional import cross_entropy

    (logits, states), (taught, followed) = student, teacher
    loss = torch.zeros(())
    if lesson["labels"]:
        loss = loss + lesson["labels"] * cross_entropy(logits, batch[:, 1:].flatten())
    if lesson["logits"]:
        temperature = lesson["temperature"]
        p, q = (torch.log_softmax(each / temperature, -1) for each in (taught, logits))
        apart = torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean")
        loss = loss + lesson["logits"] * temperature**2 * apart
    if lesson["features"]:
        targets = [followed[layer - 1] for layer in followed_layers(len(states), len(followed))]
        errors = [
            (project(state) - target).square().sum() / target.square().sum()
            for project, state, target in zip(projections, states, targets, strict=True)
        ]
        loss = loss + lesson["features"] * sum(errors) / len(errors)
    return loss


def _measure(
    teacher: Any, students: list[_Student], texts: Sequence[Sequence[int]], tell: Callable[[float], None]
) -> dict[str, Any]:
    """Sums of each window [nats]: divergence from the teacher and negative log-likelihood of the text."""
    original, models = TorchModel(teacher), [TorchModel(student.model) for student in students]
    counts: list[int] = []
    own: list[float] = []
    found: list[dict[str, Any]] = [{"divergence": [], "nll": [], "same": 0} for _ in students]
    for number, ids in enumerate(texts):
        for start, end, first in windows(len(ids), WINDOW, STRIDE):
            said = original.log_probs(ids[start:end], first - start)
            at = (range(end - first), list(ids[first:end]))
            counts.append(end - first)
            own.append(-float(said[at].sum()))
            for model, into in zip(models, found, strict=True):
                rows = model.log_probs(ids[start:end], first - start)
                into["divergence"].append(float(divergence(said, rows).sum()))
                into["nll"].append(-float(rows[at].sum()))
                into["same"] += int((said.argmax(1) == rows.argmax(1)).sum())
        tell((number + 1) / len(texts))
    return {
        "windows": counts,
        "teacher": {"nll": own, "parameters": _parameters(teacher)},
        "students": [
            {
                "lesson": student.lesson["name"],
                "seed": student.seed,
                "parameters": _parameters(student.model),
                "divergence": into["divergence"],
                "nll": into["nll"],
                "agreement": into["same"] / sum(counts),
                "losses": student.losses,
            }
            for student, into in zip(students, found, strict=True)
        ],
    }


def _parameters(model: Any) -> int:
    return sum(each.numel() for each in model.parameters())
