"""Measurements as rows of text, and the cells of a row as numbers.

The columns are those of vLLM's start-up report (``data/measurements/memory_vllm_cited.csv``) and of serving benchmarks;
what ``serve``, ``bench`` and ``calibrate`` write has the same.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from workbench.architecture import catalog
from workbench.architecture.model import Model
from workbench.errors import InvalidInput, UnknownName
from workbench.evidence import schemes

Row = Mapping[str, str]

#: Larger files are not somebody's measurements.
MOST_BYTES = 50_000_000


def read_rows(path: str | Path, *, column: str = "config") -> list[dict[str, str]]:
    """Rows of a CSV file as dictionaries of text, one for each line after the header.

    Raises
    ------
    InvalidInput
        If the file cannot be read, is not CSV, or has no such ``column``.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{path} has more than {MOST_BYTES // 10**6} MB; give a part of it")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    return parse_rows(text, str(path), column=column)


def parse_rows(text: str, name: str = "the table", *, column: str = "config") -> list[dict[str, str]]:
    """Rows of CSV text; lines that begin with ``#`` are comments. Raises as :func:`read_rows` does."""
    lines = (line for line in io.StringIO(text, newline="") if not line.startswith("#"))
    try:
        found = csv.reader(lines, strict=True)
        header = [cell.strip() for cell in next(found, [])]
        if column not in header:
            meaning = ", which names the model of a row" if column == "config" else ""
            raise InvalidInput(f"{name} has no column {column!r}{meaning}")
        if len(set(header)) < len(header):
            raise InvalidInput(f"{name} names a column twice")
        rows = []
        for number, cells in enumerate(found, 1):
            if not cells:
                continue
            if len(cells) > len(header):
                raise InvalidInput(f"{name}: row {number} has {len(cells)} cells, the header {len(header)}")
            cells += [""] * (len(header) - len(cells))
            rows.append(dict(zip(header, map(str.strip, cells), strict=True)))
    except csv.Error as error:
        raise InvalidInput(f"{name} is not CSV: {error}") from error
    if not rows:
        raise InvalidInput(f"{name} has a header but no rows")
    return rows


def cell(row: Row, column: str) -> str:
    """A cell's text; empty where the column is missing."""
    return row.get(column, "")


def number(row: Row, column: str) -> float | None:
    """A cell as a number, None where it is empty.

    Raises
    ------
    InvalidInput
        If it is not a finite number.

    Examples
    --------
    >>> number({"tp": "2"}, "tp"), number({}, "tp")
    (2.0, None)
    """
    text = cell(row, column)
    if not text:
        return None
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        raise InvalidInput(f"{column} is {text!r}, not a number") from None
    if not math.isfinite(value):
        raise InvalidInput(f"{column} is {text!r}, not a number")
    return value


def whole(row: Row, column: str) -> int | None:
    """A cell as a whole number, None where it is empty; raises as :func:`number` does."""
    value = number(row, column)
    if value is None:
        return None
    if not value.is_integer():
        raise InvalidInput(f"{column} is {cell(row, column)!r}, not a whole number")
    return int(value)


def step(row: Row, column: str) -> float:
    """Half of the last digit a cell was printed with: how exactly it is known.

    >>> step({"a": "14.99"}, "a"), step({"a": "131072"}, "a")
    (0.005, 0.5)
    """
    text = cell(row, column).replace(",", "").casefold()
    if "e" in text:
        return 0.0
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def flag(row: Row, column: str) -> bool | None:
    """A cell as yes or no, None where it is empty.

    Raises
    ------
    InvalidInput
        If it is neither.
    """
    text = cell(row, column).casefold()
    if not text:
        return None
    if text in ("true", "yes", "1"):
        return True
    if text in ("false", "no", "0"):
        return False
    raise InvalidInput(f"{column} is {cell(row, column)!r}, not True or False")


class Models:
    """The models that rows name: the bundled ones, whose configurations are complete, then those of a folder.

    Never a path of the row's own.

    Parameters
    ----------
    folder : path, optional
        Holds configurations named ``owner__name.json``.

    Raises
    ------
    InvalidInput
        If it is not a folder.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._files: dict[str, Path] = {}
        if folder is not None:
            if not Path(folder).is_dir():
                raise InvalidInput(f"{folder} is not a folder of configurations (owner__name.json)")
            self._files = {path.stem.casefold(): path for path in sorted(Path(folder).glob("*.json"))}
        self._get = cache(self._read)

    def get(self, config: str, kind: str | None = None) -> Model:
        """The model a row names, stored as a kind of :mod:`workbench.evidence.schemes`; None leaves it as it is.

        Raises
        ------
        UnknownName, UnsupportedModel, InvalidInput
            If no configuration has that name, or it cannot be sized.
        """
        model = self._get(config.strip(), None)
        if kind is None or schemes.said_by(model.quantization_config, kind):
            return model
        return self._get(config.strip(), kind)

    def _read(self, config: str, kind: str | None) -> Model:
        if kind is None:
            path = self._files.get(config.replace("/", "__").casefold())
            name = _bundled(config)
            if name is not None:
                return Model.from_config(name)
            if path is not None:
                return Model.from_config(path, id=config)
            raise UnknownName("model", config, catalog.names(), "give its config.json in a folder with --models")
        fields = dict(self._get(config, None).config)
        fields.pop("quantization_config", None)
        if "quantization_config" in (fields.get("text_config") or {}):
            fields["text_config"] = {k: v for k, v in fields["text_config"].items() if k != "quantization_config"}
        if kind != "float":
            published = _published(config, kind) or schemes.checkpoint(kind, str(fields.get("model_type")))
            fields["quantization_config"] = published
        return Model.from_config(fields, id=config)


def _published(config: str, kind: str) -> Mapping[str, Any] | None:
    """What NVIDIA's checkpoint of the model in NVFP4 says of its format, where its configuration is bundled."""
    if kind not in ("nvfp4", "fp4"):
        return None
    name = _bundled(f"nvidia/{config.rsplit('/', 1)[-1]}-NVFP4")
    return Model.from_config(name).quantization_config if name else None


def _bundled(config: str) -> str | None:
    if not config:
        raise InvalidInput("config is empty; it names the model")
    return next((name for name in catalog.names() if name.casefold() == config.casefold()), None)
