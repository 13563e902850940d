"""Which engine for a need: those that cannot are ruled out, the others ranked, all with reasons.

No figure of speed decides: how engines differ in that depends on model, card and load, and ``workbench experiment``
measures it. Here decide facts (``data/engines/choice.csv``) and weights that are a judgement of ours, shown with each
reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from workbench.engines.asked import EngineNeeds
from workbench.engines.facts import TITLES, cards, fact, loads, runs_from
from workbench.engines.starters import STARTERS
from workbench.errors import UnknownName
from workbench.hardware import GPU

#: Requests at once from which an engine that serves few is a burden. A judgement of ours: llama.cpp's server has four
#: slots unless told otherwise, Ollama one.
MANY = 8
#: What it counts that something asked for is half there; where none is said, a platform, -3.
_HALF = {"multi_gpu": -2, "multi_node": -4, "structured": -2, "new_models": -1}
_WHERE = {
    "nvidia": "NVIDIA's GPUs", "amd": "AMD's GPUs", "intel": "Intel's GPUs", "gaudi": "Gaudi", "cpu": "a CPU",
    "apple": "Apple's chips", "tpu": "TPUs", "phone": "a phone", "browser": "a web page",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for or against an engine.

    Parameters
    ----------
    text : str
    weight : int
        How much it counts: above 0 for, below 0 against. A judgement of ours.
    source : str
        Where the fact is written.
    """

    text: str
    weight: int
    source: str


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """One engine, judged.

    Parameters
    ----------
    engine, title : str
    out : tuple of Reason
        Why it cannot; empty where it can.
    why, against : tuple of Reason
        The weightiest first.
    made_for : str
        What it is for, in a sentence.
    state, licence : str
    """

    engine: str
    title: str
    out: tuple[Reason, ...]
    why: tuple[Reason, ...]
    against: tuple[Reason, ...]
    made_for: str
    state: str
    licence: str

    @property
    def suits(self) -> bool:
        """Whether it can do what is asked."""
        return not self.out

    @property
    def score(self) -> int:
        """Weights for less weights against."""
        return sum(reason.weight for reason in (*self.why, *self.against))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "suits": self.suits, "score": self.score}


def choose_engine(**needs: Any) -> list[EngineVerdict]:
    """Every engine judged for a need: the best first, those ruled out last.

    Parameters
    ----------
    **needs
        Fields of :class:`EngineNeeds`.

    Returns
    -------
    list of EngineVerdict
        Those that can, by what speaks for them less what speaks against; then the others.

    Raises
    ------
    UnknownName, InvalidInput
        As :class:`EngineNeeds`; for a field that there is not.

    Examples
    --------
    >>> [one.title for one in choose_engine(on="H100 SXM", concurrency=64) if one.suits][0]
    'vLLM'
    >>> [one.title for one in choose_engine(on="apple", place="desktop", concurrency=1) if one.suits][0]
    'Ollama'
    """
    known = EngineNeeds.__slots__
    for name in needs:
        if name not in known:
            raise UnknownName("need", name, known, f"one of {', '.join(known)}")
    asked = EngineNeeds(**needs)
    found = [_judged(engine, asked) for engine in TITLES]
    return sorted(found, key=lambda one: (not one.suits, -one.score))


def _judged(engine: str, needs: EngineNeeds) -> EngineVerdict:
    out = tuple(_ruled_out(engine, needs))
    reasons = sorted(_weighed(engine, needs), key=lambda reason: -abs(reason.weight))
    state = fact(engine, "state")
    return EngineVerdict(
        engine=engine,
        title=TITLES[engine],
        out=out,
        why=tuple(reason for reason in reasons if reason.weight > 0),
        against=tuple(reason for reason in reasons if reason.weight < 0),
        made_for=fact(engine, "for").note,
        state=f"{state.level}: {state.note}",
        licence=fact(engine, "licence").level,
    )


def _asked(needs: EngineNeeds) -> Iterator[tuple[str, str]]:
    """What an engine must be able to do: fact, and what is asked of it in words."""
    yield needs.platform, f"on {_WHERE[needs.platform]}"
    if needs.windows:
        yield "windows", "on Windows"
    if needs.gpus > 1:
        yield "multi_gpu", f"over {needs.gpus} GPUs"
    if needs.nodes > 1:
        yield "multi_node", f"over {needs.nodes} machines"
    if needs.lora:
        yield "lora", f"with {needs.lora} LoRA adapter" + "s" * (needs.lora > 1)
    if needs.structured:
        yield "structured", "answers by a schema"
    if needs.place == "app":
        yield "embeds", "inside an app"
    if needs.new_models:
        yield "new_models", "models to come"


def _ruled_out(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    for name, words in _asked(needs):
        known = fact(engine, name)
        if known.level == "no":
            yield Reason(f"not {words}: {known.note}", 0, known.source)
    card = needs.card
    if card is not None and card.compute_capability is not None and card.compute_capability < runs_from(engine):
        lowest = ".".join(map(str, runs_from(engine)))
        yield Reason(f"not on {card.name}: compute capability {lowest} is the lowest", 0, fact(engine, "nvidia").source)
    if needs.stored is not None and (weights := loads(engine, needs.stored)).level == "no":
        yield Reason(weights.note, 0, weights.source)


def _weighed(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    """What speaks for and against an engine that can, with its weight."""
    yield from _general(engine, needs)
    yield from _load(engine, needs)
    yield from _place(engine, needs)
    yield from _card(engine, needs)


def _general(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    """Its state, and what it half does of what is asked."""
    for name, words in _asked(needs):
        known = fact(engine, name)
        if known.level == "partly" and name != "lora":
            yield Reason(f"{words}: {known.note}", _HALF.get(name, -3), known.source)
        elif known.level == "yes" and name == needs.platform != "nvidia":
            yield Reason(f"{words}: {known.note}", 1, known.source)
    if needs.stored is not None and (weights := loads(engine, needs.stored)).level == "partly":
        yield Reason(f"{needs.stored.title}: {weights.note}", -2, weights.source)
    state, api = fact(engine, "state"), fact(engine, "api")
    if state.level == "archived":
        yield Reason(f"archived, no security patches: {state.note}", -3, state.source)
    if needs.already == engine:
        yield Reason("it serves this now: no change is the cheapest one", 6 if not needs.new_models else 3, "your need")
    if api.level == "partly":
        yield Reason(f"API: {api.note}", -1, api.source)


def _load(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    """Requests at once, adapters, common beginnings."""
    together = fact(engine, "batching")
    if needs.concurrency >= MANY:
        told = f"{needs.concurrency} requests at once: {together.note}"
        yield Reason(told, 2 if together.level == "yes" else -3, together.source)
    lora = fact(engine, "lora")
    if needs.lora > 1:
        yield Reason(f"{needs.lora} adapters: {lora.note}", 2 if lora.level == "yes" else -3, lora.source)
    elif needs.lora and lora.level == "partly":
        yield Reason(f"LoRA: {lora.note}", -1, lora.source)
    if needs.shared_prefixes:
        cache, router = fact(engine, "prefix_cache"), fact(engine, "prefix_router")
        yield Reason(f"common beginnings: {cache.note}", 1 if cache.level == "yes" else -1, cache.source)
        if router.level == "yes":
            yield Reason(router.note, 2, router.source)


def _place(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    """How much it takes to have it where it is to run."""
    setup, library = fact(engine, "setup"), fact(engine, "library")
    if needs.place == "server" and engine in STARTERS:
        yield Reason(
            "this workbench starts it and holds its plan against what it reports", 1, "workbench serve, compare"
        )
    if needs.place == "desktop":
        yield Reason(f"to install: {setup.note}", 3 if setup.level == "yes" else -2, setup.source)
        if library.level == "yes":
            yield Reason(library.note, 3, library.source)
    elif setup.level == "no":
        yield Reason(setup.note, -2, setup.source)
    if needs.place == "app":
        yield Reason(fact(engine, "embeds").note, 1, fact(engine, "embeds").source)


def _card(engine: str, needs: EngineNeeds) -> Iterator[Reason]:
    """What its makers name, and what can be got out of it with time."""
    named, card, tuning = cards(engine), needs.card, fact(engine, "tuning")
    if card is not None and named and not _is_named(card, named):
        yield Reason(f"{card.name} is none of the cards its makers name", -2, fact(engine, "cards").source)
    if needs.tune and tuning.level == "yes":
        yield Reason(tuning.note, 4, tuning.source)
    elif tuning.level == "yes":
        yield Reason("its settings want to be tuned for one model and card", -1, tuning.source)


def _is_named(card: GPU, named: tuple[str, ...]) -> bool:
    """Whether one of some short names is this card's.

    >>> from workbench.hardware import gpu
    >>> _is_named(gpu("H100 SXM"), ("H100",)), _is_named(gpu("L4"), ("L40",))
    (True, False)
    """
    return any(word in named for word in card.name.replace("-", " ").split())
