"""Learn what kernels do not explain from serving benchmarks: the rows of ``data/performance.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.choices import Numbers, Setup
from workbench.deployment import Workload
from workbench.errors import InvalidInput, WorkbenchError
from workbench.evidence import latency
from workbench.evidence.benchmarks import conditions
from workbench.evidence.rows import Models, Row, cell, number, read_rows
from workbench.performance.constants import Overheads, overheads
from workbench.performance.constants import row as row_of
from workbench.performance.constants import rows as overhead_rows
from workbench.performance.service import service

Floats = npt.NDArray[np.float64]

#: Constant -> what it is believed to be before any measurement, and by what factor that may be wrong (one sigma).
#: Kernels in a CUDA graph follow each other without a gap and meet warmer caches, but share the card: 10 to 15 %.
PRIORS: dict[str, tuple[float, float]] = {
    "gemm": (1.0, 0.10),
    "moe": (1.0, 0.15),
    "attention": (1.0, 0.15),
    "collective": (1.0, 0.20),
    "fixed": (0.9, 0.20),
    "moe_fixed": (0.7, 0.30),
    "latent": (0.5, 0.40),
    "state": (1.5, 0.50),
    "distinct": (0.8, 0.20),
    "layer": (9e-6, 0.30),
    "step": (150e-6, 0.70),
    "request": (10e-6, 0.50),
    "eager_layer": (250e-6, 0.60),
    "eager_moe": (500e-6, 0.60),
    "imbalance": (1.3, 0.20),
    "prefill_share": (1.0, 0.10),
    "ttft": (20e-3, 0.50),
}
#: Relative error beyond which a measurement counts linearly, not squared.
_ROBUST = 0.1
#: How much an error of TTFT counts against one of TPOT: its statistic is not always stated.
_WEIGHT_TTFT = 0.4


@dataclass(frozen=True)
class Sample:
    """Measurements that share a setup and a kind of workload, and what came of them [s]; arrays of shape (rows,)."""

    setup: Setup
    numbers: Numbers
    kv_cache_tokens: Floats
    load: Workload
    concurrency: Floats
    ttft: Floats
    tpot: Floats
    rows: npt.NDArray[np.int64]
    group: str

    def predicted(self, k: Overheads) -> tuple[Floats, Floats]:
        """TTFT and TPOT [s] under some constants."""
        found = service(self.setup, self.numbers, self.kv_cache_tokens, self.load, k, load=self.concurrency)
        return found.ttft.value, found.tpot.value


def _one(row: Row, models: Models) -> tuple[Setup, Numbers, float, Workload, float, float]:
    found = latency.case(row, models)
    plan = latency.fitting(found)
    part, at = plan._part, plan._at
    assert part is not None
    kept = {each.name: getattr(part.numbers, each.name)[at : at + 1] for each in fields(Numbers)}
    tokens = float(part.ledger.kv_cache_tokens.value[at])
    load = conditions(row).workload(row)
    ttft, tpot = (number(row, f"{name}_ms") for name in ("ttft", "tpot"))
    scale = 1e-3
    return part.setup, Numbers(**kept), tokens, load, (ttft or np.nan) * scale, (tpot or np.nan) * scale


def samples(
    rows: str | Path | Sequence[dict[str, str]],
    models: str | Path | None,
    engine: str,
    without: Mapping[str, str] | None = None,
) -> list[Sample]:
    """The measurements of an engine in a file of serving benchmarks, by setup and workload.

    Rows that cannot be planned are left out, and those with a cell of ``without`` (column -> its text).
    """
    given = read_rows(rows) if isinstance(rows, str | Path) else list(rows)
    known = Models(models)
    found: dict[tuple[Setup, Workload, str], list[tuple[int, Any]]] = {}
    for at, row in enumerate(given):
        if latency.engine_of(row) != engine or any(cell(row, key) == text for key, text in (without or {}).items()):
            continue
        try:
            one = _one(row, known)
        except WorkbenchError:
            continue
        found.setdefault((one[0], _kind(one[3]), f"{cell(row, 'config')} {cell(row, 'gpu')}"), []).append((at, one))
    return [_sample(setup, load, group, held) for (setup, load, group), held in found.items()]


def _kind(load: Workload) -> Workload:
    """A load of one request in flight and as many rounds: those of one kind differ in their concurrency only."""
    rounds = round(load.requests / load.concurrency) if load.requests else None
    return replace(load, concurrency=1, requests=rounds)


def _sample(setup: Setup, load: Workload, group: str, held: list[tuple[int, Any]]) -> Sample:
    ones = [one for _, one in held]
    numbers = Numbers(
        **{each.name: np.concatenate([getattr(one[1], each.name) for one in ones]) for each in fields(Numbers)}
    )
    return Sample(
        setup,
        numbers,
        np.array([one[2] for one in ones]),
        load,
        np.array([float(one[3].concurrency) for one in ones]),
        np.array([one[4] for one in ones]),
        np.array([one[5] for one in ones]),
        np.array([at for at, _ in held]),
        group,
    )


def beliefs(engine: str) -> dict[str, tuple[float, float]]:
    """What is believed of an engine's constants before it is measured: :data:`PRIORS`, or that it is much like vLLM.

    Other engines run other kernels under other schedulers, so each constant of theirs may be half as far off again,
    and their time to the first token further still.
    """
    if engine == "vllm":
        return PRIORS
    like = overhead_rows()["vllm", "other"]
    found = {name: (getattr(like, name), max(1.5 * sigma, 0.25)) for name, (_, sigma) in PRIORS.items()}
    return found | {"ttft": (2 * like.ttft, 1.0), "step": (2 * like.step, 0.7)}


def fit(
    held: Sequence[Sample],
    start: Overheads,
    believed: Mapping[str, tuple[float, float]],
    strength: float = 1.0,
    guess: Overheads | None = None,
) -> Overheads:
    """Constants that explain measurements best without straying from what is believed of them.

    Least squares on the logarithms of TPOT and TTFT, robust against outliers, plus ((log c − log prior) / sigma)² for
    each constant. Measurements of one model on one card resemble each other, so n of them count as √n.

    Parameters
    ----------
    held : sequence of Sample
    start : Overheads
        What the constants not fitted are.
    believed : mapping
        Constants that are fitted, and what is believed of each, as :data:`PRIORS` has it.
    strength : float
        How many measurements a belief weighs.
    guess : Overheads, optional
        Where to begin; at what is believed by default.
    """
    from scipy.optimize import least_squares  # type: ignore[import-untyped,unused-ignore]

    counts: dict[str, int] = {}
    for sample in held:
        counts[sample.group] = counts.get(sample.group, 0) + len(sample.rows)
    names = list(believed)
    center = np.log([believed[name][0] for name in names])
    sigma = np.array([believed[name][1] for name in names])

    def error(x: Floats) -> Floats:
        k = replace(start, **dict(zip(names, np.exp(x).tolist(), strict=True)))
        parts = []
        for sample in held:
            ttft, tpot = sample.predicted(k)
            weight = counts[sample.group] ** -0.25
            parts.append(weight * np.log(tpot / sample.tpot))
            parts.append(weight * _WEIGHT_TTFT * np.log(ttft / sample.ttft))
        errors = np.nan_to_num(np.concatenate(parts))
        return np.concatenate([errors, np.sqrt(strength) * _ROBUST * (x - center) / sigma])

    begin = center if guess is None else np.log([getattr(guess, name) for name in names])
    found = least_squares(error, begin, loss="soft_l1", f_scale=_ROBUST, x_scale=sigma, ftol=1e-4, max_nfev=20)
    return replace(start, **dict(zip(names, np.exp(found.x).tolist(), strict=True)))


def errors(held: Sequence[Sample], k: Overheads) -> dict[str, Floats]:
    """log(predicted / measured) of TTFT and TPOT, concatenated over samples."""
    both = [sample.predicted(k) for sample in held]
    return {
        "ttft": np.concatenate([np.log(b[0] / s.ttft) for b, s in zip(both, held, strict=True)]),
        "tpot": np.concatenate([np.log(b[1] / s.tpot) for b, s in zip(both, held, strict=True)]),
    }


@dataclass(frozen=True)
class Learned:
    """What was learned of an engine.

    Attributes
    ----------
    engine, gpu : str
    overheads : Overheads
        With the spreads that hold the asked share of measurements of models and cards left out.
    errors : dict
        "tpot", "ttft" and "… left out" -> median and mean of the absolute relative error.
    source : str
    """

    engine: str
    gpu: str
    overheads: Overheads
    errors: dict[str, dict[str, Any]]
    source: str

    def row(self) -> dict[str, str]:
        """As ``data/performance.csv`` has it."""
        return {"engine": self.engine, "gpu": self.gpu, **row_of(self.overheads), "source": self.source}


def _summary(log_errors: Floats) -> dict[str, Any]:
    found = np.abs(np.expm1(log_errors[np.isfinite(log_errors)]))
    return {"n": found.size, "median": float(np.median(found)), "mean": float(found.mean())}


def learn(
    rows: str | Path | Sequence[dict[str, str]],
    models: str | Path | None = None,
    engine: str = "vllm",
    capability: str = "",
    without: Mapping[str, str] | None = None,
    *,
    strength: float = 2.0,
    level: float = 0.9,
) -> Learned:
    """Fit an engine's overheads, and say how well they do on a model and card they have not seen.

    Parameters
    ----------
    rows, models, without
        As for :func:`samples`.
    engine : str
    capability : str
        Only cards of this major compute capability ("9", "10"); all by default.
    strength : float
        How many measurements a belief weighs.
    level : float
        Share of the measurements that the spreads hold, each model and card left out in turn.

    Raises
    ------
    InvalidInput
        If the file has no such rows.
    """
    held = samples(rows, models, engine, without)
    if capability:
        held = [s for s in held if (s.setup.card.compute_capability or (0, 0))[0] == int(capability)]
    if not held:
        raise InvalidInput(f"there are no rows of {engine} to learn from")
    start = overheads(engine, held[0].setup.card)
    believed = beliefs(engine)
    found = fit(held, start, believed, strength)
    inside = errors(held, found)
    outside: dict[str, list[Floats]] = {"tpot": [], "ttft": []}
    groups = sorted({sample.group for sample in held})
    for group in groups if len(groups) > 1 else []:
        others = fit([s for s in held if s.group != group], start, believed, strength, found)
        for name, each in errors([s for s in held if s.group == group], others).items():
            outside[name].append(each)
    left_out = {name: np.concatenate(each) if each else inside[name] for name, each in outside.items()}
    spreads: dict[str, Any] = {
        f"spread_{name}": float(np.expm1(np.nanquantile(np.abs(each), level))) for name, each in left_out.items()
    }
    spreads["spread_rate"] = spreads["spread_tpot"]
    count = sum(len(sample.rows) for sample in held)
    name = Path(rows).name if isinstance(rows, str | Path) else "measurements"
    return Learned(
        engine,
        f"sm_{capability}x" if capability else "other",
        replace(found, **spreads),
        {
            **{name: _summary(each) for name, each in inside.items()},
            **{f"{name}, model and card left out": _summary(each) for name, each in left_out.items()},
        },
        f"{name}: {count} rows of {len(groups)} models and cards",
    )
