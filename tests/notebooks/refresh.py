"""Write the outputs of learn notebooks anew: ``python tests/notebooks/refresh.py [NAME …]``; all without a name.

What a run leaves that teaches nobody (times, the state of widgets, five megabytes of it) is not kept.
"""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient

from workbench.datafiles import notebook_path

WIDGET = "application/vnd.jupyter.widget-view+json"
INSTEAD = "Controls and a picture: run this cell to see them."


def refresh(name: str) -> None:
    """Run one and write it back."""
    path = notebook_path("learn", f"{name}.ipynb")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=60,
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": path.parent}},
    ).execute()
    kept = {"title", "lead", "tags"}
    metadata = {key: value for key, value in notebook.metadata.items() if key in kept}
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata = nbformat.from_dict(metadata | {"kernelspec": kernel, "language_info": {"name": "python"}})
    for at, cell in enumerate(notebook.cells):
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            _without_widgets(cell)
        cell["id"] = f"{name.replace('_', '-')}-{at}"
    nbformat.write(notebook, path)


def _without_widgets(cell: nbformat.NotebookNode) -> None:
    """A widget is drawn when its cell is run; until then a sentence stands there, which nbval does not compare."""
    if any(WIDGET in output.get("data", {}) for output in cell.outputs):
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/plain": INSTEAD})]
        cell.metadata["tags"] = ["nbval-ignore-output"]


if __name__ == "__main__":
    for each in sys.argv[1:] or sorted(path.stem for path in notebook_path("learn").glob("*.ipynb")):
        print(each, flush=True)
        refresh(each)
