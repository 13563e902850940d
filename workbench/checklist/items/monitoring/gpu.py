"""The GPU is watched: how busy, how full, how hot."""

from __future__ import annotations

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import collected, shown

CHECK = Check(
    id="gpu",
    title="The GPU is watched",
    item="Utilisation and memory of the GPU. vLLM's KV cache usage is not the GPU's utilisation.",
    prove="Run NVIDIA's dcgm-exporter, let Prometheus collect it and give its address (--prometheus).",
)


async def look(inspection: Inspection) -> Finding:
    """Ask Prometheus for what DCGM or NVML tells."""
    names = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "nvidia_smi_utilization_gpu_ratio")
    expr = f'avg({{__name__=~"{"|".join(names)}"}})'
    pattern = r"DCGM_FI_|nvidia_smi_|nvidia_gpu_|amd_gpu_"
    if inspection.subject.prometheus:
        pieces = [await collected(inspection, expr, "the GPU's figures")]
    else:
        # That something is collected by the files says nothing of the GPU: a rule or a panel on it must be there.
        return conclude(await shown(inspection, pattern, "the GPU's figures", needed=True), CHECK.prove)
    return conclude([*pieces, *await shown(inspection, pattern, "the GPU's figures")], CHECK.prove)
