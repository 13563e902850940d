"""Watch an engine and its machine: what they do now, and what limits them.

>>> import workbench as wb
>>> with wb.monitor("http://127.0.0.1:8000") as watching:       # doctest: +SKIP
...     print(watching.wait(10).diagnosis)
"""

from __future__ import annotations

from workbench.monitoring.diagnosis import Diagnosis, diagnose
from workbench.monitoring.evidence import Evidence
from workbench.monitoring.finding import Change, Finding
from workbench.monitoring.watch import Monitor, monitor
from workbench.monitoring.window import Point

__all__ = ["Change", "Diagnosis", "Evidence", "Finding", "Monitor", "Point", "diagnose", "monitor"]
