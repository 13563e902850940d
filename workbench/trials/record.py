"""What was tried, kept in a file: it can be opened again and extended.

``trials.json`` lies in a folder of its own, beside the checkpoints that were made (a folder each).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.errors import InvalidInput
from workbench.planner.search import pareto
from workbench.quality.resampling import log_ratio
from workbench.trials.choice import Choice

if TYPE_CHECKING:
    import pandas as pd

FILE = "trials.json"
VERSION = 1

Outcome = Literal["done", "failed", "refused", "cancelled"]


@dataclass(frozen=True)
class Answer:
    """Whether an engine loaded a result and answered.

    Parameters
    ----------
    engine : str
        "vllm", "llama.cpp" or "transformers".
    answered : bool
    said : str
        What it answered, or why it did not.
    seconds : float
        From its start to the answer [s].
    version : str
        Of the engine, where it says so.
    """

    engine: str
    answered: bool
    said: str
    seconds: float = 0.0
    version: str = ""


@dataclass(frozen=True)
class Trial:
    """One method tried.

    Parameters
    ----------
    choice : Choice
        What was tried.
    outcome : {"done", "failed", "refused", "cancelled"}
        "refused": the preflight said no, and nothing was written.
    reason : str
        Why it is not done.
    result : mapping
        What :func:`workbench.quantize` reports.
    answers : tuple of Answer
        The engines it was tried in.
    """

    choice: Choice
    outcome: Outcome
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()

    @property
    def loads_in(self) -> list[str]:
        """Engines that really loaded it and answered."""
        return [answer.engine for answer in self.answers if answer.answered]

    @property
    def change(self) -> tuple[float, float, float] | None:
        """ln of perplexity after over before, with its 90 % interval by a paired bootstrap; None if not measured."""
        blocks = (self.result.get("evaluation") or {}).get("blocks") or []
        if len(blocks) < 2:
            return None
        tokens, before, after = zip(*blocks, strict=True)
        return log_ratio(tokens, before, after)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        choice = {"method": self.choice.method, "parameters": dict(self.choice.parameters)}
        return {
            **choice,
            "outcome": self.outcome,
            "reason": self.reason,
            "loads_in": self.loads_in,
            "answers": [asdict(answer) for answer in self.answers],
            "result": dict(self.result),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Trial:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            Choice(fields["method"], fields["parameters"]),
            fields["outcome"],
            fields["reason"],
            fields["result"],
            tuple(Answer(**answer) for answer in fields["answers"]),
        )


class Trials:
    """Everything tried on one model, in the order it was first tried.

    Parameters
    ----------
    folder : Path
        Where the file and the checkpoints lie.
    model : str
        What was quantised; empty before the first.

    Attributes
    ----------
    rows : list of Trial
    """

    def __init__(self, folder: Path, model: str = "") -> None:
        self.folder, self.model = folder, model
        self.rows: list[Trial] = []

    def add(self, trial: Trial) -> None:
        """Add a trial, or put it in place of the one of the same choice; the file is written whole."""
        place = next((n for n, row in enumerate(self.rows) if row.choice == trial.choice), len(self.rows))
        self.rows[place : place + 1] = [trial]
        self.save()

    def save(self) -> None:
        """Write the file: whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / FILE
        fields = {"schema_version": VERSION, "model": self.model, "trials": [row.to_dict() for row in self.rows]}
        partial = file.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as opened:
            json.dump(fields, opened, indent=1)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)

    def frame(self) -> pd.DataFrame:
        """A row a trial.

        Returns
        -------
        DataFrame
            ``label``, ``method``, ``outcome``, ``reason``, ``seconds`` [s], ``bytes``, ``bytes_estimated``, ``bits``,
            ``bits_estimated`` (a quantised weight), ``perplexity``, ``perplexity_before``, ``change``, ``change_low``,
            ``change_high`` (of perplexity, relative), ``kl_divergence`` [nats a token], ``top1_agreement``,
            ``layer_error`` (of the last layer, relative), ``peak_memory`` [bytes], ``loads_in`` (engines) and
            ``front`` (no other is both smaller and nearer to the original).
        """
        import pandas as pd

        table = pd.DataFrame([_row(trial) for trial in self.rows], columns=COLUMNS)
        table["front"] = False
        measured = table[table["kl_divergence"].notna()]
        if len(measured):
            best = pareto(np.asarray(measured[["bytes", "kl_divergence"]], float))
            table.loc[measured.index, "front"] = best
        return table


COLUMNS = (
    "label", "title", "method", "outcome", "reason", "seconds", "bytes", "bytes_estimated", "bits", "bits_estimated",
    "perplexity_before", "perplexity", "change", "change_low", "change_high", "kl_divergence", "top1_agreement",
    "layer_error", "peak_memory", "loads_in", "out",
)  # fmt: skip


def _row(trial: Trial) -> dict[str, Any]:
    result = trial.result
    value, low, high = trial.change or (None, None, None)
    errors = result.get("layer_errors") or [None]
    return {
        "label": trial.choice.word,
        "title": trial.choice.title,
        "method": trial.choice.method,
        "outcome": trial.outcome,
        "reason": trial.reason,
        "seconds": result.get("seconds"),
        "bytes": result.get("bytes_after"),
        "bytes_estimated": result.get("bytes_estimated"),
        "bits": result.get("bits_per_weight"),
        "bits_estimated": result.get("bits_estimated"),
        "perplexity_before": result.get("perplexity_before"),
        "perplexity": result.get("perplexity_after"),
        "change": None if value is None else float(np.expm1(value)),
        "change_low": None if low is None else float(np.expm1(low)),
        "change_high": None if high is None else float(np.expm1(high)),
        "kl_divergence": result.get("kl_divergence"),
        "top1_agreement": result.get("top1_agreement"),
        "layer_error": errors[-1],
        "peak_memory": result.get("peak_memory"),
        "loads_in": ", ".join(trial.loads_in),
        "out": result.get("out"),
    }


def open_folder(folder: str | Path) -> Trials:
    """The trials of a folder; none yet where there is no file.

    Raises
    ------
    InvalidInput
        If the file is damaged or of a later version.
    """
    place = Path(folder).expanduser().absolute()
    file = place / FILE
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Trials(place)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}; move it away to begin anew") from None
    try:
        if fields["schema_version"] > VERSION:
            raise InvalidInput(f"{file} was written by a later workbench; update this one to read it")
        found = Trials(place, str(fields["model"]))
        found.rows = [Trial.from_dict(row) for row in fields["trials"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{file} is no file of trials ({error}); move it away to begin anew") from None
    return found
