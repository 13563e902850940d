"""Build one environment: a fresh venv, pip, a check that it works, and only then the marker that it is built.

A venv cannot be moved, so it is built where it stays. What makes the build atomic is the marker: written
last, and a folder without it counts for nothing and is cleared by the next build.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from workbench.environments.pip_log import MARK, BuildWatch, reason
from workbench.environments.recipe import Recipe
from workbench.errors import MissingPart, WorkbenchError
from workbench.processes import Supervised
from workbench.progress import Progress

MARKER = "built.json"
FREEZE = "freeze.txt"
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"

# Would lead pip or Python of the environment astray.
_FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "VIRTUAL_ENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
)

# The last step of a build, in the new environment. Which torch came is not taken on trust.
_CHECK = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
torch = sys.modules.get("torch")
if torch is not None and sys.argv[1] == "cpu" and torch.version.cuda:
    sys.exit(f"torch {torch.__version__} is a CUDA build")
if torch is not None and sys.argv[1] == "cuda" and not torch.version.cuda:
    sys.exit(f"torch {torch.__version__} is a CPU build")
"""


class BuildCancelled(WorkbenchError):
    """Somebody cancelled the build; nothing of it is left."""


def clean_environ(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment variables, fit for another Python, with `variables` on top."""
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    if environ.get("MPLBACKEND", "").startswith("module://"):  # a notebook kernel's own
        del environ["MPLBACKEND"]
    return environ | {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"} | dict(variables or {})


def users(folder: Path) -> list[psutil.Process]:
    """Living processes that run a program of `folder`."""
    inside = str(folder) + os.sep
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(word.startswith(inside) for word in process.cmdline()):
                found.append(process)
    return found


def installed(python: Path) -> dict[str, str]:
    """Packages and versions that a Python finds, asked of it."""
    code = (
        "import json; from importlib.metadata import distributions as all;"
        "print(json.dumps({d.metadata['Name']: d.version for d in all()}))"
    )
    command = [str(python), "-I", "-c", code]
    try:
        done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=True, timeout=60)
        return dict(sorted(json.loads(done.stdout).items()))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`, links not followed."""
    total, left = 0, [folder]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `file`'s lock; `waiting` is called a few times a second while another process or thread holds it."""
    import fcntl  # not on Windows, where nothing is built

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(0.25)
        yield


class Builder:
    """One build of one environment.

    Parameters
    ----------
    recipe : Recipe
        What goes in.
    folder : Path
        Where it will stay.
    log : Path
        Where pip's words go.
    torch_build : {"cpu", "cuda", ""}
        Which build of torch this machine should get.
    tell : callable
        Called with a Progress a few times a second.
    cancel : threading.Event
        Set by whoever wants the build to stop.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        log: Path,
        torch_build: str,
        tell: Callable[[Progress], None],
        cancel: threading.Event,
    ) -> None:
        self.recipe, self.folder, self.log, self.torch_build = recipe, folder, log, torch_build
        self.tell, self.cancel = tell, cancel
        expected = len(recipe.constraints) or sum(len(step.lines) for step in recipe.steps)
        self.watch = BuildWatch(recipe.name, log, folder, expected)
        self.python = folder / "bin" / "python"

    def ensure(self) -> None:
        """Build unless another process has done so meanwhile; follow its build while it does."""
        with locked(self.folder.with_name(self.folder.name + ".lock"), self._look):
            if not (self.folder / MARKER).exists():
                self._build()

    def _look(self) -> None:
        if self.cancel.is_set():
            raise BuildCancelled(f"building environment {self.recipe.name} was cancelled")
        self.tell(self.watch.read())

    def _build(self) -> None:
        started = time.time()
        self._clear()
        self._check_disk()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text(f"{MARK}creating the environment in {self.folder}\n")
        try:
            self._run([sys.executable, "-m", "venv", str(self.folder)])
            for number, step in enumerate(self.recipe.steps, 1):
                self._note(f"step {number} of {len(self.recipe.steps)}")
                without = {"--no-deps", "--require-hashes"} & set(step.options)
                self._pip("install", *([] if without else self._torch_options()), *step.arguments())
            if self.recipe.remove:
                self._note("removing what does not fit")
                self._pip("uninstall", "--yes", *self.recipe.remove)
            if self.recipe.metadata:
                self._declare(*self.recipe.metadata)
            self._note("checking that it works")
            self._run([str(self.python), "-I", "-c", _CHECK, self.torch_build, *self.recipe.imports])
            self._run([str(self.python), "-m", "pip", "freeze", "--all"], log=self.folder / FREEZE)
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._mark(time.time() - started)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.tell(Progress(1.0, f"environment {self.recipe.name} is ready"))

    @property
    def _temporary(self) -> Path:
        return self.folder / "tmp"

    def _clear(self) -> None:
        """Remove what a killed build left, once the last process of it is gone."""
        if not self.folder.exists():
            return
        deadline = time.monotonic() + 10
        while late := users(self.folder):
            self._look()
            if time.monotonic() > deadline:
                for process in late:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
            time.sleep(0.1)
        shutil.rmtree(self.folder)

    def _check_disk(self) -> None:
        root = self.folder.parent
        root.mkdir(parents=True, exist_ok=True)
        needed = 1e9 * self.recipe.disk_gb.get(self.torch_build, 0)
        free = shutil.disk_usage(root).free
        if free < needed:
            raise MissingPart(
                f"building environment {self.recipe.name} needs {needed / 1e9:.0f} GB in {root} and "
                f"{free / 1e9:.1f} GB are free: make room, or set WORKBENCH_CACHE to a folder on another disk"
            )

    def _note(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{MARK}{text}\n")

    def _torch_options(self) -> list[str]:
        """Constraints for pip, and the CPU index of torch where it is wanted and answers."""
        pins = list(self.recipe.constraints)
        options: list[str] = []
        if self.torch_build == "cpu" and sys.platform == "linux":
            # `+cpu` is the CPU build's own version: where only the CUDA one can be had, pip stops before
            # it has downloaded gigabytes.
            pins = [f"{pin}+cpu" if pin.startswith("torch==") and "+" not in pin else pin for pin in pins]
            if _answers(CPU_TORCH_INDEX):
                options += ["--extra-index-url", CPU_TORCH_INDEX]
        if pins:
            file = self.folder / "constraints.txt"
            file.write_text("\n".join(pins) + "\n")
            options += ["--constraint", str(file)]
        return options

    def _pip(self, verb: str, *arguments: str) -> None:
        self._temporary.mkdir(exist_ok=True)
        quiet = ["--progress-bar", "off"] if verb == "install" else []
        self._run([str(self.python), "-m", "pip", verb, "--no-input", *quiet, *arguments])

    def _run(self, command: Sequence[str], log: Path | None = None) -> None:
        """Run to the end, telling progress; on failure raise with the reason from the log."""
        # pip unpacks in TMPDIR, and /tmp is often a small memory disk.
        place = {"TMPDIR": str(self._temporary)} if self._temporary.exists() else {}
        environ = clean_environ({"PIP_DISABLE_PIP_VERSION_CHECK": "1", **self.recipe.build, **place})
        process = Supervised(command, env=environ, cwd=self.folder.parent, log=log or self.log)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    code = process.wait(0.25)
                    break
                self._look()
        finally:
            process.terminate(grace=2)
        if code:
            words = self.log.read_text(errors="replace") if self.log.exists() else ""
            why = reason(words) if code > 0 else f"it {process.exit_text()}"
            raise MissingPart(f"environment {self.recipe.name} could not be built: {why}. Log: {self.log}")

    def _declare(self, name: str, version: str) -> None:
        """Say in the environment that a distribution is installed which only goes by another name."""
        site = next(self.folder.glob("lib/python*/site-packages"))
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "INSTALLER").write_text("llm-workbench\n")
        (info / "RECORD").write_text("".join(f"{info.name}/{f},,\n" for f in ("METADATA", "INSTALLER", "RECORD")))

    def _mark(self, seconds: float) -> None:
        facts = {
            "name": self.recipe.name,
            "requirements": [line for step in self.recipe.steps for line in step.lines],
            "python": sys.version.split()[0],
            "torch_build": self.torch_build,
            "built": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "bytes": folder_bytes(self.folder),
            "versions": installed(self.python),
        }
        new = self.folder / (MARKER + ".new")
        new.write_text(json.dumps(facts, indent=2) + "\n")
        os.replace(new, self.folder / MARKER)


def _answers(url: str) -> bool:
    """Whether a server answers there at all, within three seconds."""
    request = urllib.request.Request(url + "/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=3):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
