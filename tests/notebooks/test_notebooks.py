"""Every notebook runs from its first cell to its last, as nbval runs it; the workbench one for real."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

#: Those that build environments, train, quantise and serve, and how long a cell of theirs may take [s].
REAL = {"quantize.ipynb": 1500, "readiness.ipynb": 900, "workbench.ipynb": 1500}
#: What each of them leaves.
MADE = {
    "quantize.ipynb": "trials/trials.json",
    "readiness.ipynb": "readiness.html",
    "workbench.ipynb": "models/builtin-awq/workbench.json",
}


def run(name: str, folder: Path, cell_timeout: int) -> None:
    """Run a copy, since a notebook may leave models beside itself."""
    shutil.copy(NOTEBOOKS / name, folder / name)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", f"--nbval-cell-timeout={cell_timeout}", "-q"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), "-c", "/dev/null", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", sorted(p.name for p in NOTEBOOKS.glob("*.ipynb") if p.name not in REAL))
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    run(name, tmp_path, 120)


@pytest.mark.environment
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", sorted(REAL))
def test_a_notebook_of_engineers_really_does_it(name: str, tmp_path: Path) -> None:
    run(name, tmp_path, REAL[name])
    assert (tmp_path / MADE[name]).is_file()
