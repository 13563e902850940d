"""Find tables: those of ``data/``, beside the package in a checkout or inside it in a wheel, and the user's own."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from workbench.errors import InvalidInput, MissingPart

_PACKAGE = Path(__file__).resolve().parent


@cache
def _root(folder: str) -> Path:
    inside, beside = _PACKAGE / folder, _PACKAGE.parent / folder
    for candidate in (inside, beside):
        if candidate.is_dir():
            return candidate
    raise MissingPart(f"the workbench's {folder}/ folder is missing; reinstall llm-workbench")


def data_path(*parts: str) -> Path:
    """Path of a file under ``data/``.

    Examples
    --------
    >>> data_path("gpus.csv").name
    'gpus.csv'
    """
    return _root("data").joinpath(*parts)


def own_path(*parts: str) -> Path:
    """Path of a file among the user's own tables, learned on this machine; it need not exist.

    They lie in the platform's folder for a user's data, or where ``WORKBENCH_DATA`` says.
    """
    if named := os.environ.get("WORKBENCH_DATA"):
        return Path(named).expanduser().joinpath(*parts)
    import platformdirs

    return platformdirs.user_data_path("llm-workbench").joinpath(*parts)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InvalidInput
        If it cannot be written; what was there before is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error


def rows_as_text(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = ()) -> str:
    """Rows as CSV, the columns of the first unless others are named; nothing at all of no rows.

    >>> rows_as_text([{"a": "1", "b": "x, y"}])
    'a,b\\n1,"x, y"\\n'
    """
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns or rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def notebook_path(*parts: str) -> Path:
    """Path of a file under ``notebooks/``."""
    return _root("notebooks").joinpath(*parts)


def read_rows(*parts: str) -> list[dict[str, str]]:
    """Rows of a CSV under ``data/`` as dictionaries of text; lines that begin with ``#`` are comments."""
    with data_path(*parts).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
