"""The worker's side of a job, and what starts it: one file of the standard library.

The environments that run workers hold engines and quantisers, not the workbench, and must not see the
libraries beside it: a wheel's neighbours (another NumPy, another transformers) would shadow their own pins.
So :mod:`workbench.jobs` runs this file by its path. It makes the package ``workbench`` importable, and
nothing else from that folder, then runs the worker: a file, or a module of the package, with a function ::

    def work(request: dict, worker: Worker) -> dict:
        worker.progress(0.5, "quantising", "layer 2 of 4")
        (worker.out / "model.safetensors").write_bytes(...)
        return {"seconds": 3.2}

What `work` returns is the job's result (anything that JSON can hold); what it raises is the job's error, in
words if it is a ``WorkbenchError``. Standard output and standard error are the log. Messages go as JSON lines
to the file that ``WORKBENCH_MESSAGES`` names, because libraries litter standard output.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

CANNOT_TELL = 74  # exit code of a worker that could not write its messages, as on a full disk

_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|StorageFull|os error 28\b")
_MEMORY = re.compile(r"MemoryError|out of memory|can't allocate memory|Cannot allocate memory|bad_alloc", re.I)


class Worker:
    """What a worker has to tell and where it writes.

    Attributes
    ----------
    out : Path or None
        An empty folder to fill; it becomes the job's target if `work` returns. None for a job without one.
    """

    def __init__(self, messages: str, out: Path | None) -> None:
        self.out = out
        self._messages = messages

    def progress(self, fraction: float | None, stage: str, detail: str = "", seconds_left: float | None = None) -> None:
        """Say how far the work is: `fraction` 0 to 1 or None, `seconds_left` [s] or None."""
        facts = {"fraction": fraction, "stage": stage, "detail": detail, "seconds_left": seconds_left}
        self._say({"progress": facts})

    def _say(self, message: dict[str, Any]) -> None:
        try:
            with open(self._messages, "a", encoding="utf-8") as file:
                file.write(json.dumps(message) + "\n")
        except OSError:
            _print_traceback()
            os._exit(CANNOT_TELL)


def _print_traceback() -> None:
    with contextlib.suppress(OSError):  # the log may be on the disk that is full
        traceback.print_exc()


def in_words(error: BaseException) -> str:
    """An exception as one plain sentence."""
    chain = "".join(traceback.format_exception(error))
    if any(kind.__name__ == "WorkbenchError" for kind in type(error).__mro__):
        return str(error)
    if _FULL.search(chain):
        return "the disk is full"
    text = str(error).strip().splitlines()
    last = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    if isinstance(error, MemoryError) or _MEMORY.search(last):
        return f"memory ran out ({last})"
    return last


def _make_importable() -> None:
    """Let ``import workbench`` find the package of this file, without the folder that holds it."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    if "workbench" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "workbench", here / "__init__.py", submodule_search_locations=[str(here)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["workbench"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def _load(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[Path(name).stem] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _to_disk(folder: Path) -> None:
    """Wait until all that was written below `folder` is on the disk, and not only promised."""
    for place, _, files in os.walk(folder, topdown=False):
        for path in [*(os.path.join(place, file) for file in files), place]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _leave() -> None:
    """Exit without taking the interpreter apart: with torch loaded that takes 1.5 s, and everything is written."""
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # the log may be on a disk that is full
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def main(arguments: list[str]) -> int:
    """Run one worker: its file or module, the request's file, the folder to fill or ""."""
    name, request, out = arguments
    worker = Worker(os.environ.pop("WORKBENCH_MESSAGES"), Path(out) if out else None)
    try:
        started = time.monotonic()
        result = _load(name).work(json.loads(Path(request).read_text(encoding="utf-8")), worker)
        said = {"result": result, "seconds": time.monotonic() - started}
        json.dumps(said)
        if worker.out is not None:
            _to_disk(worker.out)
    except BaseException as error:
        _print_traceback()
        worker._say({"error": in_words(error)})
        return 1
    worker._say(said)
    return 0


if __name__ in ("__main__", "__mp_main__"):  # the latter in processes that a worker spawns
    _make_importable()

if __name__ == "__main__":
    _code = main(sys.argv[1:])
    if _code == 0:
        _leave()
    raise SystemExit(_code)
