"""What speculative decoding changes in a deployment's steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from workbench.choices import Setup
from workbench.deployment import Workload
from workbench.memory.drafts import draft, draft_weights, scored_tokens
from workbench.performance.batching import Drafts
from workbench.performance.speculation import decode_steps

#: Acceptance of a drafted token where a workload does not say it: between n-grams on text (0.3 to 0.5) and EAGLE 3 on
#: the chats it was trained for (0.7 to 0.8); an assumption that a measured one should replace.
ASSUMED_ACCEPTANCE = 0.6
#: Share of the bandwidth that drafting reaches, and what each drafted token takes besides [s]: as single small steps.
_FRACTION, _FIXED = 0.6, 150e-6


@dataclass(frozen=True, slots=True)
class Drafting:
    """Tokens drafted for each request in a step, and the time that takes [s]."""

    tokens: int
    seconds: float

    def drafts(self, workload: Workload) -> Drafts:
        """How many steps a workload's requests are decoded in."""
        accepted = ASSUMED_ACCEPTANCE if workload.acceptance is None else workload.acceptance
        return Drafts(self.tokens, decode_steps(workload.osl, accepted, self.tokens))


@lru_cache(maxsize=1024)
def drafting(setup: Setup) -> Drafting | None:
    """The drafting of a setup; None where nothing is drafted.

    Drafted one after another by what is loaded for it, whose weights are read each time; n-grams cost next to nothing.
    """
    if setup.deployment.engine != "vllm" or setup.deployment.speculative_config is None or draft(setup) is None:
        return None
    tokens = scored_tokens(setup) - 1
    reading = draft_weights(setup) / (setup.card.bandwidth * _FRACTION)
    return Drafting(tokens, tokens * (reading + (_FIXED if reading else 0.0)))
