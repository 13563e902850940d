"""A whole model pruned: every linear layer by each method, or one layer left out, and what it really cost.

What a layer or a weight matters is measured here, on text that calibration did not see. The zeros save nothing: the
matrices are as large as before. A layer that is left out is gone.

It needs torch, so it runs as a job in the environment ``quantize``: :mod:`whole_model_worker` is the code to read, and
its masks come from the files beside this one. What it found on the built-in model lies in
``data/measurements/pruning_builtin.csv``.
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

ENVIRONMENT = "quantize"
MEASURED = ("measurements", "pruning_builtin.csv")


@dataclass(frozen=True)
class Cut:
    """What is taken from a model.

    Parameters
    ----------
    method : {"magnitude", "wanda", "sparsegpt", "layer"}
        How the weights of every linear layer are chosen; or a whole layer is left out.
    what : {"half", "2:4"} or int
        Half of the weights of each matrix, two of every four, or the number of the layer, from 1.

    Examples
    --------
    >>> Cut("wanda", "2:4").what
    '2:4'
    """

    method: Literal["magnitude", "wanda", "sparsegpt", "layer"]
    what: Literal["half", "2:4"] | int

    def __post_init__(self) -> None:
        if self.method not in ("magnitude", "wanda", "sparsegpt", "layer"):
            raise InvalidInput(f"method is {self.method!r}; give magnitude, wanda, sparsegpt or layer")
        number = isinstance(self.what, int) and not isinstance(self.what, bool) and self.what >= 1
        if not (number if self.method == "layer" else self.what in ("half", "2:4")):
            raise InvalidInput(f"what is {self.what!r}; give 'half' or '2:4', or for a layer its number from 1")


#: Each method at a half, anywhere and 2:4; each layer of the built-in model alone.
CUTS: Sequence[Cut] = (
    *(Cut(method, what) for what in ("half", "2:4") for method in ("magnitude", "wanda", "sparsegpt")),
    *(Cut("layer", number) for number in range(1, 5)),
)


def start(
    folder: str | Path,
    cuts: Sequence[Cut] = CUTS,
    *,
    calibration: Sequence[str],
    held_out: Sequence[str],
    calibration_tokens: int = 2048,
    tokens: int = 4096,
) -> Job:
    """Measure a model as it is and after each cut; returns at once.

    Parameters
    ----------
    folder : str or Path
        A checkpoint of transformers' Llama kind, not quantised; nothing is written there.
    cuts : sequence of Cut
    calibration : sequence of str
        Texts on which each layer's inputs are seen, in the model as it is.
    held_out : sequence of str
        Other texts, which perplexity is measured on.
    calibration_tokens, tokens : int
        How many are read and how many scored, at least.

    Returns
    -------
    Job
        Its result: ``rows``, a dictionary for the original and for each cut: ``method``, ``what``, ``zeros`` (share of
        the linear layers' weights), ``perplexity``, ``kl_divergence`` [nats a token] from the original,
        ``top1_agreement``, ``influence`` (of a layer; see
        :func:`~workbench.theory.pruning.structured.block_influence`), ``blocks``; ``scored`` tokens.

    Raises
    ------
    InvalidInput
        If no text or cut is given, or a number is out of range.
    """
    from workbench import jobs

    if not calibration or not held_out or not cuts:
        raise InvalidInput("give texts to calibrate on, others to measure on, and at least one cut")
    if tokens < 2 or calibration_tokens < 2:
        raise InvalidInput(f"tokens is {tokens} and calibration_tokens {calibration_tokens}; give at least 2 of each")
    request = {
        "folder": str(folder), "cuts": [asdict(cut) for cut in cuts], "calibration": list(calibration),
        "held_out": list(held_out), "calibration_tokens": calibration_tokens, "tokens": tokens,
    }  # fmt: skip
    return jobs.start(
        "prune a whole model",
        "workbench.theory.pruning.whole_model_worker",
        request,
        ENVIRONMENT,
        variables={"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )


def table(result: Mapping[str, Any]) -> DataFrame:
    """What :func:`start`'s job found as a table, a row for the original and for each cut.

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
    """What the cuts cost the built-in model when it was measured; how, the file says in its first lines.

    Examples
    --------
    >>> {"method", "what", "zeros", "perplexity", "change", "kl_divergence", "influence"} <= set(measured().columns)
    True
    """
    import pandas as pd

    found = pd.DataFrame(read_rows(*MEASURED))
    words = ["method", "what"]
    return found[words].join(found.drop(columns=words).apply(pd.to_numeric))
