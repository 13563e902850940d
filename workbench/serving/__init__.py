"""Start, watch, try and stop a model server.

>>> import workbench as wb
>>> with wb.serve("builtin", enforce_eager=True) as server:      # doctest: +SKIP
...     print(server.smoke())
"""

from __future__ import annotations

from workbench.serving.baseline import baseline
from workbench.serving.client import Client, Generation
from workbench.serving.offline import offline
from workbench.serving.server import Server
from workbench.serving.smoke import SmokeResult, Step, smoke
from workbench.serving.start import serve

__all__ = ["Client", "Generation", "Server", "SmokeResult", "Step", "baseline", "offline", "serve", "smoke"]
