"""Methods of quantisation tried on one model, side by side: what each made, what it cost, which engine loads it.

>>> import workbench as wb
>>> series = wb.try_methods("builtin", ["awq", "gguf:type=Q4_K_M"], "tried")            # doctest: +SKIP
>>> series.wait().frame()[["label", "bytes", "kl_divergence", "loads_in"]]              # doctest: +SKIP
>>> open_folder("tried").frame()                                                        # doctest: +SKIP
"""

from __future__ import annotations

from workbench.trials.advice import Suggestion, which_method
from workbench.trials.choice import Choice, every
from workbench.trials.map import methods_map
from workbench.trials.record import Trial, Trials, open_folder
from workbench.trials.series import Series, try_methods
from workbench.trials.told import often_told

__all__ = [
    "Choice",
    "Series",
    "Suggestion",
    "Trial",
    "Trials",
    "every",
    "methods_map",
    "often_told",
    "open_folder",
    "try_methods",
    "which_method",
]
