"""Formats: bits a weight, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.architecture.model import Model
from workbench.audit.computed.sizes import LLAMA_2_7B, stored
from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, number, statement
from workbench.engines.vllm.schema import bundled
from workbench.formats import scheme
from workbench.formats.support import obstacle
from workbench.quantities import GB

#: Bits of the plain formats.
PLAIN = {"fp32": 32, "fp16": 16, "int8": 8, "fp8": 8, "int4": 4}


def bits(format: str) -> float:
    """Bits a weight over a whole Llama 2 7B."""
    return stored(LLAMA_2_7B, format) * 8 / Model.from_config(LLAMA_2_7B).parameters


@computes("C003-017", told=3.1, format="q3_k_m")
@computes("C003-018", told=4.0, format="q4_0")
@computes("C003-019", told=4.6, format="q4_k_m")
@computes("C003-020", told=5.3, format="q5_k_m")
@computes("C003-021", told=6.6, format="q6_k")
@computes("C003-022", told=8.0, format="q8_0")
def bits_of(told: float, format: str) -> Found:
    """Bits of a GGUF mix, which its blocks define."""
    found = bits(format)
    return number(told, found, limits=EXACT, shown=f"{found:.2f} bits")


@computes("C003-016", told=2.6)
def two_bits(told: float) -> Found:
    """Bits and size of Q2_K."""
    found, size = bits("q2_k"), stored(LLAMA_2_7B, "q2_k") / GB
    return number(told, found, limits=EXACT, shown=f"{found:.2f} bits, {size:.2f} GB")


@computes("C001-003", told=8)
def q4_k_m_beside_fp32(told: float) -> Found:
    """How much smaller Q4_K_M is than FP32, by its bits."""
    return number(told, PLAIN["fp32"] / bits("q4_k_m"), "times", limits=EXACT)


@computes("C001-002", told=2, format="fp8", over=("fp32",))
@computes("C003-014", told=8, format="int8", over=("fp32", "fp16"))
@computes("C003-015", told=16, format="int4", over=("fp32", "fp16"))
def compression(told: float, format: str, over: tuple[str, ...]) -> Found:
    """How much smaller a plain format is, beside the formats that a guide may mean; the nearest counts."""
    ratios = {name: PLAIN[name] / PLAIN[format] for name in over}
    nearest = min(ratios.values(), key=lambda ratio: abs(ratio - told))
    shown = ", ".join(f"{ratio:g} times (over {name.upper()})" for name, ratio in ratios.items())
    return number(told, nearest, limits=EXACT, shown=shown)


@computes("C001-001", told={"fp16": 2, "int8": 4, "int4": 8})
def baseline_unsaid(told: Mapping[str, float]) -> Found:
    """Three formats beside FP32 and beside the 16 bits that models are published in."""
    over_fp32 = {name: PLAIN["fp32"] / PLAIN[name] for name in told}
    over_fp16 = {name: PLAIN["fp16"] / PLAIN[name] for name in told}
    shown = ", ".join(f"{ratio:g}" for ratio in over_fp16.values()) + " times over FP16"
    return statement(dict(told) == over_fp32, shown, but=dict(told) != over_fp16)


@computes("C003-028", told=3.5)
def groups_of_128(told: float) -> Found:
    """A matrix in INT4 with groups of 128, scales and zero points included."""
    return number(told, 2 * 4096**2 / scheme("awq").matrix_bytes(4096, 4096), "times")


@computes("C003-043")
def awq_while_loading() -> Found:
    """Whether vLLM makes AWQ weights while it loads."""
    online = scheme("awq").online
    return statement(online, "made while loading" if online else "loaded only")


@computes("C001-027", format="nf4")
@computes("C003-008", format="aqlm")
def still_loaded(format: str) -> Found:
    """Whether the newest vLLM loads a format: outdated where support ended."""
    newest = bundled()[-1]
    reason = obstacle(scheme(format), "vllm", newest)
    return Found(reason or f"{newest} loads it", None, "outdated" if reason else "correct")


@computes("C003-013")
def exponents() -> Found:
    """Exponent and mantissa bits: NumPy's own for FP32 and FP16; BF16 is FP32 cut to its upper half."""
    import numpy as np

    made = {name: (np.finfo(type_).nexp, np.finfo(type_).nmant) for name, type_ in _FLOATS.items()}
    made["BF16"] = (np.finfo(np.float32).nexp, np.finfo(np.float32).nmant - 16)
    told = {"FP32": (8, 23), "FP16": (5, 10), "BF16": (8, 7)}
    return statement(made == told, ", ".join(f"{name} {e}/{m}" for name, (e, m) in made.items()))


_FLOATS = {"FP32": "float32", "FP16": "float16"}


@computes("C003-066", told=2.0)
def stored_as_floats(told: float) -> Found:
    """FP8 values kept in 32-bit floats, beside the two bytes that they are said to save on."""
    import numpy as np

    kept = np.zeros(1024, np.float32)
    return number(told, 2 * kept.size / kept.nbytes, "times", limits=EXACT)


@computes("C004-017")
def int4_levels() -> Found:
    """Levels of INT4."""
    from workbench.theory.quantisation.uniform import code_range

    low, high = code_range(4)
    return statement((low, high) == (-8, 7), f"{low} to {high}")
