"""Grouped-query attention over experts: gpt-oss, GLM-4.5 to 4.7, MiniMax M2."""

from __future__ import annotations

from typing import Literal

from workbench.architecture.config import Config
from workbench.architecture.mlp import GatedMLP, MixtureOfExperts
from workbench.architecture.model import Layer, Model
from workbench.architecture.readers.build import Build, Reader, predictor, sparse_or_dense


def _gpt_oss(config: Config) -> Model:
    """gpt-oss: alternating windows, sinks, biases everywhere, experts with biases."""
    b = Build(config)
    if config.get("layer_types") is None:
        config.understood("layer_types_count")  # one of two, as here
        window = config.integer("sliding_window")
        windows: list[int | None] = [window if i % 2 == 0 else None for i in range(b.count)]
    else:
        windows = b.windows()
    experts = MixtureOfExperts(
        config.integer("num_local_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("intermediate_size"), bias=True),
        router_bias=True,
    )
    bias = config.flag("attention_bias", True)
    return b.model(
        lambda i: Layer(b.attention(window=windows[i], bias=bias, output_bias=bias, sinks=True), experts),
        tied=False,
    )


def _glm4_moe(config: Config) -> Model:
    b = Build(config)
    bias = config.flag("attention_bias", False)
    width = config.integer("moe_intermediate_size")
    experts = MixtureOfExperts(
        config.integer("n_routed_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(width),
        shared=GatedMLP(width * config.integer("n_shared_experts")),
        correction_bias=True,
        shared_name="shared_experts",
    )
    norm: Literal["none", "head"] = "head" if config.flag("use_qk_norm", False) else "none"
    mlps = sparse_or_dense(config, experts, lambda: GatedMLP(config.integer("intermediate_size")))
    attention = b.attention(bias=bias, query_key_norm=norm)
    count = config.integer("num_nextn_predict_layers", default=0, least=0)
    drafter = predictor(Layer(attention, experts), count, b.hidden)
    return b.model(lambda i: Layer(attention, mlps[i]), tied=False, drafter=drafter)


def _minimax_m2(config: Config) -> Model:
    b = Build(config)
    if 0 in config.integers("attn_type_list"):
        raise config.refuse("field 'attn_type_list' names linear attention, which minimax_m2 does not have")
    config.understood("num_mtp_modules", "mtp_transformer_layers")  # the checkpoint holds none of them
    if not config.flag("use_qk_norm", True):
        raise config.refuse("field 'use_qk_norm' is false, which is not known for minimax_m2")
    experts = MixtureOfExperts(
        config.integer("num_local_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("intermediate_size")),
        correction_bias=True,
        router_float32=True,
    )
    layer = Layer(b.attention(query_key_norm="full"), experts)
    return b.model(lambda i: layer, tied=False)


#: model_type -> reader.
READERS: dict[str, Reader] = {
    "glm4_moe": _glm4_moe,
    "gpt_oss": _gpt_oss,
    "minimax_m2": _minimax_m2,
}
