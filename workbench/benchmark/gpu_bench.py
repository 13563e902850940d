"""How time is taken on a GPU, of which card, and where it is written.

One CUDA graph over several calls, replayed between CUDA events; the median of the replays. The calls rotate over copies
of what they read, four times the L2 cache together, because no decode step finds a layer's weights there. Data are
random: a matrix product of zeros draws less power and runs faster than a real one.
"""

from __future__ import annotations

import csv
import datetime
import itertools
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.benchmark.gpu_work import LLAMA_8B, LLAMA_70B, TINY, Case, Decoder
from workbench.errors import UnknownName
from workbench.hardware import GPU, gpu


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is measured; ``KEPT`` on a GPU, ``SMALL`` to try the code anywhere."""

    gemms: tuple[tuple[int, int], ...]
    tokens: tuple[int, ...]
    decoder: Decoder
    requests: tuple[int, ...]
    contexts: tuple[int, ...]
    prompts: tuple[int, ...]
    copies: tuple[int, ...]
    step_requests: tuple[int, ...]
    step_contexts: tuple[int, ...]
    step_prompts: tuple[int, ...]
    replays: int


def gemm_shapes(decoders: Sequence[Decoder], tensors: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Inputs and outputs of every fused matrix, each once, and of the output projections.

    Examples
    --------
    >>> len(gemm_shapes([LLAMA_8B], [1])), (4096, 128256) in gemm_shapes([LLAMA_8B], [1])
    (5, True)
    """
    shapes = [s for d in decoders for t in tensors for s in d.matrices(t).values()]
    shapes += [(d.hidden, d.vocabulary // t) for d in decoders for t in tensors]
    return tuple(dict.fromkeys(shapes))


def doubling(first: int, last: int) -> tuple[int, ...]:
    """Powers of two times ``first``, up to ``last``.

    >>> doubling(1, 8)
    (1, 2, 4, 8)
    """
    return tuple(first * 2**n for n in range(int(math.log2(last / first)) + 1))


KEPT = Sweep(
    gemm_shapes((LLAMA_8B, LLAMA_70B), (1, 4)), doubling(1, 8192), LLAMA_8B, doubling(1, 256), doubling(512, 32768),
    doubling(256, 16384), tuple(2**n for n in (24, 26, 28, 30, 32)), (1, 4, 16, 64, 128, 256), (512, 2048, 8192),
    doubling(512, 8192), 7,
)  # fmt: skip
SMALL = Sweep(gemm_shapes((TINY,), (1,)), (1, 16), TINY, (1, 2), (64,), (64,), (2**16,), (1, 2), (64,), (64,), 3)


Call = Callable[[], Any]


def file_name(card: str, kind: str) -> str:
    """Name of a file of measurements.

    >>> file_name("H200 SXM", "kernels"), file_name("RTX PRO 6000", "steps")
    ('gpu_h200_kernels.csv', 'gpu_rtx_pro_6000_steps.csv')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", card.casefold().replace(" sxm", "")).strip("_")
    return f"gpu_{plain}_{kind}.csv"


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write a table row by row beside ``path``, and move it there when it is complete; returns the count of rows."""
    part, count = path.with_name(path.name + ".part"), 0
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            file.flush()
            count += 1
    os.replace(part, path)
    return count


def _known(reported: str) -> GPU | None:
    try:
        return gpu(reported)
    except UnknownName:
        return None


class Bench:
    """torch on one device, and how time is taken there."""

    def __init__(self, device: str, sweep: Sweep, seconds: float, source: str, compiled: bool) -> None:
        import torch

        self.torch, self.device, self.sweep, self.cuda = torch, device, sweep, device == "cuda"
        self.end, self.skipped = time.monotonic() + seconds, 0
        self.half, self.eighth = torch.bfloat16, torch.float8_e4m3fn
        found = torch.cuda.get_device_properties(0) if self.cuda else None
        self.name, self.card = (found.name if found else "cpu"), _known(found.name) if found else None
        self.l2 = int(found.L2_cache_size) if found else 2**20
        self.facts = {
            "gpu": self.card.name if self.card else self.name,
            "version": torch.__version__,
            "date": datetime.date.today().isoformat(),
            "source": source,
        }
        self.fused = "torch.compile" if compiled else "torch eager"
        if compiled:
            torch._dynamo.config.recompile_limit = 1024
        self.compile: Callable[[Any], Any] = torch.compile(dynamic=False) if compiled else lambda function: function

    def late(self) -> bool:
        """Whether the time given is over; what is left out is counted."""
        over = time.monotonic() > self.end
        self.skipped += over
        return over

    def random(self, *shape: int) -> Any:
        return self.torch.randn(*shape, device=self.device, dtype=self.half)

    def copies(self, size: int) -> int:
        """How many copies of ``size`` bytes are four L2 caches."""
        return max(1, min(256, math.ceil(4 * self.l2 / size)))

    def fits(self, what: str, size: float) -> bool:
        """Whether so many bytes are free; said where not."""
        if not self.cuda:
            return True
        self.torch.cuda.empty_cache()  # what torch keeps for later is free too
        if size > (free := self.torch.cuda.mem_get_info()[0]):
            print(f"left out: {what}: needs {size / 2**30:.1f} GiB, {free / 2**30:.1f} are free", file=sys.stderr)
            return False
        return True

    def seconds(self, calls: Sequence[Call], at_least: int = 16) -> float:
        """Median time of one of ``calls``, which do the same on different data [s]."""
        calls = list(itertools.islice(itertools.cycle(calls), max(len(calls), at_least)))
        if not self.cuda:
            times = []
            for _ in range(self.sweep.replays):
                start = time.perf_counter()
                for call in calls:
                    call()
                times.append(time.perf_counter() - start)
            return statistics.median(times) / len(calls)
        cuda = self.torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for call in calls[:3]:
                call()
        cuda.current_stream().wait_stream(side)
        cuda.synchronize()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            for call in calls:
                call()
        times = []
        for n in range(self.sweep.replays + 2):  # the first two warm up
            start, stop = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
            start.record()
            graph.replay()
            stop.record()
            stop.synchronize()
            if n > 1:
                times.append(start.elapsed_time(stop) * 1e-3)
        del graph
        return statistics.median(times) / len(calls)

    def tried(self, name: str, calls: Sequence[Call], at_least: int = 16) -> float:
        """As :meth:`seconds`; infinite, and said, where torch or the card cannot."""
        try:
            return self.seconds(calls, at_least)
        except (RuntimeError, NotImplementedError, ValueError, TypeError, AttributeError) as error:
            print(f"left out: {name}: {type(error).__name__}: {str(error).splitlines()[0][:160]}", file=sys.stderr)
            return math.inf

    def row(self, case: Case, library: str, seconds: float) -> dict[str, Any]:
        shape = {name: getattr(case, name) for name in Case.__slots__ if name != "moved"}
        return {**self.facts, **shape, "library": library, "bytes": case.moved, "seconds": f"{seconds:.4g}"}
