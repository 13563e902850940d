"""Results of loads as a run on the built-in model might give them."""

import workbench as wb
from workbench.benchmark.load import LoadLevel, LoadResult, Served, Target, Times, Tool

TIMES = Times(0.2, 0.19, 0.3, 0.35, 0.5)


def result(**changes):
    """A result as a run on the built-in model might give it."""
    concurrency = changes.pop("concurrency", 2)
    made = {
        "level": LoadLevel(wb.Workload(64, 16, concurrency), requests=32, warmups=2, seed=7),
        "target": Target("http://127.0.0.1:8000", "builtin", "vllm", "0.32.0", "builtin", "bfloat16", "cpu"),
        "tool": Tool(
            "vllm bench serve", "0.32.0", ("vllm", "bench", "serve"), {"cores": 2}, "2026-11-21T19:00:00+00:00"
        ),
        "completed": 32,
        "failed": 0,
        "short": 0,
        "seconds": 8.0,
        "input_tokens": 32 * 64,
        "output_tokens": 32 * 16,
        "ttft": TIMES,
        "tpot": Times(0.02, 0.02, 0.02, 0.03, 0.04),
        "itl": Times(0.02, 0.02, 0.02, 0.03, 0.04),
        "e2e": Times(0.5, 0.5, 0.6, 0.7, 0.8),
        "served": Served(kv_cache_usage=0.25, preemptions=0.0),
        "remarks": ("one remark",),
    }
    return LoadResult(**made | changes)
