"""An alert before and when memory runs out."""

from __future__ import annotations

from workbench.checklist.alarms import alarm
from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="gpu_oom",
    title="Alert: memory runs out",
    item="Somebody is told when the GPU's memory or the KV cache runs out.",
    prove="Give the rule files (--manifests) or the address of Prometheus (--prometheus).",
)
PATTERNS = (
    r"num_preemptions", r"kv_cache_usage_perc|gpu_cache_usage_perc", r"DCGM_FI_DEV_FB_(?:FREE|USED)",
    r"DCGM_FI_DEV_XID_ERRORS", r"OOMKilled", r"container_oom_events", r"nvidia_smi_memory",
)  # fmt: skip


async def look(inspection: Inspection) -> Finding:
    """Look for a rule on memory, preemption or a container that was killed for it."""
    example = "vllm:kv_cache_usage_perc > 0.95 for 5m, or rate(vllm:num_preemptions_total[5m]) > 0"
    return conclude(await alarm(inspection, "memory that runs out", PATTERNS, example), CHECK.prove)
