"""Rows of a serving benchmark, made of constants that are known."""

from __future__ import annotations

from workbench.evidence import latency
from workbench.evidence.benchmarks import conditions
from workbench.evidence.rows import Models
from workbench.performance.constants import Overheads
from workbench.performance.service import service


def measured(k: Overheads) -> list[dict[str, str]]:
    """Rows as a benchmark would print them, were ``k`` the truth."""
    found = []
    for config, tensor in (("meta-llama/Llama-3.1-8B-Instruct", 1), ("Qwen/Qwen3-30B-A3B", 2)):
        for concurrency in (1, 4, 16, 64):
            for isl, osl in ((1024, 256), (4096, 128)):
                cells = {
                    "engine": "vLLM",
                    "engine_version": "0.19.0",
                    "config": config,
                    "model": config,
                    "quant": "bf16",
                }
                cells |= {"gpu": "H100 SXM", "n_gpu": str(tensor), "tp": str(tensor), "pp": "1", "isl": str(isl)}
                cells |= {"osl": str(osl), "concurrency": str(concurrency), "ep_dp": "", "notes": ""}
                plan = latency.case(cells, Models()).plan()
                part = plan._part
                load = conditions(cells).workload(cells)
                speed = service(part.setup, part.numbers, part.ledger.kv_cache_tokens.value, load, k)
                cells["ttft_ms"] = f"{speed.ttft.value[0] * 1e3:.6g}"
                cells["tpot_ms"] = f"{speed.tpot.value[0] * 1e3:.6g}"
                found.append(cells)
    return found
