"""What is worth its money: every deployment of the matrix by time per token and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.planner.matrix import cost, priced
from workbench.quantities import show_count, show_seconds, show_usd
from workbench.ui.chart import (
    AXIS,
    COLOURS,
    GREY,
    LAYOUT,
    MARKS,
    SYMBOLS,
    change,
    key,
    logarithmic,
    text,
    ticks,
    widget,
)
from workbench.ui.comparing import MOST

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from workbench.planner.matrix import Option

_SECONDS = ((1e-3, "ms"), (1.0, "s"))


class ParetoChart:
    """The figure of a matrix, kept up to date in place.

    Parameters
    ----------
    options : sequence of Option
    titles : mapping
        What the schemes are called.
    narrow : bool
        Whether there is little room.

    Attributes
    ----------
    widget : plotly.graph_objects.FigureWidget
    """

    def __init__(self, options: Sequence[Option], titles: Mapping[str | None, str], *, narrow: bool = False) -> None:
        self.widget = widget(figure(options, titles, narrow=narrow))

    def show(self, options: Sequence[Option], titles: Mapping[str | None, str]) -> None:
        """Show others."""
        change(self.widget, traces(options, titles), axes(options))

    def turn(self, narrow: bool) -> None:
        """Fit another width."""
        self.widget.update_layout(places(narrow))


def figure(options: Sequence[Option], titles: Mapping[str | None, str], *, narrow: bool = False) -> Figure:
    """The figure, complete: the front, then a trace for each card, with room for :data:`MOST`."""
    import plotly.graph_objects as go

    made = go.Figure()
    front, *cards = traces(options, titles)
    line = {"mode": "lines+text", "textposition": "top right", "textfont": {"size": 11}, "hoverinfo": "skip"}
    made.add_scatter(**front, **line, line={"color": GREY, "width": 1.5, "dash": "dot"})
    for number, values in enumerate(cards):
        look = {"color": COLOURS[number % len(COLOURS)], "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 10}
        marker = {**look, **values.pop("marker")}
        made.add_scatter(**values, mode="markers", marker=marker, hovertemplate="%{text}<extra></extra>")
    made.update_layout(
        {
            **LAYOUT,
            "margin": {"l": 62, "r": 20, "t": 12, "b": 50, "autoexpand": False},
            "xaxis": {**AXIS, "type": "log", "title": _title("Time per output token")},
            "yaxis": {**AXIS, "type": "log", "title": {**_title(""), "standoff": 2}},
        }
    )
    made.update_layout(axes(options))
    made.update_layout(places(narrow))
    return made


def legend(cards: Sequence[str]) -> list[dict[str, str]]:
    """How the cards are told apart, for the page."""
    return [key(MARKS[n % len(MARKS)], COLOURS[n % len(COLOURS)], card) for n, card in enumerate(cards)]


def _title(words: str) -> dict[str, Any]:
    return {"text": words, "standoff": 6, "font": {"size": 12.5}}


def traces(options: Sequence[Option], titles: Mapping[str | None, str]) -> list[dict[str, Any]]:
    """The front and the cards' points; cards that are not there are empty traces."""
    money = priced(options)
    drawn = [option for option in options if option.speed and math.isfinite(cost(option, money))]
    front = sorted((option for option in drawn if option.pareto), key=_tpot)
    times, costs = [_tpot(option) for option in front], [cost(option, money) for option in front]
    spans = axes(options)
    at = zip(_shares(times, spans["xaxis"]["range"]), _shares(costs, spans["yaxis"]["range"]), strict=True)
    found: list[dict[str, Any]] = [{"x": times, "y": costs, "text": _labels(front, titles, list(at))}]
    cards = list(dict.fromkeys(option.gpu for option in options))[:MOST]
    for number in range(MOST):
        own = [option for option in drawn if number < len(cards) and option.gpu == cards[number]]
        found.append(
            {
                "x": [_tpot(option) for option in own],
                "y": [cost(option, money) for option in own],
                "text": [_hover(option, titles) for option in own],
                "marker": {"opacity": [0.9 if option.meets else 0.25 for option in own]},
            }
        )
    return found


def _labels(front: Sequence[Option], titles: Mapping[str | None, str], at: Sequence[tuple[float, float]]) -> list[str]:
    """What the points of the front are, but for those too near a named one to be told apart.

    Parameters
    ----------
    at : sequence of (float, float)
        Where they are, as shares of the axes.
    """
    labels: list[str] = []
    named: list[tuple[float, float]] = []
    for option, (x, y) in zip(front, at, strict=True):
        if any(abs(x - other) < 0.15 and abs(y - height) < 0.05 for other, height in named):
            labels.append("")
        else:
            named.append((x, y))
            labels.append(f"{titles.get(option.quantization, '')} ×{option.gpus}")
    return labels


def _shares(values: Sequence[float], span: Sequence[float]) -> list[float]:
    return [(math.log10(value) - span[0]) / (span[1] - span[0]) for value in values]


def _tpot(option: Option) -> float:
    return option.speed.tpot.value if option.speed else math.inf


def _hover(option: Option, titles: Mapping[str | None, str]) -> str:
    speed = option.speed
    assert speed is not None
    lines = [
        f"{option.gpus} × {option.gpu}, {titles.get(option.quantization, option.quantization)}",
        f"{show_seconds(speed.tpot.value)} per output token",
        f"{show_seconds(speed.ttft.value)} to the first token",
        f"{show_count(speed.output_tokens_per_s.value)} tokens/s",
    ]
    if speed.usd_per_million_tokens is not None:
        lines.append(f"{show_usd(speed.usd_per_million_tokens.value)} per million tokens")
    return text(*lines, *([] if option.meets else ["misses the service level"]))


def axes(options: Sequence[Option]) -> dict[str, Any]:
    """The ranges that hold them all."""
    drawn = [option for option in options if option.speed]
    times = logarithmic([_tpot(option) for option in drawn], 1.3)
    money = priced(options)
    costs = logarithmic([cost(option, money) for option in drawn], 1.4)
    words = "USD per million output tokens" if money else "GPU seconds per thousand output tokens"
    return {
        "xaxis": {"range": times, **ticks(times, 1, _SECONDS)},
        "yaxis": {"range": costs, **ticks(costs, 1, ((1.0, ""),)), "title": {"text": words}},
    }


def places(narrow: bool) -> dict[str, Any]:
    """The room it takes."""
    return {"height": 440 if narrow else 420}
