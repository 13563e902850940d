"""What the log of transformers' server says: how far it has come. Of memory it says nothing.

The wordings are those of transformers 5.19 (``cli/serving/model_manager.py``, ``core_model_loading.py``) and Uvicorn's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.engines.vllm.logs import MemoryReport, strip_ansi

#: In the order in which a start passes them; "environment" is ours. It opens its port once the model is loaded.
STAGES: dict[str, str] = {
    "environment": "preparing",
    "starting": "starting transformers",
    "loading": "loading the weights",
    "listening": "opening the API",
    "ready": "ready",
}
_SIGNS = (
    ("ready", re.compile(r"Application startup complete|Uvicorn running on")),
    ("listening", re.compile(r"Started server process")),
    ("loading", re.compile(r"^\[transformers\] Loading \S|Loading (?:weights|checkpoint shards):")),
)
_SHARE = re.compile(r"Loading (?:weights|checkpoint shards):\s+(\d+)%")


@dataclass
class LogReader:
    """Reads a log line by line: :attr:`stage` and :attr:`share` of it.

    Examples
    --------
    >>> reader = LogReader()
    >>> reader.feed("Loading weights:  45%|####5     | 17/38 [00:02<00:02,  8.1it/s]")
    True
    >>> reader.stage, reader.share
    ('loading', 0.45)
    """

    stage: str = "starting"
    share: float | None = None

    def feed(self, text: str) -> bool:
        """Take in one line; True where the stage or its share moved."""
        line = strip_ansi(text)
        stage = next((stage for stage, sign in _SIGNS if sign.search(line)), None)
        order = list(STAGES)
        if stage is None or order.index(stage) < order.index(self.stage):
            return False
        match = _SHARE.search(line)
        before, self.stage = (self.stage, self.share), stage
        if match is not None:
            self.share = int(match[1]) / 100
        elif stage != before[0]:
            self.share = None
        return before != (self.stage, self.share)

    def report(self) -> MemoryReport:
        """Nothing: the server does not say what it takes."""
        return MemoryReport()
