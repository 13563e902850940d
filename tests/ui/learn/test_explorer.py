"""Controls move a picture and its sentence; a failure is a sentence too."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import InvalidInput
from workbench.ui.learn import Explorer, Picture, drawing


def powers(power=2, of=1.0, kind="line"):
    if power == 5:
        raise InvalidInput("power must be below 5")
    if power == 6:
        raise ZeroDivisionError
    x = np.arange(5.0)
    shape = drawing.lines({"powers": (x, of * x**power), "itself": (x, x)}, x="x", y="y [m]", dashed=["itself"])
    return Picture(shape, f"{kind}: 4 becomes {of * 4**power:g}.")


@pytest.fixture
def explorer():
    return Explorer(powers, power=(1, 6), of=(0.0, 2.0, 0.5), kind=["line", "curve"])


def test_it_begins_at_the_pictures_own_defaults(explorer):
    assert {name: control.value for name, control in explorer.controls.items()} == {
        "power": 2,
        "of": 1.0,
        "kind": "line",
    }
    assert explorer.said == "line: 4 becomes 16."
    assert list(explorer.figure.data[0].y) == [0, 1, 4, 9, 16]


def test_a_control_moves_picture_and_sentence(explorer):
    before = explorer.figure
    explorer.controls["power"].value = 3
    explorer.controls["kind"].value = "curve"
    assert explorer.said == "curve: 4 becomes 64."
    assert explorer.figure is before
    assert list(before.data[0].y) == [0, 1, 8, 27, 64]


def test_the_legend_is_in_words(explorer):
    legend = explorer.children[-1].legend
    assert [(entry["mark"], entry["text"]) for entry in legend] == [("━", "powers"), ("┅", "itself")]
    assert len({entry["colour"] for entry in legend}) == 2


@pytest.mark.parametrize(("power", "words"), [(5, "Power must be below 5."), (6, "ZeroDivisionError")])
def test_a_failure_is_a_sentence_and_passes(explorer, power, words):
    explorer.controls["power"].value = power
    caption = explorer.children[-1]
    assert words in caption.problem
    assert explorer.said == "line: 4 becomes 16."
    explorer.controls["power"].value = 1
    assert caption.problem == ""


def test_a_control_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="power: None makes no control"):
        Explorer(powers, power=None)


def test_bars_points_and_a_matrix():
    assert drawing.bars({"a": ([1], [2]), "b": ([1], [3])}, stacked=True).layout.barmode == "stack"
    assert drawing.points({"a": ([1], [2])}, colours={"a": "#000000"}).data[0].marker.color == "#000000"
    field = drawing.matrix(np.eye(3), span=(0, 1))
    assert field.layout.yaxis.autorange == "reversed"
    assert field.data[0].zmax == 1
