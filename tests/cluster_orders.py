"""Orders for servers on the nodes of a test's cluster."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

from workbench.cluster import Cluster
from workbench.serving.elsewhere import Elsewhere
from workbench.serving.lifecycle import Order


def stub(on: Cluster, model: Path, *more: str, port: int | None = None) -> Order:
    """A stand-in for vLLM (see stub_engine); the nodes' environment gptqmodel is where it lives."""
    command = ("vllm", "serve", str(model), "--mark", f"mark-{uuid.uuid4().hex}", *more)
    place = partial(Elsewhere, on, {"gpus": 0})
    return Order(command=command, environment="gptqmodel", offline=True, port=port, place=place)
