"""Speculative decoding: what a step emits and what it gains.

Times of a draft are shares of the target's, by the bytes of their weights.
"""

from __future__ import annotations

import numpy as np

from workbench.architecture.model import Model
from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, middle, number, statement, worst
from workbench.performance.speculation import best_drafted, emitted_tokens, speedup, verified_free_of_charge

LLAMA_31 = "meta-llama/Llama-3.1-{}-Instruct"


def gain(acceptance: float, drafted: int, cost: float) -> float:
    """How many times faster, where verifying takes what a plain step takes and a draft the share ``cost`` of it."""
    one = np.array([1.0])
    return float(speedup(emitted_tokens(acceptance, drafted), one, one, drafted * cost)[0])


def cost_of(draft: str, target: str) -> float:
    """Weights of the draft over those of the target."""
    return Model.from_config(draft).parameters / Model.from_config(target).parameters


@computes("C003-073", told=3.3)
def all_kept(told: float) -> Found:
    """Five drafts of 5 ms and one step of 50 ms, all five kept."""
    return number(told, gain(1.0, 5, 0.1), "times")


@computes("C003-075")
def by_acceptance() -> Found:
    """Five drafts at a tenth of the target's time, in the middle of each band told."""
    parts = [
        middle(told, found := gain(acceptance, 5, 0.1), shown=f"{found:.1f} times at {acceptance:.0%}")
        for told, acceptance in (((3, 4), 0.95), ((2, 3), 0.8), ((1.5, 2), 0.6))
    ]
    return worst(parts)


@computes("C003-076", told=(2, 2.5), draft=LLAMA_31.format("8B"), target=LLAMA_31.format("70B"), acceptance=0.75)
@computes(
    "C003-077", told=(2, 2.5), draft="meta-llama/Llama-3.2-1B-Instruct", target=LLAMA_31.format("8B"), acceptance=0.7
)
@computes(
    "C003-078", told=(3, 4), draft="codellama/CodeLlama-7b-hf", target="codellama/CodeLlama-34b-hf", acceptance=0.85
)
def pair(told: tuple[float, float], draft: str, target: str, acceptance: float) -> Found:
    """Five drafts of one model for another."""
    cost = cost_of(draft, target)
    found = gain(acceptance, 5, cost)
    return middle(told, found, shown=f"{found:.2f} times, a draft taking {cost:.0%} of a step")


@computes("C003-080", told=2.773)
def last_term_left_out(told: float) -> Found:
    """Tokens of a step at 0.7 and five drafts."""
    return number(told, float(emitted_tokens(0.7, 5)), "tokens", limits=EXACT)


@computes("C003-081", drafted=5)
def one_too_many(drafted: int) -> Found:
    """The sum and one more, with every draft kept: beside the tokens that the step computes."""
    found = float(emitted_tokens(1.0, drafted))
    return number(found + 1, found, limits=EXACT, shown=f"{found:.0f} tokens at most, not {found + 1:.0f}")


@computes("C003-082")
def drafts_cost_nothing() -> Found:
    """Tokens of a step told as the gain, beside the gain with drafts at a tenth."""
    return number(float(emitted_tokens(0.7, 5)), gain(0.7, 5, 0.1), "times")


@computes("C003-091")
def alone_gains_most() -> Found:
    """Requests up to which verifying five drafts is free on an H100: 295 tokens are computed while a weight is read."""
    free = float(verified_free_of_charge(np.array([295.0]), np.array([1.0]), 5)[0])
    return statement(free > 1, f"free up to {free:.0f} requests on an H100, then it costs", number=free)


@computes("C003-092")
def best_number() -> Found:
    """The best number of drafts at a tenth of the cost, for 80 % and 90 % acceptance."""
    best = {
        acceptance: int(best_drafted(np.array([[gain(acceptance, k, 0.1)] for k in range(1, 16)]))[0])
        for acceptance in (0.7, 0.8, 0.9)
    }
    parts = [number(5, best[0.8]), middle((7, 10), best[0.9])]
    shown = ", ".join(f"{k} at {acceptance:.0%}" for acceptance, k in best.items())
    return worst(parts, shown)
