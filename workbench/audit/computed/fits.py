"""What fits: plans of the deployments that the guides show."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from workbench.architecture.model import Model
from workbench.audit.computed.sizes import LLAMA_2_7B, LLAMA_2_13B, LLAMA_3_8B, LLAMA_3_70B, MODEL_34B
from workbench.audit.registry import computes
from workbench.audit.rules import Found, among, cards, number, statement
from workbench.engines.vllm import versions
from workbench.planner import Plan, plan
from workbench.quantities import GB, GIB

MISTRAL_7B = "mistralai/Mistral-7B-Instruct-v0.2"
LLAMA_31_8B, LLAMA_31_405B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-405B-Instruct"


@cache
def _planned(model: str, fields: tuple[tuple[str, Any], ...]) -> Plan:
    return plan(model, **dict(fields))


def planned(model: str, **fields: Any) -> Plan:
    """A plan, made once."""
    return _planned(model, tuple(sorted(fields.items())))


def kv_cache(made: Plan) -> float:
    """What the plan leaves for the KV cache of one GPU [B]; negative where it does not start."""
    assert made.memory is not None
    return made.memory.kv_cache.value


def kv_tokens(made: Plan) -> float:
    """Tokens that cache holds."""
    assert made.memory is not None
    return made.memory.kv_cache_tokens.value


def fewest_cards(model: str, gpu: str, **fields: Any) -> int | None:
    """The fewest of 1, 2, 4 and 8 cards that serve a model; None where eight do not."""
    return next(
        (count for count in (1, 2, 4, 8) if planned(model, gpu=gpu, tensor_parallel_size=count, **fields).fits), None
    )


_SHORT = {"max_model_len": 4096}


@computes("C000-011", told=4, model=LLAMA_3_70B, fields={"quantization": "awq", "gpu_memory_utilization": 0.95})
@computes("C000-012", told=4, model=LLAMA_2_13B, fields={"quantization": "awq"})
@computes("C000-013", told=2, model=LLAMA_2_7B)
@computes("C000-040", told=4, model=MODEL_34B, fields={"quantization": "fp8"})
@computes("C000-042", told=2, model=MISTRAL_7B)
@computes("C002-022", told=2, model=LLAMA_3_70B)
@computes("C002-033", told=2, model=LLAMA_3_70B)
@computes("C004-043", told=2, model=LLAMA_2_13B, gpu="A100 80GB SXM")
def enough(told: int, model: str, gpu: str = "L40S", fields: Mapping[str, Any] | None = None) -> Found:
    """Cards told beside the fewest that serve the model with 4096 tokens."""
    return cards(told, fewest_cards(model, gpu, **{**_SHORT, **(fields or {})}))


@computes("C000-010")
def seventy_b_without_quantising() -> Found:
    """Whether 70B in 16 bit must be quantised for L40S: whether no number of cards holds it as it is."""
    fewest = fewest_cards(LLAMA_3_70B, "L40S", **_SHORT)
    shown = "no number of cards holds it" if fewest is None else f"{fewest} cards hold it in 16 bit"
    return statement(fewest is None, shown, number=fewest)


@computes("C002-010")
def seventy_b_on_one_card() -> Found:
    """70B in AWQ on one L40S: whether it starts at the engine's own utilisation, or only above it."""
    usual = planned(LLAMA_3_70B, gpu="L40S", quantization="awq", **_SHORT)
    high = planned(LLAMA_3_70B, gpu="L40S", quantization="awq", gpu_memory_utilization=0.95, **_SHORT)
    tokens = f"{kv_tokens(high):,.0f} tokens of cache at 0.95, {kv_tokens(usual):,.0f} by default"
    return cards(1, 1 if high.fits else None, tokens, stretched=not usual.fits)


@computes("C002-021")
def seventy_b_at_085() -> Found:
    """The guide's own setting for 70B in AWQ on one L40S."""
    made = planned(
        LLAMA_3_70B, gpu="L40S", quantization="awq", gpu_memory_utilization=0.85, max_model_len=4096, max_num_seqs=64
    )
    return statement(made.fits, f"{kv_cache(made) / GB:.1f} GB left for the cache", number=kv_cache(made) / GB)


@computes("C002-012")
def loaded_on_one_card() -> Found:
    """70B in 16 bit on one L40S."""
    made = planned(LLAMA_3_70B, gpu="L40S", **_SHORT)
    assert made.memory is not None
    shown = f"{made.memory.weights.value / GB:.0f} GB into {made.memory.capacity / GB:.0f}"
    return statement(made.fits, shown, number=made.memory.weights.value / GB)


@computes("C002-018")
def thirteen_b_on_one_card() -> Found:
    """13B in 16 bit on one L40S."""
    made = planned(LLAMA_2_13B, gpu="L40S")
    assert made.memory is not None
    weights = made.memory.weights.value / GB
    right = made.fits and number(26, weights).verdict == "correct"
    return statement(right, f"{weights:.1f} GB, {kv_tokens(made):,.0f} tokens of cache", number=weights)


@computes("C000-043")
def mistral_at_16384() -> Found:
    """Mistral 7B with half of its context on one L40S."""
    made = planned(MISTRAL_7B, gpu="L40S", max_model_len=16384, max_num_batched_tokens=65536)
    most = Model.from_config(MISTRAL_7B).max_model_len
    return statement(made.fits, f"fits one card; the model takes {most:,}", number=float(most))


@computes("C002-025", told=8192)
def llama_3_at_8192(told: int) -> Found:
    """The longest context that Llama 3 8B was made for."""
    most = Model.from_config(LLAMA_3_8B).max_model_len
    return statement(told <= most, f"{most:,} tokens", number=float(most))


@computes("C002-037", told=32768)
def llama_3_at_32768(told: int) -> Found:
    """Llama 3 8B with four times its context."""
    made = planned(LLAMA_3_8B, gpu="L40S", max_model_len=told, kv_cache_dtype="fp8")
    most = Model.from_config(LLAMA_3_8B).max_model_len
    return statement(made.fits, f"the model ends at {most:,}; the cache would hold {kv_tokens(made):,.0f}")


@computes("C002-026", told=32)
def cache_of_8b(told: float) -> Found:
    """What Llama 3 8B leaves for the cache on an L40S at 0.9 [GB]."""
    return number(told, kv_cache(planned(LLAMA_3_8B, gpu="L40S", gpu_memory_utilization=0.9)) / GB, "GB")


@computes("C002-039", told=240)
def sequences_of_128(told: float) -> Found:
    """How many sequences of 128 tokens that cache holds."""
    tokens = kv_tokens(planned(LLAMA_3_8B, gpu="L40S", gpu_memory_utilization=0.9))
    return number(told, tokens / 128, "sequences", shown=f"{tokens / 128:,.0f} sequences")


@computes("C000-018", told=32768)
def large_steps(told: int) -> Found:
    """What a step of so many tokens takes for activations, beside the engine's own step."""
    ours, usual = (
        planned(LLAMA_3_8B, gpu="L40S", quantization="awq", max_num_batched_tokens=tokens) for tokens in (told, None)
    )
    assert ours.memory is not None
    assert usual.memory is not None
    more, less = ours.memory.activation_peak.value, usual.memory.activation_peak.value
    shown = f"{more / GIB:.1f} GiB for activations instead of {less / GIB:.1f}"
    return statement(ours.fits, shown, but=more > 1.25 * less, number=more / GIB)


@computes("C000-049", "C004-064", told=0.85)
def lower_share(told: float) -> Found:
    """What a lower share of the card takes from the KV cache."""
    lower, usual = (planned(LLAMA_3_8B, gpu="L40S", gpu_memory_utilization=share) for share in (told, None))
    lost = (kv_cache(usual) - kv_cache(lower)) / GB
    share = versions.version().gpu_memory_utilization
    return statement(lower.fits, f"{lost:.1f} GB less for the cache than at {share}", but=lost > 0, number=lost)


@computes("C003-048", told=14.5)
def reserved(told: float) -> Found:
    """What vLLM takes of an A100 for an 8B model, whatever the format [GB]."""
    taken = [
        made.memory.requested / GB
        for format in (None, "awq")
        if (made := planned(LLAMA_31_8B, gpu="A100 80GB SXM", quantization=format)).memory is not None
    ]
    assert len(taken) == 2
    return number(told, taken[0], shown=f"{taken[0]:.0f} GB, in AWQ {taken[1]:.0f} GB")


@computes("C003-012", told=2.4)
def sixteen_bit_rule(told: float) -> Found:
    """Memory that a 16-bit 8B model with one whole context takes, for each billion parameters [GB].

    The rule reads memory in GiB and compares it with GB, so it asks for 7 % more than it says.
    """
    made = planned(LLAMA_3_8B, gpu="A100 80GB SXM")
    assert made.memory is not None
    memory, model = made.memory, Model.from_config(LLAMA_3_8B)
    beside = memory.activation_peak.value + memory.non_torch.value + memory.cuda_graphs.value
    need = memory.weights.value + beside + model.max_model_len * model.kv_bytes_per_token()
    return number(told * GIB / GB, need / GB / (model.parameters / 1e9), "GB a billion")


@computes("C004-044")
def seventy_b_on_a100() -> Found:
    """70B on four A100 at 0.95 with 2048 tokens, by the memory of the card."""
    fields = {"gpu_memory_utilization": 0.95, "max_model_len": 2048}
    told = {name: fewest_cards(LLAMA_3_70B, gpu, **fields) for name, gpu in _A100.items()}
    return among(4, {name: float(count or 0) for name, count in told.items()}, "cards")


_A100 = {"40 GB": "A100 40GB SXM4", "80 GB": "A100 80GB SXM"}


@computes("C000-014")
def e5m2_beside_fp8() -> Found:
    """A cache in E5M2 beside a checkpoint in FP8."""
    made = planned("nvidia/Llama-3.1-70B-Instruct-FP8", gpu="L40S", tensor_parallel_size=4, kv_cache_dtype="fp8_e5m2")
    return statement(made.fits, "starts" if made.fits else made.reasons[0])


@computes("C003-071")
def fp8_without_hopper() -> Found:
    """Whether quantising to FP8 while loading is refused on cards other than Hopper."""
    cards = ("T4", "A100 80GB SXM", "L40S")
    starts = [name for name in cards if planned(LLAMA_31_8B, gpu=name, quantization="fp8", max_model_len=2048).fits]
    return statement(not starts, f"starts on {', '.join(starts)} too")


@computes("C003-061")
def fp8_on_a100() -> Found:
    """Whether an A100 has FP8 units, and whether vLLM serves FP8 weights on it all the same."""
    made = planned(LLAMA_31_8B, gpu="A100 80GB SXM", quantization="fp8", max_model_len=2048)
    shown = "no FP8 units; FP8 weights are " + ("served, multiplied in 16 bit" if made.fits else "refused")
    return statement("fp8" not in made.card.supports, shown, but=made.fits)


@computes("C002-004")
def fp8_on_l40s() -> Found:
    """Whether FP8 on an L40S has to be made beforehand: whether vLLM refuses to make it while loading."""
    made = planned(LLAMA_3_8B, gpu="L40S", quantization="fp8")
    units = "FP8 units" if "fp8" in made.card.supports else "no FP8 units"
    return statement(not made.fits, f"{units}; quantised while it loads: {'starts' if made.fits else 'refused'}")


@computes("C004-067")
def four_hundred_b() -> Found:
    """405B on eight H100 with TP 8 and PP 2, and what would start."""
    needed = 8 * 2
    fp8 = planned(LLAMA_31_405B, gpu="H100 SXM", tensor_parallel_size=8, quantization="fp8", **_SHORT)
    bf16 = planned(LLAMA_31_405B, gpu="H100 SXM", tensor_parallel_size=8, **_SHORT)
    starts = "starts" if fp8.fits else "does not start"
    return statement(
        needed <= 8 and bf16.fits, f"{needed} cards are asked for; on 8, FP8 with TP 8 {starts}", number=float(needed)
    )


@computes("C004-068", told=128)
def eight_b_on_40_gb(told: int) -> Found:
    """An 8B model on an A100 with 40 GB: the tokens that 128 requests at a time have each; a thousand are enough."""
    made = planned(LLAMA_31_8B, gpu="A100 40GB SXM4", max_num_seqs=told, max_model_len=8192)
    each = kv_tokens(made) / told
    return statement(made.fits and each >= 1000, f"{each:,.0f} tokens a request", number=each)


@computes("C004-054")
def one_gpu() -> Found:
    """How many cards a plan with tensor_parallel_size 1 takes."""
    count = planned(LLAMA_3_8B, gpu="L40S", tensor_parallel_size=1).deployment.gpus
    return statement(count == 1, f"{count} card", number=float(count))


@computes("C004-066")
def llama_31_13b() -> Found:
    """Whether the Llama 3.1 family of the catalogue has a model of 13 billion."""
    from workbench.architecture.catalog import names

    family = [name for name in names() if "Llama-3.1-" in name]
    sizes = sorted({round(Model.from_config(name).parameters / 1e9) for name in family})
    right = any(abs(size - 13) <= 1 for size in sizes)
    return statement(right, "there are " + ", ".join(f"{size}B" for size in sizes))
