"""Learn how fast kernels run from timed kernels: the rows of ``data/kernels.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput
from workbench.evidence.rows import cell, read_rows
from workbench.hardware import gpu
from workbench.performance.kernels import dense_rate
from workbench.performance.roofline import grouped_time, operator_time

Floats = npt.NDArray[np.float64]

#: Columns a file of timed kernels must have.
COLUMNS = ("gpu", "operator", "format", "bytes", "flops", "seconds")
#: Relative error beyond which a timed kernel counts linearly, not squared: tile sizes leave steps that no law follows.
_ROBUST = 0.1
#: Where the fit starts: fixed times [µs].
_STARTS = (2.0, 10.0, 40.0)
#: Fewer timed kernels than this say nothing of three constants.
FEWEST = 12


@dataclass(frozen=True, slots=True)
class Fit:
    """Constants of one operator, format and card, and how well they fit.

    ``residual`` is the median relative error, ``count`` how many timed kernels there were.
    """

    operator: str
    format: str
    gpu: str
    bandwidth_fraction: float
    compute_fraction: float
    fixed: float
    residual: float
    count: int
    version: str
    source: str

    def row(self) -> dict[str, str]:
        """As ``data/kernels.csv`` has it."""
        return {
            "operator": self.operator,
            "format": self.format,
            "gpu": self.gpu,
            "bandwidth_fraction": f"{self.bandwidth_fraction:.2f}",
            "compute_fraction": f"{self.compute_fraction:.2f}",
            "fixed_us": f"{self.fixed * 1e6:.1f}",
            "residual": f"{self.residual:.2f}",
            "n": str(self.count),
            "version": self.version,
            "source": self.source,
        }


def fit_kernel(
    moved: Floats, flops: Floats, seconds: Floats, bandwidth: float, rate: float, *, grouped: bool = False
) -> tuple[Floats, float]:
    """Fractions of bandwidth and rate, and the fixed time, that explain timed kernels best.

    seconds ≈ ∛((moved / (f_b · bandwidth))³ + (flops / (f_c · rate))³) + fixed, least squares on the logarithms, robust
    against kernels that no law follows; both fractions at most 1, so that no estimate beats the card.

    Parameters
    ----------
    moved, flops, seconds : ndarray
        Bytes, FLOPs and time [s] of each; shape (n,).
    bandwidth, rate : float
        The datasheet's [B/s], [FLOP/s].
    grouped : bool
        Whether reading and computing add up, as for experts.

    Returns
    -------
    (ndarray, float)
        (f_b, f_c, fixed [s]) and the median relative error.

    Examples
    --------
    >>> moved, flops = np.geomspace(1e5, 1e10, 40), np.geomspace(1e14, 1e8, 40)
    >>> seconds = operator_time(moved, flops, 0.8e12, 0.5e15) + 5e-6
    >>> found, error = fit_kernel(moved, flops, seconds, 1e12, 1e15)
    >>> found.round(7), round(error, 3)
    (array([8.e-01, 5.e-01, 5.e-06]), 0.0)
    """
    from scipy.optimize import least_squares  # type: ignore[import-untyped,unused-ignore]

    law = grouped_time if grouped else operator_time

    def explained(x: Floats) -> Floats:
        return np.asarray(law(moved, flops, bandwidth * np.exp(x[0]), rate * np.exp(x[1])) + np.exp(x[2]))

    def error(x: Floats) -> Floats:
        return np.asarray(np.log(explained(x) / seconds))

    low, high = np.log([0.01, 0.01, 1e-8]), np.log([1.0, 1.0, 1e-3])
    best = min(
        (
            least_squares(error, np.log([0.7, 0.5, start * 1e-6]), loss="soft_l1", f_scale=_ROBUST, bounds=(low, high))
            for start in _STARTS
        ),
        key=lambda found: found.cost,
    )
    return np.asarray(np.exp(best.x)), float(np.median(np.abs(np.expm1(error(best.x)))))


def fit_kernels(rows: str | Path | Sequence[dict[str, str]]) -> list[Fit]:
    """Constants of every operator, format and card in a file of timed kernels.

    Parameters
    ----------
    rows : path or sequence of dict
        A CSV file, or its rows as text, with the columns :data:`COLUMNS`, and ``version`` and ``source`` if known.

    Raises
    ------
    InvalidInput
        If a column is missing, a cell is no number, or a card is not known.
    """
    import pandas as pd

    given = read_rows(rows, column="operator") if isinstance(rows, str | Path) else list(rows)
    if lacking := [name for name in COLUMNS if not given or name not in given[0]]:
        raise InvalidInput(f"a file of timed kernels has the columns {', '.join(COLUMNS)}; {lacking[0]} is missing")
    table = pd.DataFrame(given)
    for name in ("bytes", "flops", "seconds"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    bad = table[["bytes", "flops", "seconds"]].isna().any(axis=1) | (table["seconds"] <= 0)
    if bad.any():
        raise InvalidInput(f"row {int(bad.to_numpy().argmax()) + 1}: bytes, flops and seconds must be numbers above 0")
    found = []
    for key, part in table.groupby(["operator", "format", "gpu"], sort=True):
        if len(part) < FEWEST:
            continue
        operator, format, name = map(str, key)
        card = gpu(name)
        fitted, residual = fit_kernel(
            part["bytes"].to_numpy(float),
            part["flops"].to_numpy(float),
            part["seconds"].to_numpy(float),
            card.bandwidth,
            dense_rate(card, format),
            grouped=operator == "moe",
        )
        first = {str(key): str(value) for key, value in part.iloc[0].items()}
        bandwidth, compute, fixed = map(float, fitted)
        sources = cell(first, "version"), cell(first, "source")
        found.append(Fit(operator, format, card.name, bandwidth, compute, fixed, residual, len(part), *sources))
    return found
