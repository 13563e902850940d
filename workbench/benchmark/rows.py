"""Results of loads kept as files: one JSON each, and a table with the columns of serving benchmarks.

The table is what ``workbench validate latency`` and ``workbench calibrate latency`` read. A load at a rate has no
concurrency, which is what a row states, so it is kept as JSON only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.benchmark.load import LoadResult
from workbench.datafiles import rows_as_text, write_whole
from workbench.errors import InvalidInput

#: Columns of a serving benchmark, in order.
COLUMNS = (
    "engine", "config", "engine_version", "model", "quant", "gpu", "n_gpu", "tp", "pp", "ep_dp", "isl", "osl",
    "concurrency", "source", "notes", "ttft_ms", "tpot_ms",
)  # fmt: skip
TABLE = "serving_latency.csv"
MODELS = "models"
_RESULT = "load-"
#: Share of the prompts that a cache may hold in a row, which has no word for it [-].
_MOST_CACHED = 0.05
#: A Deployment's word for an engine -> how benchmarks write it.
_ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "tensorrt-llm": "TensorRT-LLM", "tgi": "TGI"}


def row(result: LoadResult) -> dict[str, str] | None:
    """A result as a row of measurements: means of TTFT and TPOT [ms] at the lengths that really came.

    Returns
    -------
    dict or None
        None for what such a row cannot state: a load at a rate, answers of a single token, a model nobody named,
        prompts that a cache held.
    """
    level, target = result.level, result.target
    if level.concurrency is None or result.tpot is None or not target.config or not target.gpu:
        return None
    if max(level.workload.prefix_hit, (result.served and result.served.prefix_hit) or 0.0) > _MOST_CACHED:
        return None
    parts = [
        f"{result.completed} requests, {level.warmups} warm-ups, seed {level.seed}",
        f"{result.failed} failed" if result.failed else "",
        f"cores={result.tool.machine.get('cores')}" if target.gpu == "cpu" else "",
        f"measured {result.tool.started[:10]}",
    ]
    data = target.data_parallel_size
    cells = {
        "engine": _ENGINES.get(target.engine, target.engine),
        "config": target.config,
        "engine_version": target.engine_version,
        "model": target.model,
        "quant": target.quant,
        "gpu": target.gpu,
        "n_gpu": target.n_gpu,
        "tp": target.tensor_parallel_size,
        "pp": target.pipeline_parallel_size,
        "ep_dp": f"attn_dp={data} moe_tp=1 moe_ep=1" if data > 1 else "",
        "isl": round(result.isl),
        "osl": round(result.osl),
        "concurrency": level.concurrency,
        "source": f"workbench bench, {result.tool.name} {result.tool.version}",
        "notes": "; ".join(part for part in parts if part),
        "ttft_ms": f"{result.ttft.mean * 1e3:.4f}",
        "tpot_ms": f"{result.tpot.mean * 1e3:.4f}",
    }
    return {name: str(cells[name]) for name in COLUMNS}


def keep(
    results: Sequence[LoadResult], folder: str | Path, models: Mapping[str, Mapping[str, Any]] | None = None
) -> Path | None:
    """Add results to a folder: a JSON file each, and the table of all that the folder holds.

    Parameters
    ----------
    results : sequence of LoadResult
    folder : str or Path
        Made if it is missing.
    models : mapping, optional
        Configurations of the models that rows name and that are not bundled, kept in ``models`` of the folder, where
        ``--models`` of ``workbench validate`` finds them.

    Returns
    -------
    Path or None
        The table; None if no result of the folder can be a row of it.

    Raises
    ------
    InvalidInput
        If the folder cannot be written, or holds a damaged result.
    """
    place = Path(folder).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            return _added(results, place, models or {})
    except OSError as error:
        raise InvalidInput(f"{place} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Until nobody else adds to the folder: benchmarks side by side may keep what they measure in one."""
    import fcntl  # not on Windows, where no load generator runs

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _added(results: Sequence[LoadResult], place: Path, models: Mapping[str, Mapping[str, Any]]) -> Path | None:
    for result in results:
        # In the order they were measured, and never over an older one.
        stamp = result.tool.started.replace(":", "").replace("-", "").replace("+0000", "")
        number = 1
        while (file := place / f"{_RESULT}{stamp}-{number:04}.json").exists():
            number += 1
        write_whole(file, json.dumps(result.to_json(), indent=2) + "\n")
    for name, fields in models.items():
        (place / MODELS).mkdir(exist_ok=True)
        file = place / MODELS / f"{name.replace('/', '__')}.json"
        write_whole(file, json.dumps(fields, indent=2, default=str) + "\n")
    rows = [made for each in read(place) if (made := row(each)) is not None]
    table = place / TABLE
    if rows:
        write_whole(table, rows_as_text(rows, COLUMNS))
    return table if rows else None


def read(folder: str | Path) -> list[LoadResult]:
    """The results that a folder holds, oldest first.

    Raises
    ------
    InvalidInput
        If one of them is damaged.
    """
    found = []
    for path in sorted(Path(folder).expanduser().glob(f"{_RESULT}*.json")):
        try:
            found.append(LoadResult.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:  # not JSON, or not a result
            raise InvalidInput(f"{path} is not the result of a benchmark: {error}") from error
    return sorted(found, key=lambda result: result.tool.started)
