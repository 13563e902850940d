"""The list of what must hold before a model goes into production, answered from evidence.

Five stages of 26 items, six key figures for chat and for batch, four alerts. Each is a file of ``items/``, looks at
the live endpoint, at this machine or at a file it was pointed to, and answers pass, warn, fail or not checked.
Nothing passes on trust: what cannot be proved is not checked, with how to prove it.
"""

from workbench.checklist.figures import Thresholds, thresholds
from workbench.checklist.finding import Evidence, Finding
from workbench.checklist.registry import STAGES, Check, checks
from workbench.checklist.report import Answer, Report
from workbench.checklist.run import Run, readiness, start
from workbench.checklist.subject import Subject

__all__ = [
    "STAGES",
    "Answer",
    "Check",
    "Evidence",
    "Finding",
    "Report",
    "Run",
    "Subject",
    "Thresholds",
    "checks",
    "readiness",
    "start",
    "thresholds",
]
