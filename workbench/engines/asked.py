"""What is asked of an engine: where it runs, for whom, and what it must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from workbench.engines.facts import TITLES
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import Scheme, scheme
from workbench.hardware import GPU, gpu

Platform = Literal["nvidia", "amd", "intel", "gaudi", "cpu", "apple", "tpu", "phone", "browser"]
Place = Literal["server", "desktop", "app"]
PLATFORMS: tuple[str, ...] = get_args(Platform)
PLACES: tuple[str, ...] = get_args(Place)


@dataclass(frozen=True, slots=True)
class EngineNeeds:
    """What is asked of an engine.

    Parameters
    ----------
    on : str
        A platform ("nvidia", "amd", "intel", "gaudi", "cpu", "apple", "tpu", "phone", "browser") or a card of
        ``wb.gpus()``.
    place : {"server", "desktop", "app"}
        A service for others, one person's computer, or inside an app.
    concurrency : int
        Requests at once.
    gpus, nodes : int
        Over how many cards, and machines, one model is divided.
    quantization : str, optional
        Scheme of a checkpoint that is there, an id of ``wb.schemes()``; whichever the engine reads where left out.
    lora : int
        Adapters served beside one another.
    structured : bool
        Whether answers must follow a schema.
    shared_prefixes : bool
        Whether many requests begin alike: agents, conversations, long instructions.
    new_models : bool
        Whether models of architectures to come will be served too.
    tune : bool
        Whether one model stays on one kind of card for long, and somebody has weeks to tune it.
    windows : bool
        Whether it must run on Windows itself.
    already : str, optional
        The engine that serves this now.

    Raises
    ------
    UnknownName
        For a platform, card, place, scheme or engine that there is not.
    InvalidInput
        For a number below what it can be.
    """

    on: str = "nvidia"
    place: str = "server"
    concurrency: int = 16
    gpus: int = 1
    nodes: int = 1
    quantization: str | None = None
    lora: int = 0
    structured: bool = False
    shared_prefixes: bool = False
    new_models: bool = True
    tune: bool = False
    windows: bool = False
    already: str | None = None

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise UnknownName("place", str(self.place), PLACES, f"one of {', '.join(PLACES)}")
        for name, least in (("concurrency", 1), ("gpus", 1), ("nodes", 1), ("lora", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(f"{name} is {value!r}; a whole number of at least {least} is needed")
        if self.already is not None and self.already not in TITLES:
            raise UnknownName("engine", str(self.already), TITLES, f"one of {', '.join(TITLES)}")
        if self.quantization is not None:
            scheme(self.quantization)
        _ = self.platform

    @property
    def card(self) -> GPU | None:
        """The card that was named, if one was."""
        return None if str(self.on).casefold() in PLATFORMS else gpu(self.on)

    @property
    def platform(self) -> str:
        """What it runs on."""
        card = self.card
        if card is None:
            return str(self.on).casefold()
        if card.name.startswith("Gaudi"):
            return "gaudi"
        return card.vendor.casefold()

    @property
    def stored(self) -> Scheme | None:
        """How the checkpoint's weights are stored; None where that is open."""
        return None if self.quantization is None else scheme(self.quantization)
