"""What is seen: one anywidget per panel, composed as ipywidgets. No arithmetic happens here.

>>> from workbench.ui import PlannerPanel
>>> panel = PlannerPanel(gpu="L40S", max_model_len=8192)
>>> panel.plan.fits
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "AccuracyPanel": "workbench.ui.accuracy",
    "AdvisorPanel": "workbench.ui.advisor",
    "BenchPanel": "workbench.ui.bench",
    "ClaimsPanel": "workbench.ui.claims",
    "ComparePanel": "workbench.ui.compare",
    "ComparisonPanel": "workbench.ui.comparison",
    "DeployPanel": "workbench.ui.deploy",
    "EnvironmentsPanel": "workbench.ui.environments",
    "ErrorChart": "workbench.ui.error_chart",
    "GpuTable": "workbench.ui.gpus",
    "MethodsPanel": "workbench.ui.methods",
    "MonitorPanel": "workbench.ui.monitor",
    "Panel": "workbench.ui.panel",
    "PlannerPages": "workbench.ui.pages",
    "PlannerPanel": "workbench.ui.planner",
    "QuantizePanel": "workbench.ui.quantize",
    "ReadinessPanel": "workbench.ui.readiness",
    "ServePanel": "workbench.ui.serve",
    "Tabs": "workbench.ui.tabs",
    "TranslatePanel": "workbench.ui.translate",
    "TrialsChart": "workbench.ui.trials_chart",
}
__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from workbench.ui.accuracy import AccuracyPanel
    from workbench.ui.advisor import AdvisorPanel
    from workbench.ui.bench import BenchPanel
    from workbench.ui.claims import ClaimsPanel
    from workbench.ui.compare import ComparePanel
    from workbench.ui.comparison import ComparisonPanel
    from workbench.ui.deploy import DeployPanel
    from workbench.ui.environments import EnvironmentsPanel
    from workbench.ui.error_chart import ErrorChart
    from workbench.ui.gpus import GpuTable
    from workbench.ui.methods import MethodsPanel
    from workbench.ui.monitor import MonitorPanel
    from workbench.ui.pages import PlannerPages
    from workbench.ui.panel import Panel
    from workbench.ui.planner import PlannerPanel
    from workbench.ui.quantize import QuantizePanel
    from workbench.ui.readiness import ReadinessPanel
    from workbench.ui.serve import ServePanel
    from workbench.ui.tabs import Tabs
    from workbench.ui.translate import TranslatePanel
    from workbench.ui.trials_chart import TrialsChart


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'workbench.ui' has no attribute {name!r}")
