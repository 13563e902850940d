"""Controls beside a picture that follows them, and a sentence that says what to see in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets
from ipywidgets import Box, Layout, ValueWidget, VBox, interactive

from workbench.ui.chart import GREY, change, key, widget
from workbench.ui.panel import Panel, sentence

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: How a trace is drawn -> its mark in the legend.
_MARKS = {"lines": "━", "markers": "●", "bar": "■", "heatmap": "▦"}


@dataclass(frozen=True)
class Picture:
    """What a choice of the controls shows.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Complete. Named traces stand in the legend.
    said : str
        One or two plain sentences with the numbers to take from it.
    """

    figure: Figure
    said: str


class Caption(Panel):
    """What is said of a picture, and its legend, in the page's own words: both can be read aloud."""

    script = "caption.js"
    style = "caption.css"

    said = traitlets.Unicode(read_only=True).tag(sync=True)
    problem = traitlets.Unicode(read_only=True).tag(sync=True)
    legend = traitlets.List(read_only=True).tag(sync=True)


class Explorer(VBox):
    """A function of a few values as controls, a picture and a sentence.

    An ordinary widget: assign to ``controls["bits"].value``, observe it, put it beside others.

    Parameters
    ----------
    picture : callable
        Takes the controls' values by name and returns a :class:`Picture`; its defaults are the first values. It is
        called at every movement, so it takes a few hundredths of a second at most.
    **controls
        Name -> what ipywidgets makes a control of: a pair or triple of numbers (a slider), a list or dict (a menu), a
        bool (a box to tick), or a widget.

    Attributes
    ----------
    controls : dict of str to ipywidgets.ValueWidget
    figure : plotly.graph_objects.FigureWidget
    said : str
        The sentence under the picture.

    Raises
    ------
    ValueError
        If a control is of no kind that ipywidgets knows.
    """

    def __init__(self, picture: Callable[..., Picture], **controls: Any) -> None:
        self._picture = picture
        self.controls = _controls(picture, controls)
        self._caption = Caption()
        first = self._shown()
        self.figure = widget(first.figure)
        row = Box(
            list(self.controls.values()),
            layout=Layout(display="flex", flex_flow="row wrap", grid_gap="2px 18px", margin="0 0 4px"),
        )
        super().__init__([row, self.figure, self._caption])
        self.add_class("wb-explorer")
        self._say(first)
        for control in self.controls.values():
            control.observe(self._moved, "value")

    @property
    def said(self) -> str:
        """The sentence under the picture."""
        return str(self._caption.said)

    def _shown(self) -> Picture:
        return self._picture(**{name: control.value for name, control in self.controls.items()})

    def _moved(self, _: Any) -> None:
        try:
            found = self._shown()
        except Exception as error:  # a page shows a sentence, never a traceback
            self._caption.set_trait("problem", sentence(error))
            return
        traces = [{name: value for name, value in trace.items() if name != "type"} for trace in _plain(found.figure)]
        change(self.figure, traces, found.figure.layout.to_plotly_json())
        self._say(found)

    def _say(self, picture: Picture) -> None:
        self._caption.set_trait("problem", "")
        self._caption.set_trait("said", picture.said)
        self._caption.set_trait("legend", [_entry(trace) for trace in _plain(picture.figure) if trace.get("name")])


def _plain(figure: Figure) -> list[dict[str, Any]]:
    return [trace.to_plotly_json() for trace in figure.data]


def _controls(picture: Callable[..., Picture], asked: dict[str, Any]) -> dict[str, ValueWidget]:
    """A control a name, beginning at the picture's own default."""
    import inspect

    parameters = inspect.signature(picture).parameters
    made: dict[str, ValueWidget] = {}
    for name, short in asked.items():
        control = interactive.widget_from_abbrev(short, parameters[name].default)
        if control is None:
            raise ValueError(f"{name}: {short!r} makes no control; give a pair of numbers, a list or a widget")
        control.description = control.description or name.replace("_", " ").capitalize()
        control.style.description_width = "initial"
        # As wide as it must be to be moved by a finger, and two in a row on a page.
        control.layout = Layout(flex="1 1 260px", max_width="420px", min_width="0")
        made[name] = control
    return made


def _entry(trace: dict[str, Any]) -> dict[str, str]:
    """A trace's line of the legend."""
    kind = trace.get("type", "scatter")
    mode = "lines" if "lines" in trace.get("mode", "lines") else "markers"
    colour = trace.get("marker" if mode == "markers" or kind == "bar" else "line", {}).get("color", GREY)
    mark = _MARKS.get(kind, _MARKS[mode])
    if mode == "lines" and kind == "scatter" and trace.get("line", {}).get("dash"):
        mark = "┅"
    return key(mark, colour if isinstance(colour, str) else GREY, trace["name"])
