"""Speculative decoding, measured: a model served without drafting and with each way of it, one after the other.

What drafting brings hangs on how many drafts are accepted, which no plan can know: on the text, the draft, the model.
So the same prompts are asked of the same model, greedily, and the engine's own counters say what was drafted and
accepted. Beside it stands what the formulas of :mod:`workbench.performance.speculation` make of that acceptance.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.deployment import Workload
from workbench.errors import InvalidInput, WorkbenchError
from workbench.performance.speculation import acceptance_from, emitted_by_position, emitted_tokens
from workbench.planner import Plan
from workbench.serving import Server, serve

if TYPE_CHECKING:
    import pandas as pd

#: What is asked where no prompts are given: code and prose, with and without much to repeat.
PROMPTS = (
    "def read_lines(path):\n    with open(path) as file:\n        return [line.strip() for line in file]\n\ndef write",
    "The list of names is: one, two, three, one, two, three, one, two,",
    "The purpose of a function is to",
    "import os\nimport sys\n\nclass Reader:\n    def __init__(self, name):\n        self.name = name\n\n    def",
)
_START = 600.0  # seconds


@dataclass(frozen=True)
class Counted:
    """What an engine has counted since it started.

    Parameters
    ----------
    drafts : float
        Steps in which something was drafted.
    drafted, accepted : float
        Tokens of them all, and those that were kept.
    by_position : tuple of float
        Accepted tokens at the first, second, … place of a draft.
    """

    drafts: float = 0.0
    drafted: float = 0.0
    accepted: float = 0.0
    by_position: tuple[float, ...] = ()

    def since(self, earlier: Counted) -> Counted:
        """What was added after an earlier reading."""
        before = (*earlier.by_position, *([0.0] * len(self.by_position)))
        return Counted(
            self.drafts - earlier.drafts,
            self.drafted - earlier.drafted,
            self.accepted - earlier.accepted,
            tuple(now - then for now, then in zip(self.by_position, before, strict=False)),
        )

    @property
    def shares(self) -> tuple[float, ...]:
        """Of all drafts, the share in which the token at each place was kept, and so all before it."""
        return tuple(kept / self.drafts for kept in self.by_position) if self.drafts else ()


def counted(page: str) -> Counted:
    """Read vLLM's ``/metrics``.

    References
    ----------
    vLLM 0.32.0 ``v1/spec_decode/metrics.py`` (``SpecDecodingProm``).

    Examples
    --------
    >>> counted('''vllm:spec_decode_num_drafts_total{engine="0"} 4.0
    ... vllm:spec_decode_num_draft_tokens_total{engine="0"} 12.0
    ... vllm:spec_decode_num_accepted_tokens_total{engine="0"} 6.0
    ... vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="1"} 2.0
    ... vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="0"} 4.0''')
    Counted(drafts=4.0, drafted=12.0, accepted=6.0, by_position=(4.0, 2.0))
    """
    from prometheus_client.parser import text_string_to_metric_families

    sums = dict.fromkeys(("drafts", "draft_tokens", "accepted_tokens"), 0.0)
    places: dict[int, float] = {}
    for family in text_string_to_metric_families(page.rstrip("\n") + "\n"):
        for sample in family.samples:
            name = sample.name.removeprefix("vllm:spec_decode_num_").removesuffix("_total")
            if name in sums:
                sums[name] += sample.value
            elif name == "accepted_tokens_per_pos":
                place = int(sample.labels["position"])
                places[place] = places.get(place, 0.0) + sample.value
    positions = tuple(places[place] for place in sorted(places))
    return Counted(sums["drafts"], sums["draft_tokens"], sums["accepted_tokens"], positions)


@dataclass(frozen=True)
class _Seen:
    """One server's answers and times."""

    answers: tuple[str, ...]
    tpots: tuple[float, ...]  # of each pass over the prompts [s]
    tokens: int  # after each answer's first, over all passes
    counted: Counted
    plan: Plan | None


def measure_speculation(
    source: Plan | str | Path,
    ways: Mapping[str, Mapping[str, Any]],
    *,
    prompts: Sequence[str] = PROMPTS,
    max_tokens: int = 64,
    passes: int = 3,
    tell: Callable[[str], None] | None = None,
    **deployment: Any,
) -> pd.DataFrame:
    """Serve a model without drafting and with each way of drafting, and compare.

    Parameters
    ----------
    source : Plan, str or Path
        As in :func:`workbench.serve`; vLLM's.
    ways : mapping
        Name -> a ``speculative_config``: ``{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}``,
        ``{"model": "folder of a smaller model", "num_speculative_tokens": 3}`` …
    prompts : sequence of str
        What is completed, one after the other and greedily; what drafting brings holds for such text.
    max_tokens : int
        Length of every answer [tokens].
    passes : int
        How often all prompts are asked, after once to warm up.
    tell : callable, optional
        Called with a line of progress.
    **deployment
        Further fields of the Deployment, the same for all.

    Returns
    -------
    DataFrame
        Indexed by ``way``, the first "none". ``tpot``: time per output token after the first, of one request at a time
        [s], the median of the passes, with ``tpot_low`` and ``tpot_high`` their range; ``speedup`` over none;
        ``same_answers``, the share of answers that are to the letter those without drafting (sums in floating point
        are made in another order, so near ties may fall otherwise). Where something was drafted: ``drafted`` tokens k
        of a draft; ``acceptance``, the share of drafted tokens that was kept; ``emitted``, tokens of a step, steps
        without a draft included; ``emitted_drafting``, of steps with one; ``emitted_by_formula``, what
        (1 − a^(k+1)) / (1 − a) makes of a, the share of first tokens that was kept; ``step_cost``, a step with
        drafting over one without; ``speedup_planned``, what the plan for this machine makes of the acceptance.

    Raises
    ------
    InvalidInput
        There is no way, or nothing to ask.
    WorkbenchError
        A server does not come up; the message says why.

    References
    ----------
    Leviathan et al. 2023, arXiv 2211.17192: equation 1 and theorem 3.8.

    Examples
    --------
    >>> import workbench as wb
    >>> ngram = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}
    >>> wb.measure_speculation("builtin", {"n-gram": ngram})["speedup"]                     # doctest: +SKIP
    """
    if not ways or not prompts:
        raise InvalidInput("give at least one way to draft and one prompt")
    if max_tokens < 8 or passes < 1:
        raise InvalidInput("answers of at least 8 tokens and at least one pass are needed to tell a speed")
    if "none" in ways:
        raise InvalidInput("none is the name of serving without drafting; call a way by another name")
    say = tell or (lambda _: None)
    seen: dict[str, _Seen] = {}
    for name, config in {"none": None, **ways}.items():
        fields = {**deployment, "speculative_config": None if config is None else dict(config)}
        say(f"{name}: starting")
        with serve(source, **fields) as server:
            server.wait_ready(_START)
            say(f"{name}: measuring")
            seen[name] = _ask(server, prompts, max_tokens, passes)
    return _table(seen, ways, prompts, max_tokens)


def _ask(server: Server, prompts: Sequence[str], max_tokens: int, passes: int) -> _Seen:
    asked = {"max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}
    answers, tpots, total = [], [], 0
    with server.client() as client:
        for prompt in prompts:  # the first answers of a server are slower than those that follow
            client.stream_whole(prompt, **asked)
        before = counted(client.metrics_text())
        for _ in range(passes):
            seconds, tokens = 0.0, 0
            answers = []
            for prompt in prompts:
                answer = client.stream_whole(prompt, **asked)
                if answer.ttft is None or answer.completion_tokens < 2:
                    raise WorkbenchError(f"{server.url} did not stream its answer; speed cannot be told")
                answers.append(answer.text)
                # A step may bring several tokens at once, so only first and last piece say something.
                seconds += sum(answer.gaps)
                tokens += answer.completion_tokens - 1
            tpots.append(seconds / tokens)
            total += tokens
        return _Seen(tuple(answers), tuple(tpots), total, counted(client.metrics_text()).since(before), server.plan)


def _table(
    seen: Mapping[str, _Seen], ways: Mapping[str, Mapping[str, Any]], prompts: Sequence[str], max_tokens: int
) -> pd.DataFrame:
    import pandas as pd

    none = seen["none"]
    base = statistics.median(none.tpots)
    rows: list[dict[str, Any]] = []
    for name, way in seen.items():
        tpot = statistics.median(way.tpots)
        row: dict[str, Any] = {
            "way": name,
            "tpot": tpot,
            "tpot_low": min(way.tpots),
            "tpot_high": max(way.tpots),
            "speedup": base / tpot,
            "same_answers": sum(a == b for a, b in zip(way.answers, none.answers, strict=True)) / len(none.answers),
        }
        if name != "none" and way.counted.drafts:
            count = way.counted
            drafted = int(ways[name].get("num_speculative_tokens") or round(count.drafted / count.drafts))
            # Every step emits one token of the model's own, whatever was drafted. The engine also counts what an
            # answer's last step accepted beyond its end; steps without a draft cannot emit more than those with one.
            drafting = emitted_by_position(count.shares)
            emitted = min(way.tokens / max(way.tokens - count.accepted, 1.0), drafting)
            row |= {
                "drafted": drafted,
                "acceptance": count.accepted / count.drafted if count.drafted else math.nan,
                "emitted": emitted,
                "emitted_drafting": drafting,
                "emitted_by_formula": float(emitted_tokens(count.shares[0], drafted)) if count.shares else math.nan,
                "step_cost": emitted * tpot / base,
                "speedup_planned": _planned(
                    none.plan, way.plan, float(acceptance_from(emitted, drafted)), prompts, max_tokens
                ),
            }
        rows.append(row)
    return pd.DataFrame(rows).set_index("way")


def _planned(none: Plan | None, way: Plan | None, each: float, prompts: Sequence[str], max_tokens: int) -> float:
    """What the plans say of the two: how many times faster tokens come; NaN where there is no plan."""
    if none is None or way is None:
        return math.nan
    length = max(round(statistics.mean(len(prompt) for prompt in prompts) / 4), 1)  # about four letters a token
    without = none.performance(Workload(isl=length, osl=max_tokens, concurrency=1)).tpot.value
    with_drafts = way.performance(Workload(isl=length, osl=max_tokens, concurrency=1, acceptance=each)).tpot.value
    return float(without / with_drafts)
