"""What config.json says, as llama.cpp asks for it; and what stands against saying it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput

#: ``model_type`` -> llama.cpp's architecture.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
#: Architectures whose rotary embedding turns neighbours, so that rows of Q and K change places on the way.
NEIGHBOURS = frozenset({"llama"})
_ROPE = ("default", "linear", "yarn", "llama3")


@dataclass(frozen=True)
class Fields:
    """A model's sizes and settings.

    Parameters
    ----------
    architecture : str
        llama.cpp's name.
    context, layers, hidden, intermediate, heads, kv_heads, head_dim, vocabulary : int
        Tokens of the longest context, and sizes.
    epsilon : float
        Of the norms.
    theta : float
        Base of the rotary embedding.
    rope : mapping
        How it is stretched: ``rope_type``, ``factor`` and so on, as transformers names them.
    tied : bool
        Whether the embedding is the output too.
    """

    architecture: str
    context: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    epsilon: float
    theta: float
    rope: Mapping[str, Any]
    tied: bool


def model_name(folder: Path) -> str:
    """A model's name from its folder: not the commit of a hub's snapshot, nor a cached folder's digest.

    >>> model_name(Path("models--Qwen--Qwen3-0.6B/snapshots/c1899de")), model_name(Path("builtin-llama-67bd15aea9d3"))
    ('Qwen3-0.6B', 'builtin-llama')
    """
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.split("--")[-1]
    return re.sub(r"-[0-9a-f]{12}$", "", folder.name)


def rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary embedding's settings, wherever a release of transformers writes them.

    >>> rope({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}})
    {'rope_theta': 500000.0, 'rope_type': 'linear', 'factor': 2.0}
    """
    found = {"rope_theta": config.get("rope_theta") or 10_000.0, "rope_type": "default"}
    for given in (config.get("rope_scaling"), config.get("rope_parameters")):
        if isinstance(given, Mapping):
            known = {name: value for name, value in given.items() if value is not None}
            found |= {"rope_type": known.pop("type", found["rope_type"]), **known}
    return found


def window(config: Mapping[str, Any]) -> int | None:
    """Tokens each token looks back on, where that is less than the context [tokens]; None where it is not."""
    size, longest = config.get("sliding_window"), config.get("max_position_embeddings")
    if not isinstance(size, int) or not isinstance(longest, int) or size >= longest:
        return None
    slides = config.get("model_type") == "mistral" or config.get("use_sliding_window") is True
    return size if slides else None


def unsupported(config: Mapping[str, Any]) -> list[str]:
    """Reasons why this model cannot become a GGUF file here; none if it can.

    >>> unsupported({"model_type": "gpt2"})
    ["model_type 'gpt2' is not converted to GGUF here; llama, mistral, qwen2, qwen3 are"]
    """
    kind = config.get("model_type")
    if kind not in ARCHITECTURES:
        return [f"model_type {kind!r} is not converted to GGUF here; {', '.join(ARCHITECTURES)} are"]
    reasons = []
    turned = rope(config)
    if turned["rope_type"] not in _ROPE:
        reasons.append(f"its rope_type is {turned['rope_type']!r}; llama.cpp knows {', '.join(_ROPE)}")
    if config.get("partial_rotary_factor", turned.get("partial_rotary_factor", 1.0)) != 1.0:
        reasons.append("it turns a part of each head only (partial_rotary_factor)")
    if config.get("hidden_act", "silu") != "silu":
        reasons.append(f"its hidden_act is {config['hidden_act']!r}; llama.cpp computes silu for {kind}")
    return reasons


def read(config: Mapping[str, Any]) -> Fields:
    """What the file is made with.

    Raises
    ------
    InvalidInput
        If a field is missing or is no number; the message names it.
    """
    turned = rope(config)
    heads = _whole(config, "num_attention_heads")
    hidden = _whole(config, "hidden_size")
    return Fields(
        architecture=ARCHITECTURES[config["model_type"]],
        # Within its window a model that slides one is the same as one that does not.
        context=window(config) or _whole(config, "max_position_embeddings"),
        layers=_whole(config, "num_hidden_layers"),
        hidden=hidden,
        intermediate=_whole(config, "intermediate_size"),
        heads=heads,
        kv_heads=_whole(config, "num_key_value_heads", heads),
        head_dim=_whole(config, "head_dim", hidden // heads),
        vocabulary=_whole(config, "vocab_size"),
        epsilon=float(config.get("rms_norm_eps", 1e-6)),
        theta=float(turned["rope_theta"]),
        rope=turned,
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _whole(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"config.json has {name} {value!r}; a whole number of at least 1 is needed")
    return value
