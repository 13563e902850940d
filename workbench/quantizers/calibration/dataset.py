"""Calibration data in a data set of the Hugging Face Hub, or saved in a folder; read where ``datasets`` is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput, MissingPart
from workbench.quantizers.calibration.samples import Sample, sample


@dataclass(frozen=True, slots=True)
class Dataset:
    """Which data set, and what of it.

    Parameters
    ----------
    where : str
        ``owner/name`` on the Hub, or an absolute folder.
    split : str, optional
        By default ``train``, or the only one.
    column : str, optional
        By default ``messages`` or ``text``.
    configuration : str, optional
        Which of several data sets under one name.

    Examples
    --------
    >>> str(Dataset("owner/name", "test", "prompt"))
    'owner/name:test#prompt'
    """

    where: str
    split: str | None = None
    column: str | None = None
    configuration: str | None = None

    def __str__(self) -> str:
        name = f"{self.where}/{self.configuration}" if self.configuration else self.where
        return name + (f":{self.split}" if self.split else "") + (f"#{self.column}" if self.column else "")

    def read(self, rows: int, *, download: bool) -> list[Sample]:
        """Its first rows.

        Parameters
        ----------
        rows : int
            At most so many.
        download : bool
            Whether what is not on this machine may be fetched; only the rows that are read are.

        Raises
        ------
        InvalidInput
            If there is no such split or column, or a row holds no text.
        MissingPart
            If it is not on this machine, cannot be reached, or ``datasets`` is not installed here.
        """
        if find_spec("datasets") is None:
            raise MissingPart(
                f"the data set {self} is read with the package datasets, which this method's environment lacks; "
                "save its text as a .jsonl file"
            )
        splits = self._splits(download)
        split = self.split or ("train" if "train" in splits else next(iter(splits)) if len(splits) == 1 else None)
        if split not in splits:
            asked = f"split {split!r}" if split else "split train"
            raise InvalidInput(f"the data set {self} has no {asked}; it has {', '.join(splits)}")
        table = splits[split]
        names = list(table.column_names or ())
        column = self.column or next((n for n in ("messages", "text") if n in names), None)
        if names and column not in names:
            wanted = f"column {self.column!r}" if self.column else "column messages or text"
            raise InvalidInput(f"the data set {self} has no {wanted}; it has {', '.join(names)}: add #column")
        return self._samples(table, rows, column)

    def _samples(self, table: Iterable[dict[str, Any]], rows: int, column: str | None) -> list[Sample]:
        found = []
        for number, row in enumerate(table, 1):
            if number > rows:
                break
            value = row if column is None else {column: row.get(column)}
            if (got := sample(value, f"{self} row {number}", column)) is not None:
                found.append(got)
        if not found:
            raise InvalidInput(f"the data set {self} holds no text")
        return found

    def _splits(self, download: bool) -> Any:
        """The table of each split."""
        import datasets

        folder = Path(self.where)
        try:
            if folder.is_absolute():
                if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
                    saved = datasets.load_from_disk(str(folder))
                    return saved if isinstance(saved, dict) else {str(saved.split or "train"): saved}
                return datasets.load_dataset(str(folder), name=self.configuration)
            return datasets.load_dataset(self.where, name=self.configuration, streaming=download)
        except ValueError as error:  # which configuration? the library lists them
            raise InvalidInput(f"the data set {self} cannot be read: {_first(error)}") from None
        except (OSError, datasets.exceptions.DatasetsError) as error:
            if folder.is_absolute():
                raise InvalidInput(f"{folder} is no folder of a data set: {_first(error)}") from None
            hint = "is it spelt right, and is the network there?" if download else (
                "allow it to be downloaded (download=True, --download) or give a file"
            )  # fmt: skip
            raise MissingPart(f"the data set {self} is not on this machine; {hint} ({_first(error)})") from None


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
