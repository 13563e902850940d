"""The folder a job makes: filled beside its target under another name, and renamed when all is done."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from workbench.errors import InvalidInput, MissingPart


def writable(out: Path, overwrite: bool, disk_bytes: int) -> None:
    """Refuse a target that cannot become one.

    Raises
    ------
    InvalidInput
        It exists and may not be overwritten, or lies nowhere one may write.
    MissingPart
        There is not enough disk.
    """
    if os.path.lexists(out) and not overwrite:
        raise InvalidInput(f"{out} exists; choose another folder or allow it to be overwritten")
    place = out.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InvalidInput(f"{place} is not a folder that can be written to; choose another target than {out}")
    free = shutil.disk_usage(place).free
    if free < disk_bytes:
        raise MissingPart(f"{out} needs {disk_bytes / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free: make room")


class Scratch:
    """A folder beside the target that does not outlive the ``with`` block; neither do parents made for it."""

    def __init__(self, out: Path | None) -> None:
        self.out = out
        self.made: list[Path] = []
        self.folder: Path | None = None

    def __enter__(self) -> Path | None:
        if self.out is None:
            return None
        missing, place = [], self.out.parent
        while not place.exists():
            missing.append(place)
            place = place.parent
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            self.made.insert(0, place)
        self.folder = self.out.with_name(f".{self.out.name[:100]}.{uuid.uuid4().hex[:8]}.partial")
        self.folder.mkdir()
        return self.folder

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        for place in self.made:
            with contextlib.suppress(OSError):  # not empty: the result is in it
                place.rmdir()


def write(file: Path, text: str) -> None:
    """Write a file, and be sure that the disk has it."""
    with file.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def put(scratch: Path, out: Path, overwrite: bool) -> None:
    """Rename the finished folder to its target; an old one makes way only now."""
    old = scratch.with_suffix(".old")
    if os.path.lexists(out):
        if not overwrite:
            raise InvalidInput(f"{out} appeared while the job ran; it was left alone and the result dropped")
        os.rename(out, old)
    try:
        os.rename(scratch, out)
    except OSError:
        if os.path.lexists(old):
            os.rename(old, out)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    elif os.path.lexists(old):
        old.unlink()
    handle = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
