"""Memory: what is left under load, where an engine preallocates the card and its use says nothing."""

from __future__ import annotations

from workbench import machine
from workbench.checklist.finding import Finding, bad, conclude, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.load import measure
from workbench.checklist.registry import Check
from workbench.quantities import GIB

CHECK = Check(
    id="memory_headroom",
    title="Memory has headroom",
    item="Memory stays in a safe range: of a preallocated card, the KV cache in use and the requests thrown out of it.",
    prove="Give the address at which /metrics can be read (--metrics).",
    turn="measure",
)
MEND = "Give the cache more (--gpu-memory-utilization, --kv-cache-dtype fp8), shorten requests or add replicas."


async def look(inspection: Inspection) -> Finding:
    """Read the engine's own figures around the load."""
    load = await measure(inspection)
    thresholds = inspection.thresholds
    if load.before is None or load.after is None or load.kv_cache_usage is None:
        page = await inspection.metrics_page()
        return conclude(
            [unknown("GET /metrics around the load", page.line if not page.ok else "none of vLLM's figures")],
            CHECK.prove,
        )
    pieces = [thresholds["kv_cache_usage"].judge("largest use of the KV cache under load", load.kv_cache_usage, MEND)]
    thrown = load.after.counters.get("preemptions", 0.0) - load.before.counters.get("preemptions", 0.0)
    asked = "requests thrown out of the cache meanwhile"
    pieces.append(good(asked, "none") if thrown <= 0 else bad(asked, f"{thrown:g}", MEND))
    memory, needs = load.after.memory(), inspection.subject.needs
    if memory.kv_cache_tokens and {"isl", "osl", "concurrency"} <= needs.keys():
        asked = "tokens the cache holds, against the needs' peak"
        peak = needs["concurrency"] * (needs["isl"] + needs["osl"])
        words = f"{memory.kv_cache_tokens:,} for {peak:,}"
        pieces.append(good(asked, words) if memory.kv_cache_tokens >= peak else bad(asked, words, MEND))
    elif memory.kv_cache_tokens:
        pieces.append(good("tokens the cache holds", f"{memory.kv_cache_tokens:,}"))
    if inspection.subject.local:
        free = machine.describe().memory_available / GIB
        mend = "Stop what else runs on this machine, or give the engine less host memory."
        pieces.append(thresholds["host_memory_free"].judge("free memory of this machine", free, mend))
    well = f"at most {load.kv_cache_usage:.0%} of the KV cache in use under load, and nothing thrown out of it"
    return conclude(pieces, CHECK.prove, well)
