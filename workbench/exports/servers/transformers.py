"""``transformers serve``: asks for no key and has no metrics; nobody publishes an image of it.

It takes lengths and batch from each request, and quantises by bitsandbytes alone (5.19 ``cli/serve.py``,
``cli/serving/model_manager.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.engines.transformers.engine import QUANTIZATION
from workbench.exports.server import Server
from workbench.formats import checkpoint_scheme

if TYPE_CHECKING:
    from workbench.planner import Plan


def image(version: str, on_cpu: bool) -> str:
    """None: Hugging Face's images hold the library for its tests, not the server's packages."""
    return ""


def address(host: str, port: int) -> Sequence[str]:
    """``--host`` and ``--port``."""
    return ("--host", host, "--port", str(port))


def quantised_at_load(plan: Plan) -> str:
    """Scheme that floats are turned into while they load; "" where the checkpoint is as planned."""
    scheme = plan.setup.scheme if plan.setup else None
    whole = scheme is None or checkpoint_scheme(plan.model) is not None or not (scheme.quantized and scheme.online)
    return "" if whole or scheme is None else scheme.id


def obstacle(plan: Plan) -> str | None:
    """What it has no word for."""
    scheme = quantised_at_load(plan)
    known = ("", *QUANTIZATION)
    return None if scheme in known else f"quantization {scheme}: its server quantises by bitsandbytes alone"


SERVER = Server(
    engine="transformers",
    image=image,
    entrypoint=(),
    address=address,
    health="/health",
    models="/v1/models",
    metrics="",
    source="https://huggingface.co/docs/transformers/main/en/serve-cli/serving",
    obstacle=obstacle,
    variables=MappingProxyType({"DO_NOT_TRACK": "1"}),
    shared_memory=False,  # one process spreads the layers
)
