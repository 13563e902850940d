"""A whole model in eight bits: every linear layer replaced, scales calibrated by hooks, perplexity before and after.

What FP8 in practice is: weights are rounded once and kept, a byte each, with a scale for each matrix or output channel;
activations are rounded at every product, with a scale that was calibrated (static) or is measured in each token as it
comes (dynamic). Embeddings, norms and the last matrix, which gives the words, stay as they are; so does attention.

It needs torch, so it runs as a job in the environment ``quantize``: :mod:`whole_model_worker` is the code to read. What
it found on the built-in model lies in ``data/measurements/whole_model_eight_bits.csv``.

References
----------
Micikevicius and others, "FP8 Formats for Deep Learning", arXiv 2209.05433, section 3 (scales, calibration). The same
passes ready for use: ``FP8`` and ``FP8_DYNAMIC`` of https://github.com/vllm-project/llm-compressor, which
``workbench quantize`` runs as fp8_static and fp8_dynamic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.datafiles import read_rows
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

    from workbench.jobs import Job

#: The environment that has torch and transformers.
ENVIRONMENT = "quantize"
MEASURED = ("measurements", "whole_model_eight_bits.csv")


@dataclass(frozen=True)
class Pass:
    """How the linear layers of a model are rounded.

    Parameters
    ----------
    number : {"fp8", "int8"}
        E4M3, or whole numbers.
    weights : {"none", "tensor", "channel"}
        What has a scale of its own: nothing (a bare cast), each matrix, each output channel.
    inputs : {"kept", "calibrated", "token"}
        The activations: as they are (weight-only), with one scale a layer that was calibrated, with one a token.
    """

    number: Literal["fp8", "int8"]
    weights: Literal["none", "tensor", "channel"]
    inputs: Literal["kept", "calibrated", "token"]

    def __post_init__(self) -> None:
        choices = {"number": ("fp8", "int8"), "weights": ("none", "tensor", "channel")}
        choices |= {"inputs": ("kept", "calibrated", "token")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; give one of {', '.join(allowed)}")
        if self.weights == "none" and self.number == "int8":
            raise InvalidInput("weights without a scale are all rounded to 0 in INT8; give tensor or channel")


#: From the crudest to the finest.
PASSES: Sequence[Pass] = (
    Pass("fp8", "none", "kept"),
    Pass("fp8", "tensor", "kept"),
    Pass("fp8", "tensor", "calibrated"),
    Pass("fp8", "channel", "calibrated"),
    Pass("fp8", "channel", "token"),
    Pass("int8", "tensor", "calibrated"),
    Pass("int8", "channel", "calibrated"),
    Pass("int8", "channel", "token"),
)


def start(
    folder: str | Path,
    passes: Sequence[Pass] = PASSES,
    *,
    calibration: Sequence[str],
    held_out: Sequence[str],
    tokens: int = 4096,
    outliers: float = 1.0,
) -> Job:
    """Measure a model as it is and after each pass; returns at once.

    Parameters
    ----------
    folder : str or Path
        A checkpoint of transformers' Llama kind, not quantised; nothing is written there.
    passes : sequence of Pass
    calibration : sequence of str
        Texts that activations are measured on; about as many tokens are read as are scored.
    held_out : sequence of str
        Other texts, which perplexity is measured on.
    tokens : int
        How many of these are scored, at least.
    outliers : float
        Each MLP's inputs are made this many times larger in every 64th channel, and the weights that meet them smaller
        by as much: the same function, with the outliers that large models have and a small one lacks. 1: as it is.

    Returns
    -------
    Job
        Its result: ``rows``, a dictionary for the original and for each pass (``perplexity``; for a pass
        ``kl_divergence`` [nats a token] from the original and ``top1_agreement``; ``linear_bytes``, what the layers
        take as they lie in memory [B]; ``blocks``, tokens and negative log-likelihood [nats] a window);
        ``refused``, what is said to a model that is loaded in float8 without scales and asked; ``scored`` tokens.

    Raises
    ------
    InvalidInput
        If no text or pass is given, or a number is out of range.
    """
    from workbench import jobs

    if not calibration or not held_out or not passes:
        raise InvalidInput("give texts to calibrate on, others to measure on, and at least one pass")
    if tokens < 2 or not outliers >= 1:
        raise InvalidInput(f"tokens is {tokens} and outliers {outliers}; give at least 2 and at least 1")
    request = {
        "folder": str(folder), "passes": [asdict(each) for each in passes], "calibration": list(calibration),
        "held_out": list(held_out), "tokens": tokens, "outliers": float(outliers),
    }  # fmt: skip
    return jobs.start(
        "round a whole model to eight bits",
        "workbench.theory.quantisation.whole_model_worker",
        request,
        ENVIRONMENT,
        variables={"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )


def table(result: Mapping[str, Any]) -> DataFrame:
    """What :func:`start`'s job found as a table, a row for the original and for each pass.

    Columns ``change``, ``change_low`` and ``change_high`` say by which share perplexity grew, with a 90 % interval: how
    much of it the choice of the text may have made.
    """
    import pandas as pd

    from workbench.quality.resampling import log_ratio

    tokens, original = zip(*result["rows"][0]["blocks"], strict=True)
    rows = []
    for row in result["rows"]:
        changed = log_ratio(tokens, original, [nll for _, nll in row["blocks"]])
        names = ("change", "change_low", "change_high")
        figures = {name: math.expm1(value) for name, value in zip(names, changed, strict=True)}
        rows.append({name: value for name, value in row.items() if name != "blocks"} | figures)
    return pd.DataFrame(rows).assign(scored=result["scored"])


def measured() -> DataFrame:
    """What the passes cost the built-in model when it was measured; how, the file says in its first lines.

    Examples
    --------
    >>> {"outliers", "number", "weights", "inputs", "perplexity", "kl_divergence"} <= set(measured().columns)
    True
    """
    import pandas as pd

    return pd.DataFrame(read_rows(*MEASURED)).apply(_as_numbers)


def _as_numbers(column: Any) -> Any:
    """A column of text as numbers, where it is one of numbers."""
    import pandas as pd

    try:
        return pd.to_numeric(column.replace("", None))
    except ValueError:
        return column
