"""What to run next, from what a running deployment was seen to do: ``wb.adapt``, and the change made without a gap.

>>> import workbench as wb
>>> step = wb.adapt(plan, result, wb.ServiceLevel(tpot=0.03))      # doctest: +SKIP
>>> print(step)                                                     # doctest: +SKIP
>>> server = replace_server(server, step)                           # doctest: +SKIP
"""

from __future__ import annotations

from workbench.adaptation.observed import Observed
from workbench.adaptation.recommend import Step, adapt
from workbench.adaptation.replace import replace_server

__all__ = ["Observed", "Step", "adapt", "replace_server"]
