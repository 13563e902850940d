"""What a method is calibrated on: the built-in text, a file of the user's or a data set, and which of it can be used.

>>> source("texts.jsonl").name, source("Salesforce/wikitext/wikitext-2-raw-v1:validation#text").split
('texts.jsonl', 'validation')
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import hub
from workbench.errors import InvalidInput
from workbench.quantizers.calibration.dataset import Dataset
from workbench.quantizers.calibration.files import KINDS, read
from workbench.quantizers.calibration.repetition import remark
from workbench.quantizers.calibration.samples import Conversation, Sample
from workbench.quantizers.calibration.select import SHORTEST, Facts, encoder, select, shortfall

__all__ = [
    "SHORTEST", "Conversation", "Dataset", "Facts", "Given", "Sample", "builtin_texts", "encoder", "given", "load",
    "read", "remark", "select", "shortfall", "source",
]  # fmt: skip

#: ``WHERE[:split][#column]``.
_SELECTED = re.compile(r"(?P<where>[^#]+?)(?::(?P<split>[^:#/]+))?(?:#(?P<column>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave, as far as it is known before anything runs.

    Parameters
    ----------
    source : str or None
        The file, folder or id, as the job will read it; None for the built-in text.
    chat : bool
        Whether each text becomes a user's turn.
    conversations : bool
        Whether the model's chat template will be needed.
    remote : bool
        Whether it may have to be fetched from the Hub.
    notes : tuple of str
        What one should know of it.
    """

    source: str | None = None
    chat: bool = False
    conversations: bool = False
    remote: bool = False
    notes: tuple[str, ...] = ()


def builtin_texts() -> list[Sample]:
    """The part of the built-in text that models are trained on, never the held-out part."""
    from workbench.builtin import text

    return [document.text for document in text.training()]


def source(data: str | os.PathLike[str]) -> Path | Dataset:
    """Where the data lie: a file, a folder that a data set was saved in, or the id of one on the Hugging Face Hub.

    Raises
    ------
    InvalidInput
        If it is none of them.
    """
    words = os.fspath(data)
    path = Path(words).expanduser()
    if "\0" in words or not words.strip():
        raise InvalidInput("the calibration data have no name; give a file, a folder or the id of a data set")
    if path.is_file() or (path.suffix.casefold() in KINDS and not path.is_dir()):
        return path.absolute()
    if path.is_dir():
        return Dataset(str(path.absolute()))
    found = _SELECTED.fullmatch(words)
    if found:
        where, split, column = found["where"], found["split"], found["column"]
        folder = Path(where).expanduser()
        if folder.is_dir():
            return Dataset(str(folder.absolute()), split, column)
        owner, _, rest = where.partition("/")
        name, _, configuration = rest.partition("/")
        if hub.is_id(f"{owner}/{name}") and "/" not in configuration and not isinstance(data, Path):
            return Dataset(f"{owner}/{name}", split, column, configuration or None)
    raise InvalidInput(
        f"there are no calibration data at {words!r}; give a .txt, .jsonl or .csv file, the folder of a data set, or "
        "the id of one on the Hugging Face Hub, owner/name[:split][#column]"
    )


def given(data: str | os.PathLike[str] | None, chat: bool = False) -> Given:
    """Read and check what can be read here; a data set is read where its library is, by the job.

    Raises
    ------
    InvalidInput
        If the file cannot be used; the message names the line.
    """
    if data is None:
        return Given(chat=chat, conversations=chat)
    place = source(data)
    if isinstance(place, Dataset):
        return Given(str(place), chat, chat, remote=not Path(place.where).is_absolute())
    samples = read(place)
    said = remark(samples)
    talks = chat or any(isinstance(sample, Conversation) for sample in samples)
    return Given(str(place), chat, talks, notes=(said,) if said else ())


def load(data: str | None, *, download: bool, rows: int) -> Sequence[Sample]:
    """All samples, inside a job.

    Parameters
    ----------
    data : str or None
        :attr:`Given.source`.
    download : bool
        Whether a data set that is not on this machine may be fetched.
    rows : int
        Rows of a data set that are looked at.

    Raises
    ------
    InvalidInput, MissingPart
        As :func:`read` and :meth:`Dataset.read`.
    """
    if data is None:
        return builtin_texts()
    place = source(data)
    return place.read(rows, download=download) if isinstance(place, Dataset) else read(place)
