"""How much of the time the GPU computes; little is dear, not dangerous."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import query

CHECK = Check(
    id="gpu_utilisation",
    title="GPU utilisation",
    item="The GPU computes 70 % of the time for chat, 85 % for batch.",
    prove="Run NVIDIA's dcgm-exporter and give the address of Prometheus (--prometheus).",
)
#: Expression -> what makes a share of it.
EXPRS = (
    ("avg(max_over_time(avg_over_time(DCGM_FI_DEV_GPU_UTIL[10m])[1d:10m]))", 0.01),
    ("avg(max_over_time(avg_over_time(nvidia_smi_utilization_gpu_ratio[10m])[1d:10m]))", 1.0),
)


async def look(inspection: Inspection) -> Finding:
    """Ask Prometheus for the busiest ten minutes of the last day."""
    if inspection.subject.prometheus is None:
        return conclude([unknown("ask Prometheus for the GPU", "no Prometheus was named")], CHECK.prove)
    mend = "Fewer GPUs or replicas would do, or larger batches; nothing is wrong for users."
    for expr, factor in EXPRS:
        _, value = await query(inspection, expr)
        if value is not None:
            asked = f"Prometheus: {expr}"
            return conclude([inspection.thresholds["gpu_utilisation"].judge(asked, value * factor, mend)])
    return conclude([unknown("ask Prometheus for the GPU", "it has no figures of DCGM or nvidia-smi")], CHECK.prove)
