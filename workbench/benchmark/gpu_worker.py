"""Measure one GPU: kernels, the step of a whole decoder, and what memory both take.

Runs wherever torch sees a GPU, as ``python -m workbench.benchmark.gpu_worker --out FOLDER`` or by its path from a
checkout; needs torch, and nothing of the workbench's environment. Writes ``gpu_NAME_kernels.csv``,
``gpu_NAME_steps.csv`` and ``gpu_NAME_memory.csv``, each complete or not at all; ``data/measurements/README.md`` says
what the columns hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from workbench.benchmark.gpu_bench import KEPT, SMALL, Bench, file_name, write
from workbench.benchmark.gpu_decoder import MEMORY_COLUMNS, STEP_COLUMNS, memory_rows, step_rows
from workbench.benchmark.gpu_kernels import KERNEL_COLUMNS, kernel_rows

STAGES = {
    "kernels": (KERNEL_COLUMNS, kernel_rows),
    "steps": (STEP_COLUMNS, step_rows),
    "memory": (MEMORY_COLUMNS, memory_rows),
}


def main(words: Sequence[str] | None = None) -> int:
    """The command line; 0 if everything was measured, 1 if the time ran out, 2 if there is nothing to measure on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--what", nargs="+", choices=list(STAGES), default=["memory", "kernels", "steps"])
    parser.add_argument("--seconds", type=float, default=1200, help="stop starting new points after so long")
    parser.add_argument("--source", default="python -m workbench.benchmark.gpu_worker")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a few tiny shapes, to try this file")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    given = parser.parse_args(words)
    try:
        import torch
    except ImportError:
        print("torch is not installed here", file=sys.stderr)
        return 2
    if given.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU here", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.device, SMALL if given.small else KEPT, given.seconds, given.source, not given.eager)
    for what in given.what:
        if what == "memory" and not bench.cuda:
            print("memory is measured on a GPU only", file=sys.stderr)
            continue
        columns, rows = STAGES[what]
        path = given.out / file_name(bench.facts["gpu"], what)
        print(f"{path}: {write(path, columns, rows(bench))} rows", flush=True)
    if bench.skipped:
        print(f"time ran out: {bench.skipped} points left out", file=sys.stderr)
    return int(bool(bench.skipped))


if __name__ == "__main__":
    raise SystemExit(main())
