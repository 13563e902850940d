"""Tiled attention timed beside the plain formula, on a processor: torch's own kernel against three lines of torch.

``python -m workbench.theory.attention.timing`` times them on this machine in the environment ``quantize`` and prints
rows as ``data/measurements/cpu_attention.csv`` keeps them. A processor has caches in place of shared memory, and its
kernel works in the same tiles; a GPU gains more.

References
----------
torch.nn.functional.scaled_dot_product_attention, held to its tiled kernel by ``sdpa_kernel(FLASH_ATTENTION)``:
https://docs.pytorch.org/docs/stable/generated/torch.nn.attention.sdpa_kernel.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.datafiles import read_rows

if TYPE_CHECKING:
    import pandas as pd

    from workbench.worker import Worker

HEADS, HEAD_DIM, REPEATS = 8, 64, 9
TOKENS = (256, 512, 1024, 2048, 4096)
_HERE = "workbench.theory.attention.timing"  # __name__ is another where this file is the program


def measured() -> pd.DataFrame:
    """What was measured and kept: a row a length, with the times of both [s] and where they were taken.

    Examples
    --------
    >>> list(measured().columns[:4])
    ['tokens', 'plain_seconds', 'tiled_seconds', 'gain']
    """
    import pandas as pd

    rows = read_rows("measurements", "cpu_attention.csv")
    table = pd.DataFrame(rows).astype({"tokens": int, "plain_seconds": float, "tiled_seconds": float})
    table.insert(3, "gain", table["plain_seconds"] / table["tiled_seconds"])
    return table


def measure(tokens: Sequence[int] = TOKENS) -> list[dict[str, Any]]:
    """Time both on this machine, one thread, 32-bit numbers, no mask; the environment is built if it is missing.

    Parameters
    ----------
    tokens : sequence of int
        Lengths.

    Returns
    -------
    list of dict
        Rows as in the kept table, and ``largest_difference`` between the two outputs.
    """
    from workbench import jobs

    job = jobs.start("time attention", _HERE, {"tokens": list(tokens)}, "quantize")
    return list(job.wait()["rows"])


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """The part that runs in the environment ``quantize``: ``tokens`` in, ``rows`` out."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for done, tokens in enumerate(request["tokens"]):
        worker.progress(done / len(request["tokens"]), "timing", f"{tokens} tokens")
        q, k, v = (torch.randn(1, HEADS, tokens, HEAD_DIM) for _ in range(3))

        def plain(q: Any = q, k: Any = k, v: Any = v) -> Any:
            weights = torch.softmax(q @ k.transpose(-1, -2) / HEAD_DIM**0.5, dim=-1)
            return weights @ v

        def tiled(q: Any = q, k: Any = k, v: Any = v) -> Any:
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                return scaled_dot_product_attention(q, k, v)

        with torch.inference_mode():
            apart = float((plain() - tiled()).abs().max())
            rows.append(
                {
                    "tokens": tokens,
                    "plain_seconds": _fastest(plain),
                    "tiled_seconds": _fastest(tiled),
                    "heads": HEADS,
                    "head_dim": HEAD_DIM,
                    "threads": 1,
                    "torch": torch.__version__,
                    "largest_difference": apart,
                }
            )
    return {"rows": rows}


def _fastest(call: Callable[[], Any]) -> float:
    """The shortest of several calls [s]: whatever else runs on a machine only adds to a time."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def _main() -> None:
    from datetime import date

    from workbench.machine import describe

    print("tokens,plain_seconds,tiled_seconds,heads,head_dim,threads,torch,processor,date")
    for row in measure():
        facts = [f"{row[name]:.4g}" for name in ("plain_seconds", "tiled_seconds")]
        facts += [str(row[name]) for name in ("heads", "head_dim", "threads", "torch")]
        print(",".join([str(row["tokens"]), *facts, describe().cpu.model, str(date.today())]))


if __name__ == "__main__":
    _main()
