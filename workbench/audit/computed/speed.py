"""Speed: what a step must move at least, and what plans expect."""

from __future__ import annotations

from workbench.architecture.model import Model
from workbench.audit.computed.fits import LLAMA_31_8B
from workbench.audit.computed.sizes import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B, stored
from workbench.audit.registry import computes
from workbench.audit.rules import Found, number, statement
from workbench.deployment import Workload
from workbench.hardware import gpu
from workbench.planner import plan
from workbench.planner.plan import Performance

#: The load of a guide's table of speeds.
TABLE = Workload(isl=128, osl=256, concurrency=16)
A100 = "A100 80GB SXM"


def expected(model: str, workload: Workload, card: str = A100, **fields: object) -> Performance:
    """What a plan that fits expects."""
    found = plan(model, gpu=card, workload=workload, **fields).performance()
    assert found is not None
    return found


def reading(model: str, card: str, gpus: int = 1) -> float:
    """Time to read a model's 16-bit weights once [s]: no token comes faster alone."""
    return stored(model, "bf16") / (gpus * gpu(card).bandwidth)


@computes("C003-002", told=500)
def seventy_b_a_token(told: float) -> Found:
    """Reading a 70B model on four cards [ms]: the slower of two, beside the time told."""
    times = {name: 1e3 * reading(LLAMA_3_70B, card, 4) for name, card in (("A100", A100), ("L40S", "L40S"))}
    shown = ", ".join(f"{time:.0f} ms on four {name}" for name, time in times.items())
    return number(told, max(times.values()), shown=shown)


@computes("C003-046", told=2.4)
def time_a_token(told: float) -> Found:
    """Time a token that a plan expects at 16 requests, and the time to read the weights alone [ms]."""
    time, least = 1e3 * expected(LLAMA_31_8B, TABLE).tpot.value, 1e3 * reading(LLAMA_31_8B, A100)
    return number(told, time, shown=f"{time:.1f} ms expected, {least:.1f} ms at least")


@computes("C003-047", told=420)
def tokens_a_second(told: float) -> Found:
    """Throughput that a plan expects at 16 requests [tokens/s]."""
    rate = expected(LLAMA_31_8B, TABLE).output_tokens_per_s.value
    return number(told, rate, shown=f"{rate:,.0f} tokens/s expected")


@computes("C003-051", told=(50, 60))
def without_batching(told: tuple[float, float]) -> Found:
    """Tokens a second of one request in transformers: inside the plan's interval, which is wide."""
    one = Workload(isl=128, osl=256, concurrency=1)
    rate = expected(LLAMA_31_8B, one, engine="transformers").output_tokens_per_s
    inside = rate.low <= told[0] and told[1] <= rate.high
    return statement(inside, f"{rate.low:.0f} to {rate.high:.0f} tokens/s for one request", but=True, number=rate.value)


@computes("C004-078", told=100)
def more_than_a_hundred(told: float) -> Found:
    """A lower bound for a 7B model in INT8 at 16 requests, which may hold and say little."""
    rate = expected(LLAMA_2_7B, TABLE, quantization="int8").output_tokens_per_s.value
    return statement(rate > told, f"{rate:,.0f} tokens/s expected", but=rate > 2 * told, number=rate)


@computes("C002-030")
def prompts_timed() -> Found:
    """Tokens a second of reading prompts, at the tensor cores' rate, beside those of writing to 128 requests."""
    card, model = gpu("L40S"), Model.from_config(LLAMA_3_8B)
    read = card.peak("bf16") / (2 * model.active_parameters)
    written = expected(LLAMA_3_8B, Workload(isl=128, osl=128, concurrency=128), "L40S").output_tokens_per_s.value
    right = number(read, written).verdict != "wrong"
    return statement(right, f"reading {read:,.0f}, writing {written:,.0f} tokens/s", number=read / written)


@computes("C002-005")
def layers_or_parts() -> Found:
    """70B on four L40S divided by layers or within them: throughput at 64 requests, time a token at one."""
    many, one = (Workload(isl=1024, osl=256, concurrency=count) for count in (64, 1))
    whole, mixed = {"tensor_parallel_size": 4}, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}
    rates = [
        expected(LLAMA_3_70B, many, "L40S", max_model_len=4096, **each).output_tokens_per_s.value
        for each in (whole, mixed)
    ]
    times = [1e3 * expected(LLAMA_3_70B, one, "L40S", max_model_len=4096, **each).tpot.value for each in (whole, mixed)]
    shown = (
        f"TP 4: {rates[0]:.0f} tokens/s, {times[0]:.0f} ms a token alone; "
        f"TP 2 with PP 2: {rates[1]:.0f} tokens/s, {times[1]:.0f} ms"
    )
    return statement(rates[1] > rates[0], shown, but=times[1] > times[0])
