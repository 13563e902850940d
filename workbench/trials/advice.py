"""Which method for a model on a card: what each format does to memory and speed there, and what it is known to lose.

Nothing here is a rule of thumb: fit and speed are the planner's for that card and engine, losses are measurements,
one's own trials before published ones. A method that nobody measured is not recommended before it is tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from workbench.architecture import Model
from workbench.datafiles import read_rows
from workbench.deployment import Workload
from workbench.errors import UnknownName, WorkbenchError
from workbench.planner import plan
from workbench.planner.needs import FLOORS
from workbench.quantities import show_bytes, show_seconds
from workbench.quantizers import Method
from workbench.trials.choice import Choice, every
from workbench.trials.record import Trial, Trials

if TYPE_CHECKING:
    from workbench.planner import Plan

#: Largest rise of perplexity, at the upper end of its interval, that passes each floor. A judgement of ours: 1 % is no
#: news on a few thousand tokens, and 5 % lets AWQ's published 2 to 3 % (``data/quality.csv``) pass with an interval.
RISES: Mapping[str, float] = MappingProxyType({"none": 0.0, "unmeasurable": 0.01, "small": 0.05, "any": float("inf")})


@dataclass(frozen=True)
class Suggestion:
    """One way to quantise, judged for a card and an engine.

    Parameters
    ----------
    word, title : str
        The choice, as it is written and as it is read; empty for the checkpoint as it is.
    suits : bool
        Whether it starts there and its loss is known to pass the floor.
    tpot, ttft : float or None
        Time per output token and to the first token [s], at the workload.
    output_tokens_per_s : float or None
    weights : float or None
        Bytes of weights on one card.
    kv_cache_tokens : float or None
        Tokens that the cache holds beside them.
    loss : str
        What it loses, and who measured that.
    why, against : tuple of str
        Reasons.
    """

    word: str
    title: str
    suits: bool
    tpot: float | None
    ttft: float | None
    output_tokens_per_s: float | None
    weights: float | None
    kv_cache_tokens: float | None
    loss: str
    why: tuple[str, ...]
    against: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def which_method(
    model: Model | str | Path | Mapping[str, Any],
    gpu: str,
    engine: str = "vllm",
    *,
    floor: str = "small",
    trials: Trials | None = None,
    workload: Workload | None = None,
    **deployment: Any,
) -> list[Suggestion]:
    """Every method judged for this model, card and engine, the best first.

    Parameters
    ----------
    model : Model, str, Path or mapping
        As :func:`workbench.plan` takes it.
    gpu, engine : str
        What it is served on and with; GGUF is planned with llama.cpp whatever is asked.
    floor : {"none", "unmeasurable", "small", "any"}
        How much may be lost.
    trials : Trials, optional
        One's own measurements, which come before published ones.
    workload : Workload, optional
        What arrives; the planner's own where it is left out.
    **deployment
        Further fields of the plan.

    Returns
    -------
    list of Suggestion
        Those that suit by tokens per second, then the others; the checkpoint as it is among them.

    Raises
    ------
    UnknownName
        For a floor, card, engine or field that there is not.

    Examples
    --------
    >>> found = which_method("meta-llama/Llama-3.1-8B-Instruct", "L40S", floor="unmeasurable", max_model_len=8192)
    >>> found[0].word, found[0].suits
    ('fp8_dynamic', True)
    """
    if floor not in FLOORS:
        raise UnknownName("floor", str(floor), FLOORS, f"one of {', '.join(FLOORS)}")
    known = model if isinstance(model, Model) else Model.from_config(model)
    asked = {"gpu": gpu, "engine": engine, **deployment}
    plain = plan(known, workload=workload, **asked)
    found = [_as_it_is(plain)]
    for choice in every():
        trial = next((t for t in (trials.rows if trials else ()) if t.choice == choice and t.outcome == "done"), None)
        found.append(_judged(choice, known, asked, workload, plain, floor, trial))
    return sorted(found, key=lambda one: (not one.suits, -(one.output_tokens_per_s or 0.0), one.weights or 0.0))


def _as_it_is(plain: Plan) -> Suggestion:
    against = () if plain.fits else (plain.reasons[0],)
    return _suggestion("", "As the checkpoint is", plain, "nothing", plain.fits, (), against)


def _judged(
    choice: Choice,
    model: Model,
    asked: Mapping[str, Any],
    workload: Workload | None,
    plain: Plan,
    floor: str,
    trial: Trial | None,
) -> Suggestion:
    how = choice.how
    engine = "llama.cpp" if how.engines == ("llama.cpp",) else str(asked["engine"])
    loss, passes = _loss(how, floor, trial)
    against = [] if passes else [f"its loss is not known to be {FLOORS[floor]}: {loss}"]
    if engine not in how.engines:
        against.append(f"{engine} does not load it ({', '.join(how.engines)} do)")
        return _suggestion(choice.word, choice.title, None, loss, False, (), against)
    scheme = how.made(choice.parameters_in_full) if how.made else how.scheme
    try:
        made = plan(model, workload=workload, **{**asked, "engine": engine, "quantization": scheme})
    except WorkbenchError as error:
        return _suggestion(choice.word, choice.title, None, loss, False, (), [str(error), *against])
    if not made.fits:
        against.insert(0, made.reasons[0])
    why = _reasons(made, plain, how)
    if made.fits and not why:
        against.append("neither smaller nor faster than the checkpoint as it is")
    return _suggestion(choice.word, choice.title, made, loss, not against, why, against)


def _loss(how: Method, floor: str, trial: Trial | None) -> tuple[str, bool]:
    """What is known of a method's loss, and whether that passes."""
    change = trial.change if trial else None
    if change is not None:
        value, low, high = map(math.expm1, change)
        return f"perplexity {value:+.2%} ({low:+.2%} to {high:+.2%}), measured here", high <= RISES[floor]
    row = next((row for row in read_rows("quality.csv") if row["kind"] == "weights" and row["id"] == how.quality), None)
    if row is None:
        return "not measured by anybody we can cite; try it", floor == "any"
    order = list(FLOORS)
    return f"{row['effect']} ({row['source'].split(':')[0]})", order.index(row["floor"]) <= order.index(floor)


def _reasons(made: Plan, plain: Plan, how: Method) -> tuple[str, ...]:
    """What the format does on this card, in figures of the plan."""
    why = []
    if made.fits and not plain.fits:
        why.append("starts where the checkpoint as it is does not")
    if plain.memory is not None and made.memory is not None:
        before, after = plain.memory.weights.value, made.memory.weights.value
        if after < 0.97 * before:
            why.append(f"weights {show_bytes(after)} instead of {show_bytes(before)} a card")
    was, now = plain.performance(), made.performance()
    # Another engine takes other numbers of requests at once: its times are not those of the format.
    if now is not None and was is not None and made.deployment.engine == plain.deployment.engine:
        for name, what in (("tpot", "a token takes"), ("ttft", "the first token takes")):
            one, other = getattr(was, name).value, getattr(now, name).value
            if other < 0.97 * one:
                why.append(f"{what} {show_seconds(other)} instead of {show_seconds(one)}")
    if why and how.note:
        why.append(how.note)
    return tuple(why)


def _suggestion(word: str, title: str, made: Plan | None, loss: str, suits: bool, why: Any, against: Any) -> Suggestion:
    speed = made.performance() if made is not None and made.fits else None
    memory = made.memory if made is not None else None
    return Suggestion(
        word,
        title,
        suits,
        speed.tpot.value if speed else None,
        speed.ttft.value if speed else None,
        speed.output_tokens_per_s.value if speed else None,
        memory.weights.value if memory is not None else None,
        memory.kv_cache_tokens.value if memory is not None else None,
        loss,
        tuple(why),
        tuple(against),
    )
