"""What a model's weights take as they are stored, undivided: the size of a checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.architecture.caches import TokenCache
from workbench.formats.scheme import Scheme

if TYPE_CHECKING:
    from workbench.architecture.model import Model
    from workbench.architecture.weights import Weight


def placed(model: Model) -> Iterator[tuple[int | None, Weight]]:
    """Every weight of a model, towers included, and the number of its layer (None outside), layer by layer."""
    for number, kind in enumerate(model.pattern):
        for weight in model.kinds[kind].weights(model.hidden):
            yield number, weight
    for weight in (*model.outside, *(w for tower in model.towers for w in tower.weights)):
        yield None, weight


def weight_bytes(
    weight: Weight, scheme: Scheme, float_bytes: float, layer: int | None = None, model: Model | None = None
) -> float:
    """Stored bytes of one weight and its copies, biases included [B].

    Parameters
    ----------
    weight : Weight
    scheme : Scheme
    float_bytes : float
        Bytes of a value the scheme leaves alone.
    layer, model
        As in :meth:`Scheme.stored_as`.
    """
    small = float_bytes if scheme.vector_bytes is None else scheme.vector_bytes
    if not weight.inputs:
        return weight.copies * weight.outputs * small
    chosen = scheme.stored_as(weight, layer, model)
    matrix = weight.inputs * weight.outputs * float_bytes
    if chosen is not None:
        matrix = chosen.matrix_bytes(weight.inputs, weight.outputs)
    return weight.copies * (matrix + (weight.outputs * small if weight.bias else 0))


def stored_bytes(model: Model, scheme: Scheme, float_bytes: float = 2.0, *, drafter: bool = False) -> dict[str, float]:
    """Bytes of the tensors of a checkpoint by the weights' role, as stored: nothing divided, nothing padded [B].

    Parameters
    ----------
    model : Model
    scheme : Scheme
    float_bytes : float
        Bytes of a value the scheme leaves alone.
    drafter : bool
        Whether to count the layers for multi-token prediction too, as role "drafter".

    Returns
    -------
    dict of str to float
        Role ("attention", "mlp", "expert", "embedding" …) to bytes.

    Examples
    --------
    Llama-2-7B: 6,738,415,616 parameters in 16 bit.

    >>> from workbench.architecture import Model
    >>> from workbench.formats import scheme
    >>> model = Model.from_config("meta-llama/Llama-2-7b-hf")
    >>> sum(stored_bytes(model, scheme("bf16")).values()) / 2
    6738415616.0
    """
    found: dict[str, float] = {}
    known: dict[tuple[Weight, int | None], float] = {}
    for layer, weight in placed(model):
        # Equal layers are sized once, unless the scheme treats them differently.
        at = (weight, layer if scheme.by_layer else None)
        if at not in known:
            known[at] = weight_bytes(weight, scheme, float_bytes, at[1], model)
        found[weight.role] = found.get(weight.role, 0.0) + known[at]
    if scheme.cache_bytes:
        caching = sum(any(isinstance(cache, TokenCache) for cache in layer.caches) for layer in model.layers)
        found["attention"] = found.get("attention", 0.0) + scheme.cache_bytes * caching
    if drafter and model.drafter is not None:
        first = len(model.layers)
        own = [(first + n, w) for n, at in enumerate(model.drafter.layers) for w in at.weights(model.hidden)]
        own += [(first, w) for w in model.drafter.outside]
        found["drafter"] = sum(weight_bytes(w, scheme, float_bytes, n, model) for n, w in own)
    return found
