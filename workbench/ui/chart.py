"""What the charts share: one look, readable on light and dark, and figures that are changed in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, FigureWidget

#: After Okabe and Ito, as the rest of the page.
BLUE, ORANGE, GREEN, RED, PINK, GREY = "#4a6fe3", "#d98200", "#1b9e89", "#d1495b", "#c2649a", "#8b94a8"
#: Colours that tell several things apart, with a symbol each for those who see no colours.
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#56a0d3", "#8a6d3b", RED, "#7a6ff0", "#5f7f2f", GREY)
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "triangle-down", "pentagon", "hexagon")
#: The symbols as text, for a legend in the page's own words: plotly's is slow to draw and cannot be read aloud.
MARKS = ("●", "■", "◆", "✚", "▲", "✖", "★", "▼", "⬟", "⬢")

GRID = "rgba(139,148,168,0.25)"
FONT = "-apple-system, Segoe UI, Inter, Roboto, system-ui, sans-serif"
#: Fixed margins: a chart that makes room for its labels draws itself twice.
AXIS: Mapping[str, Any] = {"gridcolor": GRID, "zeroline": False, "tickfont": {"size": 12}, "automargin": False}
LAYOUT: Mapping[str, Any] = {
    "autosize": True,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT, "size": 13, "color": GREY},
    "hoverlabel": {"align": "left"},
    "dragmode": "pan",
    "showlegend": False,
}


def widget(figure: Figure) -> FigureWidget:
    """The figure as a widget that fills its place and carries no tool bar."""
    made = _whole_widget()(figure)
    made._config = {**made._config, "responsive": True, "displaylogo": False, "displayModeBar": False}
    return made


@cache
def _whole_widget() -> type[FigureWidget]:
    """plotly's widget, made once plotly is needed; its page is told of it once it is whole.

    plotly 7 opens its channel to the page empty and sends traces and layout after that; a page that is quick, or a
    machine that is slow, draws in between, and then never again, since a later change of these is not looked at.
    """
    from plotly.graph_objects import FigureWidget

    for name, trait in FigureWidget.class_traits().items():
        if name.startswith("_js2py"):
            trait.tag(echo_update=False)  # plotly tells at length what it drew; hearing that again costs a page as much

    class Whole(FigureWidget):  # type: ignore[misc]
        _is_whole = False

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._is_whole = True
            self.open()

        def open(self) -> None:
            if self._is_whole:
                super().open()

    return Whole


def key(mark: str, colour: str, words: str) -> dict[str, str]:
    """An entry of a chart's legend, for the page."""
    return {"mark": mark, "colour": colour, "text": words}


def change(shown: FigureWidget, traces: Iterable[Mapping[str, Any]], layout: Mapping[str, Any]) -> None:
    """Change what a figure shows, all in one message: the page paints once."""
    with shown.batch_update():
        for trace, values in zip(shown.data, traces, strict=True):
            trace.update(values)
        shown.layout.update(layout)


def logarithmic(values: Iterable[float], margin: float = 1.1) -> list[float]:
    """The range of a logarithmic axis around some values, as plotly wants it: exponents.

    It ends at steps of about 1, 2, 5, so that it stays as it is while a control moves a little.

    >>> [round(10**end, 2) for end in logarithmic([1.3, 70.0])]
    [1.0, 100.0]
    """
    found = [value for value in values if value > 0 and math.isfinite(value)] or [1.0, 10.0]
    low, high = math.log10(min(found) / margin), math.log10(max(found) * margin)
    return [math.floor(low * 3 + 1e-9) / 3, math.ceil(high * 3 - 1e-9) / 3]


def linear(most: float) -> list[float]:
    """The range of an axis from 0, to a round number above the largest value.

    >>> linear(1938.0)
    [0, 2000.0]
    """
    power = 10.0 ** math.floor(math.log10(most)) if most > 0 and math.isfinite(most) else 1.0
    return [0, next(step * power for step in (1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10, 12) if step * power >= most)]


def ticks(span: Sequence[float], scale: float, units: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Ticks at 1, 2, 5 (over few decades) or at powers of ten, in the unit that reads best.

    None at the low end, where the other axis begins.

    Parameters
    ----------
    span : two floats
        Exponents of the axis's ends.
    scale : float
        What the axis's values are of the unit's base: 1 for seconds.
    units : sequence of (float, str)
        Size and name, rising.

    Examples
    --------
    >>> found = ticks([-2, 1], 1, [(1e-3, "ms"), (1.0, "s")])
    >>> found["ticktext"]
    ['100 ms', '1 s', '10 s']
    """
    low, high = span
    steps = (1, 2, 5) if high - low < 2 else (1,)
    values = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    shown = [value for value in values if low + 0.02 < math.log10(value) <= high + 1e-9]
    return {"tickvals": shown, "ticktext": [_in_unit(value * scale, units) for value in shown]}


def _in_unit(value: float, units: Sequence[tuple[float, str]]) -> str:
    size, name = next(((size, name) for size, name in reversed(units) if value >= size * (1 - 1e-9)), units[0])
    return f"{value / size:,.6g} {name}".rstrip()


def text(*lines: str) -> str:
    """Lines of a hover text, safe where names come from elsewhere."""
    return "<br>".join(line.replace("&", "&amp;").replace("<", "&lt;") for line in lines)
