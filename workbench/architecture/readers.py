"""From a ``config.json`` to a :class:`Model`: one reader per family of ``model_type``.

A new architecture is one entry in :data:`READERS` (and a class in ``attention.py`` or ``mlp.py`` if it brings a
kind nobody has). Defaults of missing keys are those of transformers for that type. A field that would change
the sizes and is not understood is refused by name, never skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from workbench.architecture.attention import Attention, FullAttention, SlidingWindowAttention
from workbench.architecture.config import Config
from workbench.architecture.mlp import MLP, GatedMLP, MixtureOfExperts, PlainMLP
from workbench.architecture.model import DTYPE_BYTES, Layer, Model
from workbench.architecture.weights import Weight, vector

#: Fields that mark a kind of layer or tower that no reader here sizes yet, with what they mean.
_NOT_YET = {
    "kv_lora_rank": "latent attention (MLA)",
    "vision_config": "a vision tower",
    "audio_config": "an audio tower",
    "linear_num_value_heads": "linear attention",
    "full_attention_interval": "linear attention",
    "ssm_state_size": "state-space layers",
    "mamba_num_heads": "state-space layers",
    "hybrid_override_pattern": "a mix of attention and state-space layers",
    "attention_chunk_size": "chunked local attention",
    "block_configs": "layers of different shapes",
    "index_topk": "sparse attention with an indexer",
    "num_kv_shared_layers": "KV shared between layers",
    "adapter_config": "an adapter",
}


class Build:
    """The parts most families share, taken from one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.hidden = config.integer("hidden_size", "n_embd")
        self.count = config.integer("num_hidden_layers", "n_layer")
        self.heads = config.integer("num_attention_heads", "n_head")
        self.kv_heads = config.integer("num_key_value_heads", default=self.heads)
        self.vocabulary = config.integer("vocab_size")
        if config.get("head_dim") is None and self.hidden % self.heads:
            raise config.refuse(f"hidden_size {self.hidden} is not a multiple of num_attention_heads {self.heads}")
        self.head_dim = config.integer("head_dim", default=self.hidden // self.heads)
        if self.heads % self.kv_heads:
            raise config.refuse(
                f"num_attention_heads {self.heads} is not a multiple of num_key_value_heads {self.kv_heads}"
            )

    def attention(
        self,
        *,
        window: int | None = None,
        bias: bool = False,
        output_bias: bool = False,
        query_key_norm: Literal["none", "head", "full"] = "none",
        sinks: bool = False,
    ) -> Attention:
        """Grouped-query attention of this configuration, over a window if one is given."""
        if window is None:
            return FullAttention(self.heads, self.kv_heads, self.head_dim, bias, output_bias, query_key_norm, sinks)
        return SlidingWindowAttention(
            self.heads, self.kv_heads, self.head_dim, bias, output_bias, query_key_norm, sinks, size=window
        )

    def windows(self) -> list[int | None]:
        """The window of each layer, from ``layer_types``, ``sliding_window_pattern`` or a single window."""
        config, count = self.config, self.count
        if config.get("use_sliding_window") is False or config.get("sliding_window") is None:
            if "sliding_attention" in (config.get("layer_types") or ()):
                raise config.refuse("layer_types names sliding_attention but sliding_window is missing")
            return [None] * count
        window = config.integer("sliding_window")
        types = config.get("layer_types")
        if types is not None:
            if not isinstance(types, list) or len(types) != count:
                raise config.refuse("layer_types must name one type for each of num_hidden_layers")
            unknown = set(types) - {"full_attention", "sliding_attention"}
            if unknown:
                raise config.refuse(f"layer_types holds {sorted(unknown)[0]!r}, which is not known")
            return [window if kind == "sliding_attention" else None for kind in types]
        pattern = config.get("sliding_window_pattern")
        if pattern is not None:
            every = config.integer("sliding_window_pattern")
            return [None if (i + 1) % every == 0 else window for i in range(count)]
        return [window] * count

    def model(
        self,
        layer: Callable[[int], Layer],
        *,
        tied: bool,
        norm_bias: bool = False,
        head_bias: bool = False,
        extra: tuple[Weight, ...] = (),
        max_model_len: int | None = None,
    ) -> Model:
        """The model made of ``layer(0) … layer(count - 1)`` and the weights around them."""
        config = self.config
        tied = config.flag("tie_word_embeddings", tied)
        outside = [Weight("embed_tokens", "embedding", self.hidden, self.vocabulary, "vocabulary"), *extra]
        outside.append(vector("norm", self.hidden * (2 if norm_bias else 1)))
        if not tied:
            outside.append(Weight("lm_head", "lm_head", self.hidden, self.vocabulary, "vocabulary", head_bias))
        dtype = str(config.get("torch_dtype", config.get("dtype", "bfloat16"))).removeprefix("torch.")
        if dtype not in DTYPE_BYTES:
            raise config.refuse(f"field 'torch_dtype' is {dtype!r}; known are {', '.join(DTYPE_BYTES)}")
        return Model(
            id=config.id,
            layers=tuple(layer(i) for i in range(self.count)),
            hidden=self.hidden,
            vocabulary=self.vocabulary,
            tied=tied,
            max_model_len=max_model_len or config.integer("max_position_embeddings"),
            dtype=dtype,
            outside=tuple(outside),
            model_type=str(config.get("model_type")),
            quantization_config=config.get("quantization_config"),
            source=str(config.get("source", "")),
            folder=Path(folder) if (folder := config.get("_folder")) else None,
            config=config.fields,
        )


def _llama(config: Config) -> Model:
    """Llama and its twins: gated MLP, RMSNorm, no biases unless the configuration says so."""
    b = Build(config)
    bias = config.flag("attention_bias", False)
    mlp = GatedMLP(config.integer("intermediate_size"), config.flag("mlp_bias", False))
    layer = Layer(b.attention(bias=bias, output_bias=bias), mlp)
    return b.model(lambda i: layer, tied=False)


def _mistral(config: Config) -> Model:
    """Mistral: Llama with one window for every layer in its first version."""
    b = Build(config)
    windows = b.windows()
    mlp = GatedMLP(config.integer("intermediate_size"))
    return b.model(lambda i: Layer(b.attention(window=windows[i]), mlp), tied=False)


def _mixtral(config: Config) -> Model:
    b = Build(config)
    windows = b.windows()
    experts = MixtureOfExperts(
        config.integer("num_local_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("intermediate_size")),
    )
    return b.model(lambda i: Layer(b.attention(window=windows[i]), experts), tied=False)


def _qwen2(config: Config) -> Model:
    """Qwen2, Qwen2.5 and MiMo: biases on Q, K and V only."""
    b = Build(config)
    windows = b.windows()
    mlp = GatedMLP(config.integer("intermediate_size"))
    return b.model(lambda i: Layer(b.attention(window=windows[i], bias=True), mlp), tied=False)


def _qwen3(config: Config) -> Model:
    b = Build(config)
    bias = config.flag("attention_bias", False)
    windows = b.windows()
    mlp = GatedMLP(config.integer("intermediate_size"))
    return b.model(
        lambda i: Layer(b.attention(window=windows[i], bias=bias, output_bias=bias, query_key_norm="head"), mlp),
        tied=False,
    )


def _sparse_or_dense(config: Config, experts: MixtureOfExperts, dense: Callable[[], MLP]) -> list[MLP]:
    """Which layers are experts: ``decoder_sparse_step``, ``mlp_only_layers``, ``first_k_dense_replace``."""
    count = config.integer("num_hidden_layers")
    step = config.integer("decoder_sparse_step", default=1)
    only_dense = set(config.integers("mlp_only_layers"))
    first = config.integer("first_k_dense_replace", default=0, least=0)
    sparse = [i >= first and i not in only_dense and (i + 1) % step == 0 for i in range(count)]
    return [experts if s else dense() for s in sparse]


def _qwen2_moe(config: Config) -> Model:
    b = Build(config)
    windows = b.windows()
    experts = MixtureOfExperts(
        config.integer("num_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("moe_intermediate_size")),
        shared=GatedMLP(config.integer("shared_expert_intermediate_size")),
        shared_gate=True,
    )
    mlps = _sparse_or_dense(config, experts, lambda: GatedMLP(config.integer("intermediate_size")))
    return b.model(lambda i: Layer(b.attention(window=windows[i], bias=True), mlps[i]), tied=False)


def _qwen3_moe(config: Config) -> Model:
    b = Build(config)
    bias = config.flag("attention_bias", False)
    windows = b.windows()
    if config.get("shared_expert_intermediate_size"):
        raise config.refuse("field 'shared_expert_intermediate_size' is not known for qwen3_moe")
    experts = MixtureOfExperts(
        config.integer("num_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("moe_intermediate_size")),
    )
    mlps = _sparse_or_dense(config, experts, lambda: GatedMLP(config.integer("intermediate_size")))
    return b.model(
        lambda i: Layer(b.attention(window=windows[i], bias=bias, output_bias=bias, query_key_norm="head"), mlps[i]),
        tied=False,
    )


def _gpt_oss(config: Config) -> Model:
    """gpt-oss: alternating windows, sinks, biases everywhere, experts with biases."""
    b = Build(config)
    if config.get("layer_types") is None:
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
    return b.model(
        lambda i: Layer(b.attention(window=windows[i], bias=True, output_bias=True, sinks=True), experts),
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
    )
    norm: Literal["none", "head"] = "head" if config.flag("use_qk_norm", False) else "none"
    mlps = _sparse_or_dense(config, experts, lambda: GatedMLP(config.integer("intermediate_size")))
    attention = b.attention(bias=bias, query_key_norm=norm)
    return b.model(lambda i: Layer(attention, mlps[i]), tied=False)


def _minimax_m2(config: Config) -> Model:
    b = Build(config)
    experts = MixtureOfExperts(
        config.integer("num_local_experts"),
        config.integer("num_experts_per_tok"),
        GatedMLP(config.integer("intermediate_size")),
        correction_bias=True,
    )
    layer = Layer(b.attention(query_key_norm="full"), experts)
    return b.model(lambda i: layer, tied=False)


def _gemma(config: Config) -> Model:
    b = Build(config)
    layer = Layer(b.attention(), GatedMLP(config.integer("intermediate_size")))
    return b.model(lambda i: layer, tied=True)


def _gemma2(config: Config) -> Model:
    """Gemma 2: even layers see a window; four norms a block."""
    b = Build(config)
    window = config.integer("sliding_window", default=4096)
    mlp = GatedMLP(config.integer("intermediate_size"))
    return b.model(lambda i: Layer(b.attention(window=window if i % 2 == 0 else None), mlp, norms=4), tied=True)


def _gemma3(config: Config) -> Model:
    """Gemma 3, text only: five windows to one full layer; Q and K norms; four norms a block."""
    b = Build(config)
    if config.get("layer_types") is None and config.get("sliding_window_pattern") is None:
        raise config.refuse("field 'sliding_window_pattern' or 'layer_types' is missing from config.json")
    windows = b.windows()
    mlp = GatedMLP(config.integer("intermediate_size"))
    return b.model(lambda i: Layer(b.attention(window=windows[i], query_key_norm="head"), mlp, norms=4), tied=True)


def _phi3(config: Config) -> Model:
    """Phi-3 and Phi-4: Q, K and V fused in the file; the same matrices here. vLLM windows as configured."""
    b = Build(config)
    window = config.get("sliding_window")
    if window is not None and window >= config.integer("max_position_embeddings"):
        window = None
    layer = Layer(b.attention(window=window), GatedMLP(config.integer("intermediate_size")))
    return b.model(lambda i: layer, tied=False)


def _phi(config: Config) -> Model:
    """Phi-1.5 and Phi-2: attention and MLP side by side behind one LayerNorm, biases everywhere."""
    b = Build(config)
    mlp = PlainMLP(config.integer("intermediate_size", "n_inner", default=4 * b.hidden), bias=True)
    layer = Layer(b.attention(bias=True, output_bias=True), mlp, norms=1, norm_bias=True)
    return b.model(lambda i: layer, tied=False, norm_bias=True, head_bias=True)


def _olmo2(config: Config) -> Model:
    b = Build(config)
    layer = Layer(b.attention(query_key_norm="full"), GatedMLP(config.integer("intermediate_size")))
    return b.model(lambda i: layer, tied=False)


def _starcoder2(config: Config) -> Model:
    b = Build(config)
    bias = config.flag("use_bias", True)
    windows = b.windows()
    mlp = PlainMLP(config.integer("intermediate_size"), bias)
    return b.model(
        lambda i: Layer(b.attention(window=windows[i], bias=bias, output_bias=bias), mlp, norms=2, norm_bias=True),
        tied=True,
        norm_bias=True,
    )


def _opt(config: Config) -> Model:
    """OPT: learned positions (two more rows than positions), LayerNorm, biases; embeddings may be narrower."""
    b = Build(config)
    if config.integer("word_embed_proj_dim", default=b.hidden) != b.hidden:
        raise config.refuse("field 'word_embed_proj_dim' differs from hidden_size, which is not known")
    positions = config.integer("max_position_embeddings")
    mlp = PlainMLP(config.integer("ffn_dim", "intermediate_size"), bias=True)
    layer = Layer(b.attention(bias=True, output_bias=True), mlp, norms=2, norm_bias=True)
    table = Weight("embed_positions", "embedding", b.hidden, positions + 2)
    return b.model(lambda i: layer, tied=True, norm_bias=True, extra=(table,))


#: model_type -> reader.
READERS: dict[str, Callable[[Config], Model]] = {
    "baichuan": _llama,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "glm4_moe": _glm4_moe,
    "gpt_oss": _gpt_oss,
    "granite": _llama,
    "llama": _llama,
    "mimo": _qwen2,
    "minimax_m2": _minimax_m2,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "olmo2": _olmo2,
    "opt": _opt,
    "phi": _phi,
    "phi-msft": _phi,
    "phi3": _phi3,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "starcoder2": _starcoder2,
}


def read(config: Config) -> Model:
    """The model a configuration describes.

    Raises
    ------
    UnsupportedModel
        For an unknown ``model_type``, or a field that marks something no reader sizes.
    """
    model_type = config.get("model_type")
    for name, meaning in _NOT_YET.items():
        if config.get(name) not in (None, [], {}):
            raise config.refuse(f"field {name!r} means {meaning}, which the workbench cannot size yet")
    if model_type not in READERS:
        raise config.refuse(f"field 'model_type' is {model_type!r}, which the workbench does not know")
    return READERS[model_type](config)
