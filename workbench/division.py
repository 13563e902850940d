"""How a model is divided over GPUs: tensor, pipeline, data and expert parallelism, as vLLM divides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from workbench.architecture.attention import Mamba2, SideBySide
from workbench.architecture.model import DTYPE_BYTES, Model
from workbench.architecture.weights import Weight
from workbench.formats import Scheme
from workbench.formats.size import weight_bytes


def pad_vocabulary(vocabulary: int) -> int:
    """Rows of the embedding as vLLM holds them: the next multiple of 64.

    >>> pad_vocabulary(128256), pad_vocabulary(32001)
    (128256, 32064)
    """
    return -(-vocabulary // 64) * 64


def split_layers(layers: int, stages: int, last_takes_rest: bool = False) -> list[int]:
    """Layers of each pipeline stage as vLLM divides them.

    Equal shares; what is left over goes one each to the stages before the last, from the back, because the first
    and last stages also hold the embedding and the output projection.

    References
    ----------
    vLLM 0.32.0, ``distributed/utils.py``, ``get_pp_indices``; 0.7.3, the same file: the last stage takes the rest.

    Examples
    --------
    >>> split_layers(80, 4), split_layers(62, 4), split_layers(61, 2)
    ([20, 20, 20, 20], [15, 16, 16, 15], [31, 30])
    """
    counts = [layers // stages] * stages
    if last_takes_rest:
        counts[-1] += layers % stages
        return counts
    for i in range(2, layers % stages + 2):
        counts[-i] += 1
    return counts


@dataclass(frozen=True, slots=True)
class Division:
    """How a model is divided: tensor, pipeline, and over how many GPUs its experts are spread.

    Parameters
    ----------
    tensor, pipeline, data : int
    expert_parallel : bool
        Whether experts stay whole and are spread, rather than each divided.
    redundant_experts : int
        Copies of experts a layer holds besides, to balance them.
    last_takes_rest : bool
        Whether the last pipeline stage takes all layers that are left over, as vLLM did before 0.8.0.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False
    redundant_experts: int = 0
    last_takes_rest: bool = False

    def stages(self, layers: int) -> list[int]:
        """Layers of each pipeline stage; see :func:`split_layers`."""
        return split_layers(layers, self.pipeline, self.last_takes_rest)

    def shape(self, weight: Weight) -> tuple[int, int, float]:
        """Inputs, outputs and copies of a weight on one GPU.

        Experts are divided over tensor × data parallel GPUs: whole experts under expert parallelism, each expert's
        intermediate width otherwise.
        """
        parts = self.tensor
        inputs, outputs, copies = weight.inputs, weight.outputs, float(weight.copies)
        if weight.role == "expert":
            parts *= self.data
            if self.expert_parallel:
                return inputs, outputs, float(np.ceil((copies + self.redundant_experts) / parts))
        parts = min(parts, weight.most)
        if weight.shard == "column":
            outputs = -(-outputs // parts)
        elif weight.shard == "row":
            inputs = -(-inputs // parts)
        elif weight.shard == "vocabulary":
            outputs = pad_vocabulary(outputs) // parts
        return inputs, outputs, copies

    def held(self, weight: Weight, scheme: Scheme) -> Weight:
        """The weight as one GPU holds it: its share, padded to what the kernels of its format multiply."""
        inputs, outputs, copies = self.shape(weight)
        if inputs and scheme.kernel_multiples != (1, 1) and scheme.applies_to(weight):
            inputs, outputs = (-(-n // m) * m for n, m in zip((inputs, outputs), scheme.kernel_multiples, strict=True))
        return replace(weight, inputs=inputs, outputs=outputs, copies=int(copies))

    def matrix_bytes(
        self,
        weight: Weight,
        scheme: Scheme,
        float_bytes: int,
        layer: int | None = None,
        model: Model | None = None,
    ) -> float:
        """Bytes of a weight on one GPU, biases and vectors included [B]; ``layer``, ``model``: see ``stored_as``."""
        width = DTYPE_BYTES["float32"] if weight.float32 else float_bytes
        return weight_bytes(self.held(weight, scheme), scheme, width, layer, model)

    def obstacle(self, model: Model, scheme: Scheme) -> str | None:
        """Why the model cannot be divided like this, in vLLM's terms; None if it can. Asked once, then remembered."""
        return _obstacle(self, model, scheme)

    def _obstacle(self, model: Model, scheme: Scheme) -> str | None:
        if self.pipeline > len(model.layers):
            return f"pipeline_parallel_size {self.pipeline} exceeds the model's {len(model.layers)} layers"
        for attention in model.attentions:
            heads, kv_heads = attention.heads, attention.kv_heads
            if heads % self.tensor:
                return f"tensor_parallel_size {self.tensor} does not divide the model's {heads} attention heads"
            if kv_heads and max(kv_heads, self.tensor) % min(kv_heads, self.tensor):
                return f"tensor_parallel_size {self.tensor} and {kv_heads} KV heads do not divide each other"
            held = attention.recurrence if isinstance(attention, SideBySide) else attention
            if isinstance(held, Mamba2) and held.groups > 1 and held.groups % self.tensor:
                return f"tensor_parallel_size {self.tensor} does not divide the {held.groups} groups of a state's heads"
        layers = (weight for kind in model.kinds for weight in kind.weights(model.hidden))
        for weight in (*layers, *(weight for tower in model.towers for weight in tower.weights)):
            reason = self._uneven(weight, scheme)
            if reason:
                return reason
        if pad_vocabulary(model.vocabulary) % self.tensor:
            return f"tensor_parallel_size {self.tensor} does not divide the padded vocabulary"
        return None

    def _uneven(self, weight: Weight, scheme: Scheme) -> str | None:
        whole = {"column": weight.outputs, "row": weight.inputs}.get(weight.shard)
        if not whole or (weight.role == "expert" and self.expert_parallel):
            return None
        parts = min(self.tensor * (self.data if weight.role == "expert" else 1), weight.most)
        if whole % parts:
            return f"{weight.name} of width {whole} cannot be divided over {parts} GPUs"
        if parts == 1 or scheme.kernel_multiples != (1, 1) or not scheme.applies_to(weight):
            return None
        if scheme.block and weight.role != "expert" and weight.name.endswith(_MERGED):
            return None
        unit = scheme.block[0] if scheme.block else (scheme.group_size if weight.shard == "row" else 0)
        if unit > 0 and (whole // parts) % unit:
            return (
                f"{weight.name} divided over {parts} GPUs is {whole // parts} wide, "
                f"not a multiple of the {scheme.title} group of {unit}"
            )
        return None


#: Matrices that vLLM loads side by side as one; there it lets a part end inside a block of FP8 scales (vLLM 0.32.0,
#: ``model_executor/layers/linear.py``, ``_maybe_allow_fp8_block_shape_mismatch``).
_MERGED = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")


@lru_cache(maxsize=1024)
def _obstacle(division: Division, model: Model, scheme: Scheme) -> str | None:
    return division._obstacle(model, scheme)


def float_bytes(model: Model, dtype: str, scheme: Scheme) -> int:
    """Bytes of a weight that is not quantised [B]: float32 only when asked for, as vLLM loads in 16 bit."""
    if dtype in ("float32", "float") or scheme.id == "fp32":
        return DTYPE_BYTES["float32"]
    return 2
