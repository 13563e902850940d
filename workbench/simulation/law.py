"""What a step takes, as the simulator asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StepLaw(Protocol):
    """Time of one engine step [s]."""

    def step(self, requests: int, queries: int, context: float, prompt: int) -> float:
        """Time of a step of ``requests`` decodes and ``prompt`` prompt tokens [s].

        Parameters
        ----------
        requests : int
            Requests that decode.
        queries : int
            Tokens each of them computes: 1, or 1 + k to verify k drafted ones.
        context : float
            Their mean context [tokens].
        prompt : int
            Prompt tokens that share the step.
        """
        ...


@dataclass(frozen=True, slots=True)
class SharedStep:
    """A step as the closed forms see it: decode d(n, c) and, beside it, a share of the prompts' own time.

    d(n, c) = base + per_token n + per_cached_token n c; prompts alone pf(q) = per_prompt_token q, never less than
    ``base``; a mixed step d(n, c) + share × per_prompt_token q.

    Parameters
    ----------
    base : float
        Reading the weights, launching kernels [s].
    per_token : float
        Each further token computed [s].
    per_cached_token : float
        Reading the cache [s a token of context].
    per_prompt_token : float
        A prompt's token computed alone [s].
    share : float
        Part of a prompt's own time by which it lengthens a step of others.

    Examples
    --------
    >>> law = SharedStep(base=0.01, per_token=1e-4, per_prompt_token=2e-5, share=0.5)
    >>> [round(law.step(*step), 4) for step in ((10, 1, 500.0, 0), (10, 1, 500.0, 1000), (0, 1, 0.0, 1000))]
    [0.011, 0.021, 0.02]
    """

    base: float
    per_token: float = 0.0
    per_cached_token: float = 0.0
    per_prompt_token: float = 0.0
    share: float = 1.0

    def step(self, requests: int, queries: int, context: float, prompt: int) -> float:
        """Time of one step [s]; see :class:`StepLaw`."""
        if not requests:
            return max(self.base, self.per_prompt_token * prompt)
        decode = self.base + requests * (self.per_token * queries + self.per_cached_token * context)
        return decode + self.share * self.per_prompt_token * prompt


@dataclass(frozen=True, slots=True)
class RooflineStep:
    """A step limited by reading weights or by computing tokens, whichever is slower, and then by its cache.

    T = overhead + max(weights, compute × tokens) + cache × n c, tokens = n × queries + prompt tokens.

    Parameters
    ----------
    overhead, weights : float
        Launches; reading all weights once [s].
    compute : float
        One token's arithmetic [s].
    cache : float
        Reading one cached token [s].

    References
    ----------
    Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

    Examples
    --------
    Two hundred tokens at 0.05 ms each are still read in the 10 ms that the weights take.

    >>> RooflineStep(0.0, 0.01, 5e-5).step(50, 4, 0.0, 0)
    0.01
    """

    overhead: float
    weights: float
    compute: float
    cache: float = 0.0

    def step(self, requests: int, queries: int, context: float, prompt: int) -> float:
        """Time of one step [s]; see :class:`StepLaw`."""
        tokens = requests * queries + prompt
        return self.overhead + max(self.weights, self.compute * tokens) + self.cache * requests * context
