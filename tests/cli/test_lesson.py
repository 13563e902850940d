"""Markdown of a lesson as the page shows it."""

from __future__ import annotations

import nbformat
import pytest

from workbench.cli.app import addresses
from workbench.cli.lesson import LearnPages, prepared

PAGES = {"planner.ipynb": "", "learn/index.ipynb": "learn", "learn/nf4.ipynb": "learn/nf4"}


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("see [it](nf4.ipynb#why) and [all](index.ipynb)", "see [it](/learn/nf4#why) and [all](/learn)"),
        ("[plan](../planner.ipynb)", "[plan](/)"),
        ("[run](../quantize.ipynb)", "run (notebook quantize)"),
        ("[paper](https://arxiv.org/abs/2210.17323)", "[paper](https://arxiv.org/abs/2210.17323)"),
        ("from $2.50 to $3 an hour", "from $2.50 to $3 an hour"),
        ("it is `$x$` and\n```\n$$y$$ [a](nf4.ipynb)\n```\n", "it is `$x$` and\n```\n$$y$$ [a](nf4.ipynb)\n```\n"),
        ("![shape](nf4.ipynb)", "![shape](nf4.ipynb)"),
    ],
)
def test_links_prices_and_code(text, page):
    assert prepared(text, "learn", PAGES) == page


def test_formulas_become_mathml():
    made = prepared(r"With $b$ bits $$s = \frac{\max|x|}{2^{b-1}-1}$$ is the step.", "learn", PAGES)
    assert "$" not in made
    assert made.count("<math") == 2
    assert "<mfrac>" in made
    assert (
        made.index("<div class='formula'>") < made.index("<mfrac>") < made.index("</div>") < made.index("is the step")
    )


def test_the_title_is_said_once():
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# NF4\n\nIt is *this* [list](index.ipynb).", "# Kept")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"tags": ["learn"]})
    made, _ = LearnPages(addresses=PAGES).preprocess(notebook, {})
    assert "NF4" not in made.cells[0].metadata.html
    assert '<em>this</em> <a href="/learn">list</a>' in made.cells[0].metadata.html
    assert "Kept" in made.cells[1].metadata.html


def test_every_notebook_has_one_address():
    found = addresses()
    assert found["planner.ipynb"] == ""
    assert found["learn/index.ipynb"] == "learn"
    assert len(set(found.values())) == len(found)
