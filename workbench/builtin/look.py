"""The worker of :func:`workbench.builtin.job`: by then the model is there, and this says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.worker import Worker


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """The model's folder and what its training reported."""
    made = json.loads((Path(request["folder"]) / "workbench.json").read_text(encoding="utf-8"))
    return {**made["result"], "folder": request["folder"]}
