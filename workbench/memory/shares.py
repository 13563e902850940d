"""What one GPU of a group holds: weights by pipeline stage, KV cache groups by layer kind.

Made once for a model and a way of dividing it; the ledger multiplies arrays with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from workbench.architecture.model import Model
from workbench.division import Division, split_layers
from workbench.formats import Scheme

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=1024)
def stage_weights(model: Model, division: Division, scheme: Scheme, float_bytes: int) -> Floats:
    """Weight bytes on one GPU of each pipeline stage [B], shape (stages,).

    Every stage also holds the rotary embedding's table, max_model_len × head_dim values.
    """
    per_kind = [
        sum(division.matrix_bytes(w, scheme, float_bytes) for w in kind.weights(model.hidden)) for kind in model.kinds
    ]
    per_layer = np.array([per_kind[i] for i in model.pattern])
    ends = np.cumsum(split_layers(len(model.layers), division.pipeline))
    stages = np.array([part.sum() for part in np.split(per_layer, ends[:-1])])
    for weight in model.outside:
        size = division.matrix_bytes(weight, scheme, float_bytes)
        if weight.role == "embedding":
            stages[0] += size
            if model.tied and division.pipeline > 1 and weight.name == "embed_tokens":
                stages[-1] += size  # the last stage needs the output projection too
        else:
            stages[-1] += size
    rotary = model.config.get("max_position_embeddings", model.max_model_len) * model.layers[0].attention.head_dim
    return np.asarray(stages + rotary * float_bytes)


@dataclass(frozen=True, slots=True)
class KVGroups:
    """How vLLM groups layers with equal caches on one pipeline stage.

    Parameters
    ----------
    size : int
        Layers in a group (padding included): a block of the pool is ``size`` pages.
    windows : tuple
        For each group, its window, or None for full attention.
    elements : int
        Values cached for a token in one layer on one GPU.
    """

    size: int
    windows: tuple[int | None, ...]
    elements: int


@lru_cache(maxsize=1024)
def kv_groups(model: Model, division: Division, padding_ratio: float) -> tuple[KVGroups, ...]:
    """The KV groups of every stage.

    Layers of one kind form groups of equal size; the size is the smallest count of a kind, or the largest where
    they differ by less than ``padding_ratio``; a last group is padded.

    References
    ----------
    vLLM 0.32.0, ``v1/core/kv_cache_utils.py``, ``_get_kv_cache_groups_uniform_page_size``.
    """
    stages: list[KVGroups] = []
    start = 0
    for count in split_layers(len(model.layers), division.pipeline):
        layers = model.layers[start : start + count]
        start += count
        counts = Counter(layer.attention.window for layer in layers)
        attention = layers[0].attention
        elements = attention.kv_elements_per_token // min(division.tensor, attention.kv_heads)
        least, most = min(counts.values()), max(counts.values())
        size = most if most < least * padding_ratio else least
        windows = tuple(window for window, n in counts.items() for _ in range(-(-n // size)))
        stages.append(KVGroups(size, windows, elements))
    return tuple(stages)
