"""The numbers of a while that bear on what limits an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.monitoring import rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The numbers of a while; None is "not known", and no rule is put to it.

    Parameters
    ----------
    running_least, running_most, running : float or None
        Requests in the batch: fewest, most, mean.
    waiting_least, waiting_most, waiting : float or None
        Requests in the queue, the same.
    kv_usage : float or None
        Share of the KV cache in use, mean [-].
    preemptions, prompt_tokens, cached_tokens, generation_tokens : float or None
        [1/s]
    step_tokens : float or None
        Tokens computed in an engine step, mean.
    ttft, queue : float or None
        Mean times [s].
    prefix_caching : bool or None
        As the engine says.
    max_num_seqs : int or None
        Most requests in a batch, all ranks together, where the plan says it.
    on_cpu : bool or None
        Whether the engine computes on the processor.
    card : str
        The card's name.
    utilization : float or None
        Share of the time the engine's busiest card ran a kernel, mean [-].
    card_free : float or None
        Of the engine's fullest card [bytes].
    temperature : float or None
        Highest [°C].
    thermal, power_cap, power_brake : float or None
        Shares of the readings in which clocks were lowered for it, the worst card's [-].
    power, power_limit, power_default : float or None
        That card's draw, its limit, and the limit it was built with [W].
    ridge : float or None
        :func:`workbench.monitoring.rules.ridge_tokens` of the card in BF16.
    cpu : float or None
        Share of all processors that was busy, mean [-].
    processors : int or None
        How many there are.
    engine_cores, engine_busiest : float or None
        Processors that the engine and its busiest process kept busy, mean [-].
    memory_available, memory_total : float or None
        RAM [bytes].
    """

    running_least: float | None = None
    running_most: float | None = None
    running: float | None = None
    waiting_least: float | None = None
    waiting_most: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    preemptions: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    generation_tokens: float | None = None
    step_tokens: float | None = None
    ttft: float | None = None
    queue: float | None = None
    prefix_caching: bool | None = None
    max_num_seqs: int | None = None
    on_cpu: bool | None = None
    card: str = ""
    utilization: float | None = None
    card_free: float | None = None
    temperature: float | None = None
    thermal: float | None = None
    power_cap: float | None = None
    power_brake: float | None = None
    power: float | None = None
    power_limit: float | None = None
    power_default: float | None = None
    ridge: float | None = None
    cpu: float | None = None
    processors: int | None = None
    engine_cores: float | None = None
    engine_busiest: float | None = None
    memory_available: float | None = None
    memory_total: float | None = None

    @property
    def prompt_share(self) -> float | None:
        """Share of the tokens computed that are prompts'; None where that is not counted or nothing was."""
        if self.prompt_tokens is None or self.generation_tokens is None:
            return None
        share = rules.prompt_share(self.prompt_tokens, self.generation_tokens, self.cached_tokens or 0.0)
        return None if math.isnan(share) else share
