"""transformers as the planner knows it: ``model.generate`` of one batch.

``max_num_seqs`` is the batch, ``max_model_len`` prompt and answer together, ``pipeline_parallel_size`` the GPUs that
``device_map="auto"`` spreads the layers over, one after another.
"""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.deployment import Deployment
from workbench.engines.engine import Defaults, Engine, Floats, scheme_of
from workbench.engines.transformers import versions
from workbench.engines.words import dtype
from workbench.formats import SCHEMES, Scheme
from workbench.hardware import GPU


def scheme(model: Model, deployment: Deployment) -> Scheme:
    """The scheme in memory: GGUF files are turned back into floats while they are loaded.

    References
    ----------
    transformers 5.17, ``modeling_gguf_pytorch_utils.py``, ``load_gguf_checkpoint``.
    """
    found = scheme_of(model, deployment)
    return SCHEMES["bf16"] if found.family == "gguf" else found


def defaults(version: versions.Version, card: GPU, model: Model, length: Floats) -> Defaults:
    """A batch of one, whose whole prompt goes through the model at once."""
    return Defaults(max_num_seqs=1, max_num_batched_tokens=length)


#: Schemes that the server turns floats into while it loads them; it knows bitsandbytes' alone
#: (5.19 ``cli/serving/model_manager.py``).
QUANTIZATION = {"nf4": "bnb-4bit"}


def line(deployment: Deployment, checkpoint: str, quantized: bool) -> list[str]:
    """The ``transformers serve`` line; lengths and batch are set by each request there.

    Empty where it would have to quantise floats, since the checkpoint is not ``quantized``, in a way it does not know.
    """
    words = ["transformers", "serve", checkpoint]
    words += ["--device", "cpu"] if deployment.gpu == "cpu" else []
    words += ["--dtype", dtype(deployment)] if dtype(deployment) else []
    scheme = SCHEMES.get(deployment.quantization or "")
    if quantized or scheme is None or not (scheme.quantized and scheme.online):
        return words
    return [*words, "--quantization", QUANTIZATION[scheme.id]] if scheme.id in QUANTIZATION else []


def command(deployment: Deployment, checkpoint: str, model: Model, quantized: bool) -> list[str]:
    """The same, as every engine is asked for it."""
    return line(deployment, checkpoint, quantized)


ENGINE = Engine(
    name="transformers",
    title="transformers",
    version=versions.DEFAULT,
    fields=frozenset({"pipeline_parallel_size", "max_model_len", "max_num_seqs"}),
    release=versions.version,
    defaults=defaults,
    command=command,
    scheme=scheme,
    instead={"tensor_parallel_size": "pipeline_parallel_size, which spreads the layers"},
    speed_spread=4.0,
)
