"""What a server takes of its machine: memory of its processes, and of the cards they compute on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import psutil

from workbench import machine

_EVERY = 1.0  # seconds between two looks
#: Endings of the files that weights lie in.
WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".pth")


class Footprint:
    """Watches a process and all below it from entering to leaving.

    Parameters
    ----------
    pid : int or None
        None watches nothing.
    every : float
        Between two looks [s].

    Attributes
    ----------
    memory : int or None
        The most that the processes held together [B]: what they share counts once (proportional set size, on Linux).
    gpu_memory : int or None
        The most that they held on all cards [B]; None where no card told.
    """

    def __init__(self, pid: int | None, every: float = _EVERY) -> None:
        self.memory: int | None = None
        self.gpu_memory: int | None = None
        self._pid, self._every = pid, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workbench-footprint", daemon=True)

    def __enter__(self) -> Self:
        if self._pid is not None:
            self.look()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def look(self) -> None:
        """Look once."""
        try:
            leader = psutil.Process(self._pid)
            members = [leader, *leader.children(recursive=True)]
        except psutil.Error:
            return
        held = sum(_held(each) for each in members)
        self.memory = max(held, self.memory or 0) or None
        pids = {each.pid for each in members}
        on_cards = [
            process.memory
            for card in machine.gpus()
            for process in card.processes or ()
            if process.pid in pids and process.memory is not None
        ]
        if on_cards:
            self.gpu_memory = max(sum(on_cards), self.gpu_memory or 0)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()


def _held(process: psutil.Process) -> int:
    try:
        told = process.memory_full_info()
        return int(getattr(told, "pss", 0) or told.uss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def on_disk(place: str | Path) -> int | None:
    """Bytes of a model's weights: of a file, or of the weight files of a folder; None where there are none.

    >>> on_disk("/nowhere/at/all") is None
    True
    """
    path = Path(place).expanduser()
    if path.is_file():
        return path.stat().st_size
    files = [file for file in path.glob("*") if file.suffix in WEIGHTS and file.is_file()] if path.is_dir() else []
    return sum(file.stat().st_size for file in files) or None
