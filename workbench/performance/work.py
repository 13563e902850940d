"""What one engine step must do on one GPU, as operators: bytes to read, FLOPs, messages. Made once for a setup."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache

from workbench.architecture.attention import Attention
from workbench.architecture.caches import IndexCache, PlainIndexCache, StateCache, TokenCache
from workbench.architecture.mlp import MixtureOfExperts
from workbench.architecture.weights import Weight
from workbench.choices import Setup
from workbench.division import pad_vocabulary
from workbench.performance.kernels import multiplied_as


@dataclass(frozen=True, slots=True)
class Gemm:
    """A matrix multiplication that each of ``layers`` layers does once a step.

    Attributes
    ----------
    format : str
        Of ``data/kernels.csv``.
    layers : float
        How many layers do it.
    weight_bytes : float
        Weights it reads [B].
    bytes_per_token, flops_per_token : float
        Activations in and out [B]; FLOPs.
    """

    format: str
    layers: float
    weight_bytes: float
    bytes_per_token: float
    flops_per_token: float


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of ``layers`` equal layers, as one GPU holds them.

    Attributes
    ----------
    format : str
        Of ``data/kernels.csv``.
    layers : int
    experts, experts_per_token : int
        Of a layer; used by a token.
    here : float
        Experts whose weights, whole or in part, this GPU holds.
    expert_bytes : float
        One expert's weights here [B].
    bytes_per_pair, flops_per_pair : float
        Activations [B] and FLOPs of one token in one expert.
    """

    format: str
    layers: int
    experts: int
    experts_per_token: int
    here: float
    expert_bytes: float
    bytes_per_pair: float
    flops_per_pair: float


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """Attention of ``layers`` equal layers on one GPU; ``state_bytes`` are read and written once a request and step."""

    layers: int
    kind: str
    format: str
    window: int | None
    kv_bytes_per_token: float
    state_bytes: float
    flops_per_pair: float
    prefill_flops_per_pair: float
    flops_per_token: float
    bytes_per_query: float


@dataclass(frozen=True, slots=True)
class Work:
    """Work on one GPU, all layers of the model together (a pipeline passes through all of them).

    Attributes
    ----------
    gemms : tuple of Gemm
        What every step multiplies, whatever is in it.
    head : Gemm
        The output projection, for sampled tokens only.
    experts : tuple of Experts
    attention : tuple of AttentionWork
    layers, hidden : int
        How many; width of a message.
    reduced, norms_reduced : int
        All-reduces of a step under tensor parallelism: of hidden states, and of the sums that a norm over all heads'
        queries or keys needs (a few bytes).
    """

    gemms: tuple[Gemm, ...]
    head: Gemm
    experts: tuple[Experts, ...]
    attention: tuple[AttentionWork, ...]
    layers: int
    hidden: int
    reduced: int
    norms_reduced: int

    @property
    def dense_bytes(self) -> float:
        """Weights that every step reads, output projection and experts apart [B]."""
        return sum(gemm.layers * gemm.weight_bytes for gemm in self.gemms)

    @property
    def dense_flops(self) -> float:
        """FLOPs of a token in what every step multiplies."""
        return sum(gemm.layers * gemm.flops_per_token for gemm in self.gemms)

    @property
    def expert_flops(self) -> float:
        """FLOPs of a token in the experts held here, if tokens spread evenly over the GPUs that hold them."""
        return sum(
            part.layers * part.experts_per_token * part.here / part.experts * part.flops_per_pair
            for part in self.experts
        )

    @property
    def expert_bytes(self) -> float:
        """Weights of all experts held here [B]."""
        return sum(part.layers * part.here * part.expert_bytes for part in self.experts)


def _attention(setup: Setup, held: Attention, layers: int) -> list[AttentionWork]:
    """One layer's attention; two where an indexer scores every token and picks what is read."""
    tensor = setup.division.tensor
    tokens = [c for c in held.caches if isinstance(c, TokenCache)]
    states = [c for c in held.caches if isinstance(c, StateCache)]
    expanded: int | None = getattr(held, "expanded_flops_per_pair", None)
    picked: int | None = getattr(held, "picked", None)
    scored = [c for c in tokens if picked and isinstance(c, IndexCache | PlainIndexCache)]
    found = AttentionWork(
        layers=layers,
        kind="latent" if expanded else "attention" if tokens else "state",
        format="fp8" if setup.kv_element_bytes < 2 else "bf16",
        window=picked if scored else held.window,
        kv_bytes_per_token=sum(c.bytes_per_token(setup.kv_element_bytes, tensor) for c in tokens if c not in scored),
        state_bytes=sum(c.size(setup.float_bytes, tensor) for c in states),
        flops_per_pair=held.flops_per_pair / tensor,
        prefill_flops_per_pair=(expanded or held.flops_per_pair) / tensor,
        flops_per_token=held.flops_per_token / tensor,
        bytes_per_query=4.0 * held.heads * held.head_dim / tensor,
    )
    if not scored:
        return [found]
    bytes_scored = sum(c.bytes_per_token(setup.kv_element_bytes, tensor) for c in scored)
    return [found, replace(found, window=None, kv_bytes_per_token=bytes_scored, state_bytes=0.0, flops_per_token=0.0)]


def _stored(setup: Setup, weight: Weight, kind: int) -> float:
    """Bytes of a weight on one GPU, on average over the layers of its kind: files of llama.cpp store them unequally."""
    model, scheme = setup.model, setup.scheme
    layers = [n for n, found in enumerate(model.pattern) if found == kind] if scheme.by_layer else [None]
    sizes = [setup.division.matrix_bytes(weight, scheme, setup.float_bytes, n, model) for n in layers]
    return sum(sizes) / len(sizes)


def _format(setup: Setup, weight: Weight, kind: int) -> str:
    """Which kernels multiply a weight, in the first layer of its kind."""
    if weight.float32:
        return "fp32"
    layer = setup.model.pattern.index(kind)
    stored = setup.scheme.stored_as(weight, layer, setup.model)
    return multiplied_as(setup.scheme, stored, setup.card)


def _gemms(setup: Setup, weights: list[Weight], kind: int, layers: int) -> list[Gemm]:
    """The multiplications of a layer: matrices with the same input, stored alike, are multiplied as one (q, k, v)."""
    fused: dict[tuple[str, str, int, str], list[Weight]] = defaultdict(list)
    for weight in weights:
        fused[weight.role, weight.shard, weight.inputs, _format(setup, weight, kind)].append(weight)
    found = []
    for (_, _, _, format), parts in fused.items():
        size = activations = flops = 0.0
        for weight in parts:
            inputs, outputs, copies = setup.division.shape(weight)
            size += _stored(setup, weight, kind)
            activations += 2.0 * outputs * copies
            flops += 2.0 * inputs * outputs * copies
        inputs, _, _ = setup.division.shape(parts[0])
        found.append(Gemm(format, layers, size, activations + 2.0 * inputs, flops))
    return found


def _experts(setup: Setup, mlp: MixtureOfExperts, weights: list[Weight], kind: int, layers: int) -> Experts:
    size = activations = flops = here = 0.0
    for weight in weights:
        inputs, outputs, copies = setup.division.shape(weight)
        here = copies
        size += _stored(setup, weight, kind) / copies
        activations += 2.0 * (inputs + outputs)
        flops += 2.0 * inputs * outputs
    return Experts(
        format=_format(setup, weights[0], kind),
        layers=layers,
        experts=mlp.experts,
        experts_per_token=mlp.experts_per_token,
        here=here,
        expert_bytes=size,
        bytes_per_pair=activations,
        flops_per_pair=flops,
    )


def _head(setup: Setup) -> Gemm:
    """The output projection; its own matrix, or the embedding's where they are tied."""
    model = setup.model
    role = "embedding" if model.tied else "lm_head"
    values = pad_vocabulary(model.vocabulary) * model.hidden / setup.division.tensor
    held = [w for w in model.outside if w.role == role and w.outputs >= model.vocabulary]
    size, format = values * setup.float_bytes, "bf16"
    for weight in held[:1]:
        size = setup.division.matrix_bytes(weight, setup.scheme, setup.float_bytes, None, model) or size
        format = multiplied_as(setup.scheme, setup.scheme.stored_as(weight, None, model), setup.card)
    logits = 4.0 * pad_vocabulary(model.vocabulary) / setup.division.tensor
    return Gemm(format, 1, size, 2.0 * model.hidden + logits, 2 * values)


@lru_cache(maxsize=1024)
def work(setup: Setup) -> Work:
    """The work of a setup."""
    model = setup.model
    gemms: list[Gemm] = []
    experts: list[Experts] = []
    attention: list[AttentionWork] = []
    reduced = norms_reduced = 0
    for index, kind in enumerate(model.kinds):
        count = model.pattern.count(index)
        matrices = [weight for weight in kind.weights(model.hidden) if weight.inputs]
        routed = [weight for weight in matrices if weight.role == "expert"]
        gemms += _gemms(setup, [weight for weight in matrices if weight.role != "expert"], index, count)
        if isinstance(kind.mlp, MixtureOfExperts):
            experts.append(_experts(setup, kind.mlp, routed, index, count))
        if kind.attention is not None:
            attention += _attention(setup, kind.attention, count)
        norms_reduced += count * (getattr(kind.attention, "query_key_norm", "none") == "full")
        reduced += count * ((kind.attention is not None) + (kind.mlp is not None))
    return Work(
        gemms=tuple(gemms),
        head=_head(setup),
        experts=tuple(experts),
        attention=tuple(attention),
        layers=len(model.layers),
        hidden=model.hidden,
        reduced=reduced,
        norms_reduced=norms_reduced,
    )
