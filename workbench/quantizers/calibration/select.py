"""Which samples a method can use, as token ids, and what became of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.quantizers.calibration.samples import Sample

#: A text of fewer tokens says nothing about activations.
SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What was calibrated on.

    Parameters
    ----------
    source : str
        "built-in text", the file or the data set.
    texts : int
        How many it holds.
    used, tokens : int
        How many were used, and their tokens.
    too_short, too_long, cut : int
        How many of those looked at were dropped for having too few or too many tokens, or were cut to length.
    """

    source: str
    texts: int
    used: int = 0
    tokens: int = 0
    too_short: int = 0
    too_long: int = 0
    cut: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def encoder(folder: Path, encode: Callable[[str], list[int]], *, chat: bool) -> Callable[[Sample], list[int]]:
    """A sample as token ids: a text by the tokenizer, a conversation by the model's chat template too.

    Parameters
    ----------
    folder : Path
        The model's.
    encode : callable
        Text -> token ids.
    chat : bool
        Whether a text is put as a user's turn.
    """
    from workbench.quality.tokens import chat_tokenizer

    ready: list[Callable[[Sequence[Any]], list[int]]] = []  # read only if something needs it

    def ids(found: Sample) -> list[int]:
        if isinstance(found, str) and not chat:
            return list(encode(found))
        if not ready:
            ready.append(chat_tokenizer(folder))
        if isinstance(found, str):
            return ready[0]([{"role": "user", "content": found}])
        try:
            return ready[0](found.messages)
        except InvalidInput as error:
            raise InvalidInput(f"{found.place}: {error}") from None

    return ids


def select(
    texts: Sequence[Sample], source: str, encode: Callable[[Any], list[int]], samples: int, length: int, *, cut: bool
) -> tuple[list[list[int]], Facts]:
    """Token ids of the texts a method can use, in order, and what became of the others.

    Parameters
    ----------
    texts : sequence of str or Conversation
        Candidates.
    source : str
        Where they are from.
    encode : callable
        Text or conversation -> token ids.
    samples, length : int
        How many to use, and the most tokens of one.
    cut : bool
        Whether a longer text is cut (llm-compressor) or dropped (AutoAWQ, which would drop it silently and fails
        in torch when none is left).

    Raises
    ------
    InvalidInput
        If no text is left, or AutoAWQ's blocks of ``length`` tokens cannot be filled once.
    """
    chosen: list[list[int]] = []
    too_short = too_long = shortened = 0
    for text in texts:
        ids = list(encode(text))
        if len(ids) < SHORTEST:
            too_short += 1
            continue
        if len(ids) > length:
            if not cut:
                too_long += 1
                continue
            shortened += 1
            ids = ids[:length]
        chosen.append(ids)
        if len(chosen) == samples:
            break
    tokens = _total(chosen)
    facts = Facts(source, len(texts), len(chosen), tokens, too_short, too_long, shortened)
    if not chosen:
        raise InvalidInput(
            f"no calibration text is left of {len(texts)} from {source}: {too_long} are longer than {length} tokens, "
            f"{too_short} shorter than {SHORTEST}; give other data or another length"
        )
    if not cut and tokens < length:
        raise InvalidInput(
            f"the {len(chosen)} usable calibration texts of {source} hold {tokens} tokens, less than one block of "
            f"{length} ({too_long} are too long, {too_short} too short); give more text or a smaller length"
        )
    return chosen, facts


def shortfall(facts: Facts, samples: int, length: int) -> str:
    """What to say if the data ran out before the method had the samples that were asked for, or nothing.

    >>> shortfall(Facts("a.txt", texts=3, used=2, tokens=90, too_short=1), 512, 2048)
    'a.txt gave 2 of the 512 calibration texts asked for, 90 of up to 1,048,576 tokens: statistics of little text vary'
    """
    if facts.used >= samples or facts.tokens >= samples * length:
        return ""
    return (
        f"{facts.source} gave {facts.used:,} of the {samples:,} calibration texts asked for, {facts.tokens:,} of up to "
        f"{samples * length:,} tokens: statistics of little text vary"
    )


def _total(chosen: Iterable[list[int]]) -> int:
    return sum(map(len, chosen))
