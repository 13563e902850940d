"""The model measured before and after, on the same text and the same tasks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.builtin import text
from workbench.quality import tasks
from workbench.quality.measure import Measured, Original, Scored, facts, measure
from workbench.quality.tokens import Decode, Encode
from workbench.quality.torch_model import TorchModel
from workbench.quality.windows import STRIDE, WINDOW, passages

#: Takes the share done and the stage.
Tell = Callable[[float, str], None]
Load = Callable[[], Scored]


@dataclass
class Evaluation:
    """What is measured, and what was found so far.

    Parameters
    ----------
    folder : Path
        The original: its tokenizer is used for both.
    work : Path
        Where what the original said is kept meanwhile.
    encode, decode : callable
        Its tokenizer.
    tokens : int
        Tokens of held-out text; 0: neither text nor tasks.
    asked : sequence of str
        Tasks of lm-eval.
    dtype : str
        Float that 16-bit weights are widened to.
    """

    folder: Path
    work: Path
    encode: Encode
    decode: Decode
    tokens: int
    asked: Sequence[str]
    dtype: str
    passages: list[list[int]] = field(init=False, default_factory=list)
    found: list[Measured] = field(init=False, default_factory=list)
    answers: list[dict[str, Any]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.documents: list[str] = []
        if self.tokens:  # the text is read out of Python's own library, which takes seconds
            self.documents = [document.text for document in text.held_out()]
            self.passages = passages(self.documents, self.encode, self.tokens)

    def before(self, load: Load, tell: Tell) -> None:
        """Measure the original and keep what it says."""
        self._measure(load, tell, "measuring the original", keep=Original(self.work))

    def after(self, load: Load, tell: Tell) -> None:
        """Measure the result and hold it against the original."""
        self._measure(load, tell, "measuring the result", against=Original(self.work))

    def _measure(self, load: Load, tell: Tell, stage: str, **original: Original) -> None:
        if not self.passages:
            return
        tell(0.0, stage)
        model = load()
        share = 0.5 if self.asked else 1.0
        self.found.append(measure(model, self.passages, progress=lambda done: tell(share * done, stage), **original))
        if self.asked and isinstance(model, TorchModel):
            self.answers.append(
                tasks.evaluate(
                    model, self.folder, self.asked, self.documents, self.work,
                    progress=lambda task: tell(share, f"{stage}: {task}"),
                )
            )  # fmt: skip
        del model
        gc.collect()

    def facts(self) -> dict[str, Any]:
        """Both measurements as fields of a result; empty ones where nothing was measured."""
        if len(self.found) < 2:
            return {"perplexity_before": None, "perplexity_after": None, "evaluation": None}
        first, second = self.found
        told = facts(first, second, self.decode, self.passages)
        told["evaluation"] = {
            "text": "built-in, held out", "tokens": first.tokens, "documents": len(self.passages), "window": WINDOW,
            "stride": STRIDE, "dtype": self.dtype, "compared": second.compared, "blocks": told.pop("blocks"),
        }  # fmt: skip
        return {**told, "measured_in": second.runs_in, "tasks": self._tasks()}

    def _tasks(self) -> dict[str, Any]:
        if len(self.answers) < 2:
            return {}
        before, after = self.answers
        return {
            task: {
                "metric": before[task]["metric"], "questions": before[task]["questions"],
                "before": before[task]["value"], "before_error": before[task]["error"],
                "after": after[task]["value"], "after_error": after[task]["error"],
            }
            for task in self.asked
        }  # fmt: skip
