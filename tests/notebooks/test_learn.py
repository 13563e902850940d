"""The learn notebooks: what stands in them is what comes out of them, and their contents list them all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workbench.datafiles import notebook_path

LEARN = notebook_path("learn")
LESSONS = sorted(path.name for path in LEARN.glob("*.ipynb") if path.name != "index.ipynb")
#: Looks of an output that say nothing of it: pandas gives its tables no number, widgets and plots are drawn anew.
SANITISE = "[object]\nregex: <(.*) object at 0x[0-9a-f]+>\nreplace: <object>\n"


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_says_what_it_computes(name: str, tmp_path: Path) -> None:
    """Strictly: every line and table of its outputs."""
    shutil.copy(LEARN / name, tmp_path / name)
    (tmp_path / "sanitise.cfg").write_text(SANITISE)
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-cell-timeout=60", "-q", "-p", "no:cacheprovider"]
    command += [f"--nbval-sanitize-with={tmp_path / 'sanitise.cfg'}", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_its_parts(name: str) -> None:
    notebook = nbformat.read(LEARN / name, as_version=4)
    nbformat.validate(notebook)
    assert "learn" in notebook.metadata.tags
    assert notebook.metadata.title
    assert notebook.metadata.lead
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.startswith(f"# {notebook.metadata.title}\n")
    assert "## In practice" in text
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in codes), "outputs are committed"
    assert not any(output.output_type == "error" for cell in codes for output in cell.outputs)
    assert "widgets" not in notebook.metadata, "python tests/notebooks/refresh.py writes it without the widgets' state"
    assert (LEARN / name).stat().st_size < 200_000
    here = (str(Path.home()) + "/", str(LEARN.parents[1]) + "/")
    assert not any(path in str(cell) for cell in notebook.cells for path in here), "a path of the machine it was run on"


def test_the_contents_list_every_lesson_with_its_title() -> None:
    contents = nbformat.read(LEARN / "index.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in contents.cells if cell.cell_type == "markdown")
    listed = {name: title for title, name in re.findall(r"\[([^\]]+)\]\(([\w.]+\.ipynb)\)", text)}
    assert listed == {name: nbformat.read(LEARN / name, as_version=4).metadata.title for name in LESSONS}
