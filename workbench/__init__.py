"""The LLM planning workbench: plan, quantise, serve, measure, compare, in one notebook.

>>> import workbench as wb
>>> wb.Model.from_config("meta-llama/Llama-3.1-8B-Instruct").kv_bytes_per_token("auto")
131072

Everything public is imported on first use, so that ``import workbench`` stays instant and light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Public name -> the module that defines it.
_PUBLIC = {
    "Cluster": "workbench.cluster",
    "Deployment": "workbench.deployment",
    "Estimate": "workbench.quantities",
    "Model": "workbench.architecture",
    "Plan": "workbench.planner",
    "ServiceLevel": "workbench.deployment",
    "WorkbenchError": "workbench.errors",
    "Workload": "workbench.deployment",
    "baseline": "workbench.serving",
    "adapt": "workbench.adaptation",
    "bench": "workbench.benchmark.bench",
    "choose_engine": "workbench.engines.choice",
    "compare": "workbench.comparison",
    "correct": "workbench.benchmark.correction",
    "custom_gpu": "workbench.hardware",
    "distill": "workbench.distillation",
    "engine_facts": "workbench.engines.facts",
    "experiment": "workbench.benchmark.experiment",
    "export": "workbench.exports",
    "gpu": "workbench.hardware",
    "gpus": "workbench.hardware",
    "methods_map": "workbench.trials",
    "measure_speculation": "workbench.benchmark.speculation",
    "models": "workbench.architecture",
    "monitor": "workbench.monitoring",
    "next_measurement": "workbench.planner",
    "plan": "workbench.planner",
    "quantize": "workbench.quantizers",
    "readiness": "workbench.checklist",
    "schemes": "workbench.formats",
    "search": "workbench.planner",
    "serve": "workbench.serving",
    "translate": "workbench.translation",
    "try_methods": "workbench.trials",
}
__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from workbench.adaptation import adapt
    from workbench.architecture import Model, models
    from workbench.benchmark.bench import bench
    from workbench.benchmark.correction import correct
    from workbench.benchmark.experiment import experiment
    from workbench.benchmark.speculation import measure_speculation
    from workbench.checklist import readiness
    from workbench.cluster import Cluster
    from workbench.comparison import compare
    from workbench.deployment import Deployment, ServiceLevel, Workload
    from workbench.distillation import distill
    from workbench.engines.choice import choose_engine
    from workbench.engines.facts import engine_facts
    from workbench.errors import WorkbenchError
    from workbench.exports import export
    from workbench.formats import schemes
    from workbench.hardware import custom_gpu, gpu, gpus
    from workbench.monitoring import monitor
    from workbench.planner import Plan, next_measurement, plan, search
    from workbench.quantities import Estimate
    from workbench.quantizers import quantize
    from workbench.serving import baseline, serve
    from workbench.translation import translate
    from workbench.trials import methods_map, try_methods


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
