"""Calibration text: the built-in text or a file of the user's, and which of it a method can use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput

#: A text of fewer tokens says nothing about activations.
SHORTEST = 8
#: More than any method takes, and a file by mistake.
_LARGEST = 2**30


@dataclass(frozen=True, slots=True)
class Facts:
    """What was calibrated on.

    Parameters
    ----------
    source : str
        "built-in text" or the file.
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


def read(file: Path) -> list[str]:
    """Texts of a file: paragraphs of a .txt, the field ``text`` (or the line itself) of each line of a .jsonl.

    Raises
    ------
    InvalidInput
        If it is missing, of another kind, not UTF-8, empty, or a line is not what it should be.
    """
    kinds = {".txt": _paragraphs, ".jsonl": _lines}
    if file.suffix.casefold() not in kinds:
        raise InvalidInput(f"calibration data must be a .txt or a .jsonl file, not {file.name!r}")
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidInput(f"{file} is larger than 1 GiB; a few thousand texts are enough to calibrate on")
        content = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {file}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}") from None
    texts = kinds[file.suffix.casefold()](file, content)
    if not texts:
        raise InvalidInput(f"{file} holds no text")
    return texts


def _paragraphs(file: Path, content: str) -> list[str]:
    """Stretches of text between blank lines."""
    return [p.strip() for p in content.replace("\r\n", "\n").split("\n\n") if p.strip()]


def _lines(file: Path, content: str) -> list[str]:
    texts = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{file} line {number} is not JSON: {error}") from None
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise InvalidInput(f'{file} line {number} has no text: {{"text": "…"}} or "…" is needed')
        if text.strip():
            texts.append(text.strip())
    return texts


def builtin_texts() -> list[str]:
    """The part of the built-in text that models are trained on, never the held-out part."""
    from workbench.builtin import text

    return [document.text for document in text.training()]


def select(
    texts: list[str], source: str, encode: Callable[[str], list[int]], samples: int, length: int, *, cut: bool
) -> tuple[list[list[int]], Facts]:
    """Token ids of the texts a method can use, in order, and what became of the others.

    Parameters
    ----------
    texts : list of str
        Candidates.
    source : str
        Where they are from.
    encode : callable
        Text -> token ids.
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


def _total(chosen: Iterable[list[int]]) -> int:
    return sum(map(len, chosen))
