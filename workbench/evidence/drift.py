"""An alarm where what an engine does no longer lies where its constants put it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from workbench.engines.registry import engine as known_engine
from workbench.errors import InvalidInput

#: Quantities that follow from others of the same report: they are no witnesses of their own.
_FOLLOWS = frozenset({"kv_cache_tokens", "max_concurrency", "output_tokens_per_s", "ttft_p95", "tpot_p95", "itl_p99"})
#: What is less likely than this by chance is no chance: the usual level of a test, a judgement.
_UNLIKELY = 0.05


def by_chance(outside: int, of: int, level: float = 0.9) -> float:
    """Probability that so many of ``of`` measurements, or more, lie outside intervals that hold ``level`` of them [-].

    Examples
    --------
    >>> round(by_chance(1, 5), 2), round(by_chance(3, 5), 3)
    (0.41, 0.009)
    """
    miss = 1 - level
    return math.fsum(math.comb(of, k) * miss**k * level ** (of - k) for k in range(outside, of + 1))


def drift(engine: str, version: str | None, inside: Mapping[str, bool]) -> str:
    """What to be warned of; empty where there is nothing.

    A release newer than the constants is warned of with the first quantity that lies outside; one that the constants
    are for, only where so many do that it is no chance.

    Parameters
    ----------
    engine : str
        In a Deployment's word.
    version : str or None
        The release that was measured, where it is known.
    inside : mapping
        Quantity -> whether the plan's 90 % interval held it.

    Examples
    --------
    >>> drift("vllm", "0.19.0", {"weights_bytes": True, "tpot": False})
    ''
    >>> drift("vllm", "9.0.0", {"weights_bytes": True, "tpot": False})[:62]
    'vLLM 9.0.0 is newer than the constants here, and tpot lies out'
    """
    witnesses = {name: held for name, held in inside.items() if name not in _FOLLOWS}
    outside = [name for name, held in witnesses.items() if not held]
    if not outside:
        return ""
    known = known_engine(engine)
    newer = False
    if version:
        try:
            newer = known.release(version).newer_than_known
        except InvalidInput:  # a build without a release number
            newer = False
    names = ", ".join(name.removesuffix("_bytes").replace("_", " ").replace("kv ", "KV ") for name in outside)
    title = f"{known.title} {version or ''}".strip()
    mend = "calibrate with your own measurements (workbench calibrate) before you trust a plan for it"
    if newer:
        lies = "lies" if len(outside) == 1 else "lie"
        return f"{title} is newer than the constants here, and {names} {lies} outside the intervals: {mend}."
    chance = by_chance(len(outside), len(witnesses))
    if chance < _UNLIKELY:
        return (
            f"{len(outside)} of {len(witnesses)} quantities of {title} lie outside the intervals ({names}), which "
            f"happens by chance in {chance:.1%} of runs: something differs from what was planned, or {mend}."
        )
    return ""
