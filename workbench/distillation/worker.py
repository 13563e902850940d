"""Fine-tune a student on a teacher's answers, and measure it on answers it did not learn from.

A worker: it runs in the ``quantize`` environment. Every weight is trained: that environment has no peft, and what
comes out is a plain checkpoint, which any quantiser and engine takes.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.distillation.answers import Answers
from workbench.distillation.examples import IGNORED, Example, example, split
from workbench.errors import InvalidInput
from workbench.quantizers.worker import take_over

if TYPE_CHECKING:
    from workbench.worker import Worker

#: Where transformers' Trainer may write; nothing of it is kept.
_WORK = ".training"
#: Held-out conversations whose beginning the student continues, and tokens it says.
_SAMPLES, _SAID = 3, 48


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Train ``student`` into the worker's folder.

    Parameters
    ----------
    request : dict
        ``student`` (folder), ``answers`` (the file), ``keys`` (which of them), ``asked`` (figures of the asking),
        ``epochs``, ``learning_rate``, ``batch_size``, ``max_length``, ``held_out`` (share), ``seed``, ``begin`` (of
        the progress).
    worker : Worker
        Takes progress; ``out`` is the folder to write.
    """
    started = time.monotonic()
    out, folder, begin = worker.out, Path(request["student"]), float(request["begin"])
    assert out is not None

    def tell(fraction: float, stage: str, detail: str = "", seconds_left: float | None = None) -> None:
        worker.progress(begin + (1 - begin) * fraction, stage, detail, seconds_left)

    tell(0.0, "loading the libraries")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(request["seed"])
    reader = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if reader.pad_token is None:
        reader.pad_token = reader.eos_token
    tell(0.02, "reading the answers")
    length = min(int(request["max_length"]), _longest(folder))
    answers = Answers(Path(request["answers"]))
    answers.read()
    lines = [line for key in request["keys"] if (line := answers.of(key)) is not None]
    made = [
        example(reader, line["messages"], ended=line["finish_reason"] != "length", max_length=length) for line in lines
    ]
    usable = [found for found in made if found is not None]
    if len(usable) < 2:
        raise InvalidInput(
            f"{len(usable)} of {len(made)} conversations have an answer within max_length {length} tokens, at least 2 "
            "are needed: one to learn from and one to measure on; take a larger max_length"
        )
    learned, kept = split(usable, request["held_out"], request["seed"])

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False)
    dtype = model.dtype
    model = model.float().to("cuda" if torch.cuda.is_available() else "cpu")
    tell(0.05, "measuring the student")
    before, said = loss(model, kept), _said(model, reader, kept)
    steps = _train(model, reader, learned, request, out / _WORK, tell)
    shutil.rmtree(out / _WORK, ignore_errors=True)

    tell(0.92, "saving")
    model.to(dtype).save_pretrained(out)
    take_over(folder, out)
    tell(0.95, "measuring what was learned")
    del model
    # What was saved, its rounding included; a cast and back would round the rotary frequencies too.
    model = AutoModelForCausalLM.from_pretrained(out, dtype="auto", trust_remote_code=False).float()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    after, says = loss(model, kept), _said(model, reader, kept)
    notes = []
    if after >= before:
        notes.append(
            "the held-out loss did not fall: more answers, another learning_rate (5e-4 suits a few million "
            "parameters, 2e-5 a few thousand million) or fewer epochs may help"
        )
    cut = int(request["asked"]["cut"])
    if cut:
        notes.append(f"{cut} answers were cut at max_tokens and are learned without an end")
    return {
        **request["asked"],
        "answers": request["answers"],
        "trained_on": len(learned),
        "held_out": len(kept),
        "left_out": len(made) - len(usable),
        "tokens": sum(found.tokens for found in learned),
        "held_out_tokens": sum(found.tokens for found in kept),
        "epochs": request["epochs"],
        "steps": steps,
        "loss_before": before,
        "loss_after": after,
        "samples": [
            {"prompt": prompt, "teacher": teacher, "before": first, "after": second}
            for (prompt, teacher, first), (_, _, second) in zip(said, says, strict=True)
        ],
        "notes": notes,
        "peak_memory": _peak_memory(),
        "seconds": time.monotonic() - started,
    }


def loss(model: Any, examples: Sequence[Example]) -> float:
    """Mean negative log-likelihood of the answers' tokens [nats], every token counted once."""
    import torch

    model.eval()
    total = 0.0
    with torch.inference_mode():
        for found in examples:
            ids = torch.tensor([found.ids], device=model.device)
            labels = torch.tensor(found.labels[1:], device=model.device)
            logits = model(ids, use_cache=False).logits[0, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum"))
    return total / sum(found.tokens for found in examples)


def _train(
    model: Any, reader: Any, learned: list[Example], request: dict[str, Any], folder: Path, tell: Callable[..., None]
) -> int:
    """Train by transformers' Trainer; returns the steps it took."""
    import torch
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    began = time.monotonic()

    class Telling(TrainerCallback):  # type: ignore[misc]
        """Progress after each step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            done, total = state.global_step, state.max_steps
            left = (time.monotonic() - began) / done * (total - done)
            tell(0.1 + 0.82 * done / total, "training", f"step {done} of {total}", left)

    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=request["epochs"],
        learning_rate=request["learning_rate"],
        per_device_train_batch_size=request["batch_size"],
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        seed=request["seed"],
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    tell(0.1, "training")
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=[{"input_ids": e.ids, "attention_mask": [1] * len(e.ids), "labels": e.labels} for e in learned],
        data_collator=DataCollatorForSeq2Seq(reader, label_pad_token_id=IGNORED),
        callbacks=[Telling()],
    )
    return int(trainer.train().global_step)


def _said(model: Any, reader: Any, kept: Sequence[Example]) -> list[tuple[str, str, str]]:
    """Prompt, what the teacher says and what the student says, of a few conversations."""
    import torch

    model.eval()
    found = []
    for held in kept[:_SAMPLES]:
        start = next(n for n, label in enumerate(held.labels) if label != IGNORED)
        ids = torch.tensor([held.ids[:start]], device=model.device)
        with torch.inference_mode():
            said = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=_SAID, do_sample=False, temperature=None,
                top_p=None, top_k=None, pad_token_id=reader.pad_token_id,
            )  # fmt: skip
        teacher = reader.decode(held.ids[start : start + _SAID], skip_special_tokens=True)
        student = reader.decode(said[0, start:], skip_special_tokens=True)
        found.append((str(reader.decode(held.ids[:start], skip_special_tokens=True)), str(teacher), str(student)))
    return found


def _longest(folder: Path) -> int:
    """Most tokens the student can see."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return int(getattr(config, "max_position_embeddings", None) or 2**31)


def _peak_memory() -> int:
    """Most memory this process has held [bytes]."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
