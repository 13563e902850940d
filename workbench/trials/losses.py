"""What methods of quantisation were measured to lose: our own runs, kept, and larger models as published.

``data/measurements/quantization_builtin.csv`` is one series of trials on the built-in model, on one text; what carries
over to other models is the order more than the amount (``quantization_loss_cited.csv`` has larger ones).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.datafiles import read_rows
from workbench.trials.record import Trial

if TYPE_CHECKING:
    import pandas as pd

#: What is measured, in the order of :class:`Loss`.
FIGURES = ("kl_divergence", "top1_agreement", "change", "change_low", "change_high", "seconds")
COLUMNS = (
    "choice", "library", "bits", "bytes_before", "bytes", "perplexity_before", "perplexity", *FIGURES, "tokens",
    "compared", "measured_in", "model", "reason", "date", "source",
)  # fmt: skip
_OWN = ("measurements", "quantization_builtin.csv")
_CITED = ("measurements", "quantization_loss_cited.csv")


@dataclass(frozen=True, slots=True)
class Loss:
    """What a method lost.

    Parameters
    ----------
    kl_divergence : float
        Of the original from the result [nats a token].
    top1_agreement : float
        Share of tokens at which both say the same, decoding greedily.
    change, low, high : float
        Of perplexity, relative, with its 90 % interval.
    seconds : float
        That quantising took, text read and packing included, loading and measuring not [s].
    model : str
        What it was measured on.
    source : str
        By whom, with what, when.
    """

    kl_divergence: float
    top1_agreement: float
    change: float
    low: float
    high: float
    seconds: float
    model: str
    source: str


def measured() -> dict[str, Loss]:
    """Our own runs on the built-in model, by the choice as it is written ("gguf:type=Q8_0").

    Examples
    --------
    >>> found = measured()
    >>> found["w4a16_rtn"].kl_divergence > found["fp8_dynamic"].kl_divergence
    True
    """
    return {row["choice"]: _read(row) for row in read_rows(*_OWN) if row["kl_divergence"]}


def _read(row: Mapping[str, str]) -> Loss:
    value = {name: float(row[name]) for name in FIGURES}
    return Loss(
        value["kl_divergence"],
        value["top1_agreement"],
        value["change"],
        value["change_low"],
        value["change_high"],
        value["seconds"],
        row["model"],
        row["source"],
    )


def of_trials(trials: Iterable[Trial]) -> dict[str, Loss]:
    """The same of trials of one's own; those that were not measured are left out."""
    found = {}
    for trial in trials:
        if trial.change is not None and trial.result.get("kl_divergence") is not None:
            value, low, high = map(math.expm1, trial.change)
            told = trial.result
            seconds = float(told["seconds_quantising"])
            found[trial.choice.word] = Loss(
                told["kl_divergence"], told["top1_agreement"], value, low, high, seconds, "own", "own trials"
            )
    return found


def kept_rows(trials: Iterable[Trial], *, model: str, date: str, source: str) -> list[dict[str, str]]:
    """Trials as rows of ``data/measurements/quantization_builtin.csv``; what could not be made has its reason.

    Parameters
    ----------
    trials : iterable of Trial
        Such as ``open_folder(…).rows``.
    model, date, source : str
        What was measured, when, and how.
    """
    rows = []
    for trial in trials:
        told, lost = trial.result, of_trials([trial]).get(trial.choice.word)
        row = {"choice": trial.choice.word, "model": model, "date": date, "source": source, "reason": trial.reason}
        row |= dict.fromkeys(FIGURES, "")
        if lost is not None:
            figures = (
                lost.kl_divergence, lost.top1_agreement, lost.change, lost.low, lost.high, lost.seconds,
            )  # fmt: skip
            row |= {name: f"{value:.5g}" for name, value in zip(FIGURES, figures, strict=True)}
            row |= {
                "library": trial.choice.how.library,
                "bits": f"{told['bits_per_weight']:.4f}",
                "bytes_before": str(told["bytes_before"]),
                "bytes": str(told["bytes_after"]),
                "perplexity_before": f"{told['perplexity_before']:.3f}",
                "perplexity": f"{told['perplexity_after']:.3f}",
                "tokens": str(told["evaluation"]["tokens"]),
                "compared": str(told["evaluation"]["compared"]),
                "measured_in": told["measured_in"] or "transformers, unpacked",
            }
        rows.append({name: row.get(name, "") for name in COLUMNS})
    return rows


def cited() -> pd.DataFrame:
    """What others measured on larger models: choice, model, relative change of perplexity, its error, source."""
    import pandas as pd

    table = pd.DataFrame(read_rows(*_CITED))
    for name in ("change", "error"):
        table[name] = pd.to_numeric(table[name])
    return table
