"""MLP kinds: dense (gated or plain) and mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.architecture.weights import Weight, prefixed, vector


@dataclass(frozen=True, slots=True)
class GatedMLP:
    """down(act(gate(x)) * up(x)): Llama, Qwen, Gemma, Mistral, …"""

    intermediate: int
    bias: bool = False

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Three projections of one layer."""
        return prefixed(
            "mlp",
            (
                Weight("gate_proj", "mlp", hidden, self.intermediate, "column", self.bias),
                Weight("up_proj", "mlp", hidden, self.intermediate, "column", self.bias),
                Weight("down_proj", "mlp", self.intermediate, hidden, "row", self.bias),
            ),
        )


@dataclass(frozen=True, slots=True)
class PlainMLP:
    """fc2(act(fc1(x))): OPT, Phi-2, StarCoder 2, Nemotron-H, BERT.

    Parameters
    ----------
    intermediate : int
    bias : bool
    names : tuple of str
        What checkpoints call the two matrices.
    """

    intermediate: int
    bias: bool = False
    names: tuple[str, str] = ("fc1", "fc2")

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Two projections of one layer."""
        return prefixed(
            "mlp",
            (
                Weight(self.names[0], "mlp", hidden, self.intermediate, "column", self.bias),
                Weight(self.names[1], "mlp", self.intermediate, hidden, "row", self.bias),
            ),
        )


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """A router sends each token to ``experts_per_token`` of ``experts`` MLPs.

    Parameters
    ----------
    experts, experts_per_token : int
        How many there are, how many a token uses.
    expert : GatedMLP or PlainMLP
        One expert.
    shared : GatedMLP or PlainMLP, optional
        An expert every token uses besides.
    shared_gate : bool
        Whether a gate of one output weighs the shared expert (Qwen2-MoE).
    router_bias : bool
        A bias on the router's output (gpt-oss).
    correction_bias : bool
        A vector that only corrects the choice of experts (GLM-4.5, MiniMax).
    shared_name : str
        What the checkpoint calls what is shared.
    latent : int, optional
        Width the token is projected to before the experts and back from after them (Nemotron 3 Super and Ultra).
    latent_norm : bool
        Whether a norm precedes the way back (Kimi K3).
    router_float32 : bool
        Whether the router multiplies in 32 bit (MiniMax-M2: vLLM 0.19.0, ``models/minimax_m2.py``).
    beside : GatedMLP, optional
        The block's ordinary MLP, which every token passes too (Gemma 4).
    """

    experts: int
    experts_per_token: int
    expert: GatedMLP | PlainMLP
    shared: GatedMLP | PlainMLP | None = None
    shared_gate: bool = False
    router_bias: bool = False
    correction_bias: bool = False
    shared_name: str = "shared_expert"
    latent: int | None = None
    latent_norm: bool = False
    beside: GatedMLP | None = None
    router_float32: bool = False

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Router, experts and what is shared, of one layer."""
        used = self.experts_per_token / self.experts
        wide = self.router_float32
        held = [Weight("mlp.gate", "router", hidden, self.experts, "replicated", self.router_bias, float32=wide)]
        if self.correction_bias:
            held.append(vector("mlp.gate.e_score_correction_bias", self.experts))
        held += [
            replace(w, name=w.name.replace("mlp.", "mlp.experts."), role="expert", copies=self.experts, used=used)
            for w in self.expert.weights(self.latent or hidden)
        ]
        if self.latent is not None:
            held += [
                Weight("mlp.fc1_latent_proj", "mlp", hidden, self.latent, bias=self.expert.bias),
                Weight("mlp.fc2_latent_proj", "mlp", self.latent, hidden, bias=self.expert.bias),
            ]
            if self.latent_norm:
                held.append(vector("mlp.latent_norm", self.latent))
        if self.shared is not None:
            held += [
                replace(w, name=w.name.replace("mlp.", f"mlp.{self.shared_name}.")) for w in self.shared.weights(hidden)
            ]
            if self.shared_gate:
                held.append(Weight("mlp.shared_expert_gate", "router", hidden, 1))
        if self.beside is not None:  # the experts are the block's then, not the MLP's
            held = [replace(w, name=w.name.removeprefix("mlp.")) for w in held]
            held += self.beside.weights(hidden)
        return tuple(held)


MLP = GatedMLP | PlainMLP | MixtureOfExperts
