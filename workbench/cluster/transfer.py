"""Folders that travel between this machine and a node, in pieces, through Ray."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workbench.quantities import show_bytes

PIECE = 4 * 2**20  # bytes
_UNDER_WAY = 4  # pieces at a time: Ray's store on a node may be small
Tell = Callable[[float, str], None]  # share done, in words


def marks(path: Path) -> list[tuple[str, int, int]]:
    """By what a file, or a folder's files, are known again: name, size [bytes], time of the last change [ns].

    Two machines that see the same of it at the same path see the same files, as on a shared disk.
    """
    found = []
    for name, file in _files(path):
        stat = file.stat()
        found.append((name, stat.st_size, stat.st_mtime_ns))
    return found


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file with its path below; links are followed, as the hub's cache is made of them."""
    if path.is_file():
        yield path.name, path
        return
    for place, folders, files in os.walk(path, followlinks=True):
        folders.sort()
        for name in sorted(files):
            file = Path(place, name)
            if file.is_file():
                yield str(file.relative_to(path)), file


def send(node: Any, path: Path, to: str, wait: Callable[[Any], Any], tell: Tell) -> None:
    """Copy a file or folder into a folder of the node's own.

    Parameters
    ----------
    node : actor
        A :class:`workbench.cluster.node.Node`.
    path : Path
        What is sent.
    to : str
        Folder, below the node's own.
    wait : callable
        Waits for a reference's value.
    tell : callable
        Hears the share that is done.
    """
    files = list(_files(path))
    total, done = sum(file.stat().st_size for _, file in files), 0
    pending: deque[Any] = deque()
    for name, file in files:
        with file.open("rb") as handle:
            offset = 0
            while (data := handle.read(PIECE)) or offset == 0:
                pending.append(node.write.remote(f"{to}/{name}", offset, data))
                offset += len(data)
                done += len(data)
                if len(pending) > _UNDER_WAY:
                    wait(pending.popleft())
                tell(done / max(total, 1), f"{show_bytes(done)} of {show_bytes(total)}")
                if not data:
                    break
    while pending:
        wait(pending.popleft())


def fetch(node: Any, path: str, to: Path, wait: Callable[[Any], Any], tell: Tell) -> None:
    """Copy a folder of the node's own into one here.

    Raises
    ------
    OSError
        A file came shorter than it is: whoever called keeps nothing of it.
    """
    files: list[tuple[str, int]] = wait(node.files.remote(path))
    total, done = sum(size for _, size in files), 0
    for name, size in files:
        place = to / name
        place.parent.mkdir(parents=True, exist_ok=True)
        offsets = iter(range(0, size, PIECE))
        pending: deque[Any] = deque()

        def ask(name: str = name, offsets: Iterator[int] = offsets, pending: deque[Any] = pending) -> None:
            if (offset := next(offsets, None)) is not None:
                pending.append(node.read.remote(f"{path}/{name}", offset, PIECE))

        for _ in range(_UNDER_WAY):
            ask()
        with place.open("wb") as handle:
            while pending:
                data = wait(pending.popleft())
                ask()
                handle.write(data)
                done += len(data)
                tell(done / max(total, 1), f"{show_bytes(done)} of {show_bytes(total)}")
            if handle.tell() != size:
                raise OSError(f"{name} came with {handle.tell()} of {size} bytes")


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
