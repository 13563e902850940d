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
    """fc2(act(fc1(x))): OPT, Phi-2, StarCoder 2."""

    intermediate: int
    bias: bool = False

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Two projections of one layer."""
        return prefixed(
            "mlp",
            (
                Weight("fc1", "mlp", hidden, self.intermediate, "column", self.bias),
                Weight("fc2", "mlp", self.intermediate, hidden, "row", self.bias),
            ),
        )


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """A router sends each token to ``experts_per_token`` of ``experts`` gated MLPs.

    Parameters
    ----------
    experts, experts_per_token : int
        How many there are, how many a token uses.
    expert : GatedMLP
        One expert.
    shared : GatedMLP, optional
        An expert every token uses besides.
    shared_gate : bool
        Whether a gate of one output weighs the shared expert (Qwen2-MoE).
    router_bias : bool
        A bias on the router's output (gpt-oss).
    correction_bias : bool
        A vector that only corrects the choice of experts (GLM-4.5, MiniMax).
    """

    experts: int
    experts_per_token: int
    expert: GatedMLP
    shared: GatedMLP | None = None
    shared_gate: bool = False
    router_bias: bool = False
    correction_bias: bool = False

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """Router, experts and what is shared, of one layer."""
        used = self.experts_per_token / self.experts
        held = [Weight("mlp.gate", "router", hidden, self.experts, "replicated", self.router_bias)]
        if self.correction_bias:
            held.append(vector("mlp.gate.e_score_correction_bias", self.experts))
        held += [
            replace(w, name=w.name.replace("mlp.", "mlp.experts."), role="expert", copies=self.experts, used=used)
            for w in self.expert.weights(hidden)
        ]
        if self.shared is not None:
            held += [replace(w, name=w.name.replace("mlp.", "mlp.shared_expert.")) for w in self.shared.weights(hidden)]
            if self.shared_gate:
                held.append(Weight("mlp.shared_expert_gate", "router", hidden, 1))
        return tuple(held)


MLP = GatedMLP | PlainMLP | MixtureOfExperts
