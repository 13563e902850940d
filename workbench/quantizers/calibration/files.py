"""Calibration data in files: paragraphs of a .txt, lines of a .jsonl, rows of a .csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import InvalidInput
from workbench.quantizers.calibration.samples import Sample, parsed, sample

#: More than any method takes, and a file by mistake.
_LARGEST = 2**30


def read(file: Path) -> list[Sample]:
    """Samples of a file.

    A .txt has paragraphs; a .jsonl has a line for each, ``{"text": "…"}``, ``{"messages": [{"role", "content"}]}`` or
    the text itself; a .csv has a column ``text``, or ``messages`` with the list as JSON.

    Raises
    ------
    InvalidInput
        If it is missing, of another kind, binary, not UTF-8 or empty, or a line is not what it should be.
    """
    kind = KINDS.get(file.suffix.casefold())
    if kind is None:
        raise InvalidInput(f"calibration data must be a .txt, .jsonl or .csv file, not {file.name!r}")
    samples = [found for found in kind(content(file), str(file)) if found is not None]
    if not samples:
        raise InvalidInput(f"{file} holds no text")
    return samples


def content(file: Path) -> str:
    """A text file, whole.

    Raises
    ------
    InvalidInput
        If it is missing, too large, binary or not UTF-8.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidInput(f"{file} is larger than 1 GiB; a few thousand texts are enough")
        raw = file.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {file}") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}") from None
    return decoded(raw, file)


def decoded(raw: bytes, file: Path) -> str:
    """What a text file says.

    Raises
    ------
    InvalidInput
        If it is binary or not UTF-8.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(f"{file} is UTF-16 text; save it as UTF-8")
    if (at := raw.find(b"\0")) >= 0:
        raise InvalidInput(f"{file} is no text file: line {_line(raw, at)} holds a NUL byte")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # After a byte order mark the decoder counts from behind it.
        at = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)
        raise InvalidInput(f"{file} is not UTF-8 text (line {_line(raw, at)}, byte {at}); save it as UTF-8") from None


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def _paragraphs(text: str, name: str) -> Iterator[Sample | None]:
    """Stretches of text between blank lines."""
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        yield paragraph.strip() or None


def _lines(text: str, name: str) -> Iterator[Sample | None]:
    # Not splitlines(): JSON strings may hold U+2028 and other ends of lines as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{name} line {number}"
            yield sample(parsed(line, place), place)


def _rows(text: str, name: str) -> Iterator[Sample | None]:
    head, _, _ = text.partition("\n")
    # Spreadsheets separate by what their country writes; the header tells.
    separators = [d for d in ",;\t" if {"text", "messages"} & set(next(csv.reader([head.strip()], delimiter=d), []))]
    if not separators:
        raise InvalidInput(f"{name} line 1 names no column text or messages")
    before = csv.field_size_limit(_LARGEST)
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separators[0], strict=True)
        while True:
            last = rows.line_num
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidInput(f"{name} is no table after line {max(last, 1)}: {error}") from None
            extra = row.pop(None, None)  # type: ignore[call-overload]  # where DictReader puts what has no name
            inside = sum(field.count("\n") for field in row.values() if field)
            place = f"{name} line {rows.line_num - inside}"
            if extra:
                raise InvalidInput(f"{place} has more fields than the header")
            yield sample(row, place)
    finally:
        csv.field_size_limit(before)


KINDS = {".txt": _paragraphs, ".jsonl": _lines, ".csv": _rows}
