"""What weights take: parameters, and bytes as each format stores them."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.architecture.model import Model
from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, ONE_CARD, OTHER_MODEL, ROUGH, Found, Limits, cards, number, statement, worst
from workbench.formats import scheme
from workbench.formats.size import stored_bytes
from workbench.hardware import gpu
from workbench.quantities import GB, GIB

_BYTES = {"fp32": 4, "bf16": 2}
#: What a guide's "7B" is here: a model of that size in the catalogue.
LLAMA_2_7B, LLAMA_2_13B, LLAMA_2_70B = (f"meta-llama/Llama-2-{size}-hf" for size in ("7b", "13b", "70b"))
LLAMA_3_8B, LLAMA_3_70B = (f"meta-llama/Meta-Llama-3-{size}-Instruct" for size in ("8B", "70B"))
MODEL_30B, MODEL_34B = "Qwen/Qwen3-30B-A3B", "codellama/CodeLlama-34b-Instruct-hf"


def stored(model: str, format: str) -> float:
    """Bytes of a model's weights in a format [B]."""
    return sum(stored_bytes(Model.from_config(model), scheme(format)).values())


@computes("C000-025", "C002-017", told=14, model=LLAMA_2_7B, format="fp16")
@computes("C000-026", told=7, model=LLAMA_2_7B, format="awq")
@computes("C000-027", told=26, model=LLAMA_2_13B, format="fp16")
@computes("C000-028", told=13, model=LLAMA_2_13B, format="awq")
@computes("C000-030", told=30, model=MODEL_30B, format="awq")
@computes("C002-011", "C003-001", told=140, model=LLAMA_3_70B, format="bf16")
@computes("C002-009", told=35, model=LLAMA_3_70B, format="gptq", limits=ONE_CARD)
@computes("C003-004", told=40, model="meta-llama/Llama-3.1-70B-Instruct", format="q4_k_m")
@computes("C003-023", told=13.5, model=LLAMA_2_7B, format="fp16")
def size(told: float, model: str, format: str, limits: Limits = ROUGH) -> Found:
    """A model's weights beside the gigabytes told."""
    return number(told, stored(model, format) / GB, "GB", limits=limits)


@computes("C002-019", told={"int8": 34, "awq": 17}, model=MODEL_34B)
@computes(
    "C003-049", told={"bf16": 15.0, "awq": 4.5, "q4_k_m": 4.1}, model="meta-llama/Llama-3.1-8B-Instruct",
    limits=OTHER_MODEL,
)  # fmt: skip
def sizes(told: Mapping[str, float], model: str, limits: Limits = ROUGH) -> Found:
    """One model in several formats."""
    return worst(
        [
            number(each, (bytes := stored(model, format)) / GB, limits=limits, shown=f"{bytes / GB:.2f} GB ({format})")
            for format, each in told.items()
        ]
    )


@computes("C001-022", told=14, format="fp16")
@computes("C001-023", told=4, format="gptq")
def called_memory(told: float, format: str, context: int = 4096) -> Found:
    """Weights that are told as the memory needed: right for the weights, with the cache of one request to add."""
    model = Model.from_config(LLAMA_2_7B)
    weights, cache = stored(LLAMA_2_7B, format), model.kv_bytes_per_token() * context
    right = number(told, weights / GB).verdict == "correct"
    shown = f"{weights / GB:.1f} GB, and {cache / GB:.1f} GB for {context} tokens"
    return statement(right, shown, but=True, number=(weights + cache) / GB)


@computes("C003-003")
def memory_needed() -> Found:
    """Sizes told as all the memory a server needs, beside weights and the cache of sixteen requests of 4096 tokens."""
    cache = Model.from_config(LLAMA_3_70B).kv_bytes_per_token() * 16 * 4096
    parts = []
    for told, format in ((70, "int8"), (35, "awq")):
        need = (stored(LLAMA_3_70B, format) + cache) / GB
        parts.append(number(told, need, shown=f"{need:.0f} GB ({format} and 16 requests of 4096 tokens)"))
    return worst(parts)


@computes("C000-019", told=50, formats=("fp16",))
@computes("C000-020", told=75, formats=("fp8",))
@computes("C000-021", told=75, formats=("int8",))
@computes("C000-022", told=75, formats=("awq", "gptq"))
@computes("C002-036", told=50)
def saved(told: float, formats: tuple[str, ...] = ()) -> Found:
    """What a format saves of a 16-bit model [%], on a small and a large Llama 3; without a format: what FP8 saves of
    the KV cache.
    """
    if not formats:
        model = Model.from_config(LLAMA_3_8B)
        return number(told, 100 * (1 - model.kv_bytes_per_token("fp8") / model.kv_bytes_per_token()), "%")
    parts = []
    for name, model_id in (("70B", LLAMA_3_70B), ("8B", LLAMA_3_8B)):
        for format in formats:
            share = 100 * (1 - stored(model_id, format) / stored(model_id, "bf16"))
            parts.append(number(told, share, shown=f"{share:.0f} % ({name} in {format})"))
    return worst(parts)


@computes("C001-004", told=8, format="awq", over="fp32", model=LLAMA_2_7B)
@computes("C002-013", "C003-097", told=4, format="awq", over="bf16", model=LLAMA_3_70B)
def smaller(told: float, format: str, over: str, model: str) -> Found:
    """How many times smaller a whole model becomes than in 32 or 16 bit."""
    whole = Model.from_config(model).parameters * _BYTES[over]
    return number(told, whole / stored(model, format), "times")


@computes("C003-006")
def smaller_by_two_formats() -> Found:
    """FP16 to INT8 and to INT4, of the 70B model that is spoken of."""
    whole = stored(LLAMA_3_70B, "bf16")
    parts = []
    for told, format, name in ((2, "int8", "INT8"), (4, "awq", "INT4")):
        ratio = whole / stored(LLAMA_3_70B, format)
        parts.append(number(told, ratio, shown=f"{ratio:.2f} ({name})"))
    return worst(parts)


@computes("C000-048")
def awq_beside_gptq() -> Found:
    """Whether going from AWQ to GPTQ saves memory: by more than rounding."""
    awq, gptq = (stored(LLAMA_3_70B, format) / GB for format in ("awq", "gptq"))
    return statement(gptq < 0.95 * awq, f"AWQ {awq:.1f} GB, GPTQ {gptq:.1f} GB", number=gptq)


@computes("C003-011", told=0.6, format="awq")
def gigabytes_a_billion(told: float, format: str) -> Found:
    """Weights of a small model for each billion parameters, which a rule for memory must at least hold."""
    parameters = Model.from_config(LLAMA_3_8B).parameters / 1e9
    weights = stored(LLAMA_3_8B, format) / GB / parameters
    return statement(told >= weights, f"{weights:.2f} GB a billion for the weights alone (8B)", number=weights)


@computes("C002-020", told=90, parameters=180e9, heads=232)
def falcon_180b(told: float, parameters: float, heads: int) -> Found:
    """A 180B model in groups of 128 at four bits, and whether its 232 heads divide by four and five cards.

    Heads of Falcon-180B: https://huggingface.co/tiiuae/falcon-180B, ``config.json``.
    """
    bits = scheme("gptq").matrix_bytes(4096, 4096) * 8 / 4096**2
    judged = number(told, parameters * bits / 8 / GB, "GB")
    undivided = [count for count in (4, 5) if heads % count]
    shown = f"{judged.value}; {heads} heads do not divide by {', '.join(map(str, undivided))}"
    return statement(judged.verdict != "wrong", shown, but=bool(undivided), number=judged.number)


@computes("C001-018")
def seven_b_on_a_processor() -> Found:
    """Weights in Q4_K_M and the cache of 4096 tokens beside 8 GiB."""
    model = Model.from_config(LLAMA_2_7B)
    total = stored(LLAMA_2_7B, "q4_k_m") + model.kv_bytes_per_token() * 4096
    return statement(total <= 8 * GIB, f"{total / GIB:.1f} GiB", number=total / GIB)


@computes("C004-080")
def seven_b_on_a_4090() -> Found:
    """A 7B model in Q4 beside the card's memory."""
    weights, card = stored(LLAMA_2_7B, "q4_k_m"), gpu("RTX 4090").capacity.value
    return statement(weights < card, f"{weights / GIB:.1f} of {card / GIB:.1f} GiB", number=weights / GIB)


@computes("C004-055", told=70)
def deepseek_r1(told: float) -> Found:
    """Parameters of R1 beside those of the Llama that it taught, which is what has 70 billion."""
    taught = Model.from_config("meta-llama/Llama-3.3-70B-Instruct").parameters / 1e9
    own = Model.from_config("deepseek-ai/DeepSeek-R1").parameters / 1e9
    right = number(told, taught).verdict == "correct"
    return statement(right, f"{own:.0f} billion; the Llama it taught {taught:.0f}", but=True, number=own)


@computes("C000-029", told=60, model=MODEL_30B, format="fp16", count=2)
@computes("C000-031", told=140, model=LLAMA_2_70B, format="fp16", count=4)
@computes("C000-032", told=70, model=LLAMA_2_70B, format="awq", count=2)
def size_and_cards(told: float, model: str, format: str, count: int) -> Found:
    """Weights, and the fewest L40S that serve them with 4096 tokens."""
    from workbench.audit.computed.fits import fewest_cards

    size = number(told, stored(model, format) / GB, "GB")
    fewest = fewest_cards(model, "L40S", quantization=None if format == "fp16" else format, max_model_len=4096)
    return worst([size, cards(count, fewest)], number=size.number)


@computes("C004-079", told=(10, 20))
def active_share(told: tuple[float, float]) -> Found:
    """The share of its parameters that a mixture of experts uses a token, over models of the catalogue [%]."""
    ids = ("deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-235B-A22B", "mistralai/Mixtral-8x7B-v0.1")
    shares = {
        id.split("/")[1]: 100 * (model := Model.from_config(id)).active_parameters / model.parameters for id in ids
    }
    inside = [told[0] * 0.95 <= share <= told[1] * 1.05 for share in shares.values()]
    text = ", ".join(f"{share:.0f} % ({name})" for name, share in shares.items())
    return statement(any(inside), text, but=not all(inside))


@computes("C000-002", told=48)
def reported_memory(told: float) -> Found:
    """What CUDA reports of an L40S, in GiB."""
    return number(told, gpu("L40S").capacity.value / GIB, "GiB")


@computes("C004-010", told=64)
def hessian(told: float) -> Found:
    """A matrix of 4096 × 4096 in 32 bit [MiB]."""
    return number(told, 4096**2 * 4 / 2**20, "MiB", limits=EXACT)
