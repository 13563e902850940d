"""Two pictures of a plan in one figure: throughput against latency, and the roofline."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.quantities import show_count, show_seconds, show_usd
from workbench.ui.chart import (
    AXIS,
    BLUE,
    GREEN,
    GREY,
    LAYOUT,
    ORANGE,
    PINK,
    change,
    key,
    linear,
    logarithmic,
    text,
    ticks,
    widget,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from workbench.deployment import ServiceLevel
    from workbench.planner.curve import Curve, Point
    from workbench.planner.roofline_points import Roofline, RooflinePoint

_SECONDS = ((1e-3, "ms"), (1.0, "s"))
_RATES = ((1e9, "GFLOP/s"), (1e12, "TFLOP/s"), (1e15, "PFLOP/s"))
_PHASES = {"prefill": (GREEN, "circle"), "decode": (PINK, "diamond")}

_HOVER = "%{text}<extra></extra>"
_ASKED = {"name": "asked", "mode": "lines", "hovertemplate": _HOVER}
_SPAN = {"type": "data", "symmetric": False, "color": GREY, "thickness": 1.2, "width": 4}
_DASHED = {"width": 1.5, "dash": "dash"}


def _line(name: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6},
        "hovertemplate": _HOVER,
    }


#: How each trace looks; :func:`traces` says what it shows, in the same order.
_STYLES: tuple[Mapping[str, Any], ...] = (
    _line("per output token", BLUE),
    _line("to the first token", ORANGE),
    {
        "name": "this plan, 90 % interval",
        "mode": "markers",
        "marker": {"size": 14, "color": [BLUE, ORANGE], "line": {"width": 2.5, "color": "white"}},
        "error_x": _SPAN,
        "error_y": _SPAN,
        "hovertemplate": _HOVER,
    },
    {**_ASKED, "line": {"color": BLUE, **_DASHED}},
    {**_ASKED, "line": {"color": ORANGE, **_DASHED}},
    {**_ASKED, "line": {"color": GREY, **_DASHED}},
    {
        "name": "most that meets what is asked",
        "mode": "markers",
        "marker": {"size": 13, "symbol": "star", "color": GREEN, "line": {"width": 1, "color": "white"}},
        "hovertemplate": _HOVER,
    },
    {"name": "roof", "mode": "lines", "line": {"color": GREY, "width": 2}, "hovertemplate": _HOVER},
    {"name": "overheads", "mode": "lines", "line": {"color": GREY, "width": 1, "dash": "dot"}, "hoverinfo": "skip"},
    {
        "name": "prefill and decode",
        "mode": "markers+text",
        "textposition": ["bottom center", "bottom right"],
        "marker": {
            "size": 13,
            "color": [colour for colour, _ in _PHASES.values()],
            "symbol": [symbol for _, symbol in _PHASES.values()],
            "line": {"width": 1.5, "color": "white"},
        },
        "hovertemplate": "%{hovertext}<extra></extra>",
    },
)
_ROOFLINE = 7
#: What the page says under the picture; prefill and decode are named where they are.
LEGEND = [
    key("●", BLUE, "time per output token"),
    key("●", ORANGE, "time to the first token"),
    key("⬤", GREY, "this plan, with its 90 % intervals"),
    key("┅", GREY, "asked"),
    key("○", GREY, "misses what is asked"),
    key("★", GREEN, "most that meets it"),
]


class PlanChart:
    """The figure of a plan, kept up to date in place.

    Parameters
    ----------
    curve : Curve
    slo : ServiceLevel
        What is asked; drawn as dashed lines.
    roofline : Roofline or None
    narrow : bool
        Whether the pictures stand above each other.

    Attributes
    ----------
    widget : plotly.graph_objects.FigureWidget
    """

    def __init__(self, curve: Curve, slo: ServiceLevel, roofline: Roofline | None, *, narrow: bool = False) -> None:
        self._slo, self._narrow = slo, narrow
        self.widget = widget(figure(curve, slo, roofline, narrow=narrow))

    def show(self, curve: Curve, slo: ServiceLevel, roofline: Roofline | None) -> None:
        """Show another plan."""
        layout = axes(curve, slo, roofline)
        if slo.percentile != self._slo.percentile:
            layout |= titles(slo, self._narrow)
        self._slo = slo
        change(self.widget, traces(curve, slo, roofline), layout)

    def turn(self, narrow: bool) -> None:
        """Stand the pictures above each other, or beside."""
        self._narrow = narrow
        self.widget.update_layout(places(narrow) | titles(self._slo, narrow))


def figure(curve: Curve, slo: ServiceLevel, roofline: Roofline | None, *, narrow: bool = False) -> Figure:
    """The figure, complete."""
    import plotly.graph_objects as go

    made = go.Figure()
    for number, (style, values) in enumerate(zip(_STYLES, traces(curve, slo, roofline), strict=True)):
        second = {"xaxis": "x2", "yaxis": "y2"} if number >= _ROOFLINE else {}
        made.add_scatter(**_merged(style, values), **second, cliponaxis=False)
    made.update_layout(
        {
            **LAYOUT,
            "margin": {"l": 56, "r": 16, "t": 34, "b": 10, "autoexpand": False},
            "xaxis": {**AXIS, "title": _title("Output tokens/s, all requests")},
            "yaxis": {**AXIS, "type": "log"},
            "xaxis2": {**AXIS, "type": "log", "title": _title("FLOP per byte moved")},
            "yaxis2": {**AXIS, "type": "log", "anchor": "x2"},
        }
    )
    made.update_layout(axes(curve, slo, roofline))
    made.update_layout(places(narrow) | titles(slo, narrow))
    return made


def _title(words: str) -> dict[str, Any]:
    return {"text": words, "standoff": 6, "font": {"size": 12.5}}


def _merged(style: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**style}
    for name, value in values.items():
        merged[name] = {**style[name], **value} if isinstance(value, Mapping) and name in style else value
    return merged


def traces(curve: Curve, slo: ServiceLevel, roofline: Roofline | None) -> list[dict[str, Any]]:
    """What each trace shows, in the order of the figure's."""
    points, chosen, best = curve.points, curve.chosen, curve.best
    rates = [point.speed.output_tokens_per_s.value for point in points]
    hover = [_hover(point) for point in points]
    marker = {"symbol": ["circle" if point.speed.meets else "circle-open" for point in points]}
    times = [[getattr(point.speed, name).value for point in points] for name in ("tpot", "ttft")]
    found: list[dict[str, Any]] = [{"x": rates, "y": each, "text": hover, "marker": marker} for each in times]
    found.append(_chosen(chosen) if chosen else {"x": [], "y": [], "text": []})
    right = _rates(curve, slo)[1]
    for most, words in ((slo.tpot, "per output token"), (slo.ttft, "to the first token")):
        told = "" if most is None else f"asked: {show_seconds(most)} {words}"
        found.append({"x": [0, right] if most else [], "y": [most, most] if most else [], "text": told})
    least, (low, high) = slo.output_tokens_per_s, _times(curve, slo)
    told = "" if least is None else f"asked: {show_count(least)} tokens/s"
    ends = [10**low, 10**high]
    found.append({"x": [least, least] if least else [], "y": ends if least else [], "text": told})
    asked = slo.tpot or slo.ttft or least
    found.append(
        {"x": [best.speed.output_tokens_per_s.value], "y": [best.speed.tpot.value], "text": [_hover(best)]}
        if best and asked
        else {"x": [], "y": [], "text": []}
    )
    return found + _roof(roofline)


def _chosen(point: Point) -> dict[str, Any]:
    speed = point.speed
    rate, times = speed.output_tokens_per_s, (speed.tpot, speed.ttft)
    return {
        "x": [rate.value] * 2,
        "y": [time.value for time in times],
        "text": [f"<b>this plan</b><br>{_hover(point)}"] * 2,
        "error_x": {"array": [rate.high - rate.value] * 2, "arrayminus": [rate.value - rate.low] * 2},
        "error_y": {"array": [t.high - t.value for t in times], "arrayminus": [t.value - t.low for t in times]},
    }


def _hover(point: Point) -> str:
    speed = point.speed
    lines = [
        f"{show_count(point.concurrency)} requests at once",
        f"{show_seconds(speed.tpot.value)} per output token",
        f"{show_seconds(speed.ttft.value)} to the first token",
        f"{show_count(speed.output_tokens_per_s.value)} tokens/s",
    ]
    if speed.usd_per_million_tokens is not None:
        lines.append(f"{show_usd(speed.usd_per_million_tokens.value)} per million tokens")
    return text(*lines, *([] if point.speed.meets else ["misses the service level"]))


def _roof(roofline: Roofline | None) -> list[dict[str, Any]]:
    if roofline is None:
        return [{"x": [], "y": [], "text": []} for _ in range(3)]
    left, right = (10**end for end in logarithmic(_intensities(roofline), 1.0))
    words = f"{roofline.bandwidth / 1e9:,.0f} GB/s, {roofline.rate / 1e12:,.0f} TFLOP/s dense"
    xs, ys, labels = [], [], []
    for point in roofline.points:
        xs.append(point.intensity)
        ys.append(point.achieved)
        labels.append(point.phase)
    drops = [value for point in roofline.points for value in (point.intensity, point.intensity, None)]
    heights = [value for point in roofline.points for value in (point.attainable, point.achieved, None)]
    return [
        {
            "x": [left, roofline.ridge, right],
            "y": [left * roofline.bandwidth, roofline.rate, roofline.rate],
            "text": [words, f"{words}<br>they meet at {roofline.ridge:,.0f} FLOP/B", words],
        },
        {"x": drops, "y": heights},
        {
            "x": xs,
            "y": ys,
            "text": labels,
            "hovertext": [_about(point) for point in roofline.points],
        },
    ]


def _about(point: RooflinePoint) -> str:
    what = "a prompt alone" if point.phase == "prefill" else "the running batch"
    limit = "memory bandwidth" if point.limit == "bandwidth" else "compute"
    return text(
        f"{point.phase}, {what}",
        f"{point.intensity:,.3g} FLOP/B: limited by {limit}",
        f"{point.achieved / 1e12:,.3g} TFLOP/s of {point.attainable / 1e12:,.3g} under the roof",
    )


def axes(curve: Curve, slo: ServiceLevel, roofline: Roofline | None) -> dict[str, Any]:
    """The ranges that hold it all, and ticks in units people read."""
    times = _times(curve, slo)
    found: dict[str, Any] = {
        "xaxis": {"range": _rates(curve, slo)},
        "yaxis": {"range": times, **ticks(times, 1, _SECONDS)},
    }
    if roofline is not None:
        wide = logarithmic(_intensities(roofline), 1.0)
        tall = logarithmic([roofline.rate * 1.5, *(point.achieved / 3 for point in roofline.points)])
        found["xaxis2"] = {"range": wide, **ticks(wide, 1, [(1.0, "")])}
        found["yaxis2"] = {"range": tall, **ticks(tall, 1, _RATES)}
    return found


def _rates(curve: Curve, slo: ServiceLevel) -> list[float]:
    rates = [point.speed.output_tokens_per_s.value for point in curve.points]
    return linear(max([*rates, slo.output_tokens_per_s or 0.0], default=1.0) * 1.03)


def _times(curve: Curve, slo: ServiceLevel) -> list[float]:
    speeds = [point.speed for point in curve.points]
    values = [value for speed in speeds for value in (speed.tpot.value, speed.ttft.value)]
    if curve.chosen:
        values += [curve.chosen.speed.tpot.low, curve.chosen.speed.ttft.high]
    return logarithmic([*values, slo.tpot or 0.0, slo.ttft or 0.0])


def _intensities(roofline: Roofline) -> tuple[float, float]:
    values = [roofline.ridge, *(point.intensity for point in roofline.points)]
    return min(1.0, min(values) / 2), max(values) * 4


#: Where each picture begins and ends, across and up: beside each other, and above where there is no room.
_WIDE = (((0, 0.47), (0.1, 1)), ((0.6, 1), (0.1, 1)))
_NARROW = (((0, 1), (0.6, 1)), ((0.06, 1), (0.06, 0.44)))


def places(narrow: bool) -> dict[str, Any]:
    """Where the two pictures stand."""
    (x1, y1), (x2, y2) = _NARROW if narrow else _WIDE
    return {
        "height": 700 if narrow else 370,
        "xaxis": {"domain": x1},
        "yaxis": {"domain": y1},
        "xaxis2": {"domain": x2, "anchor": "y2"},
        "yaxis2": {"domain": y2},
    }


def titles(slo: ServiceLevel, narrow: bool) -> dict[str, Any]:
    """What the pictures show, above each."""
    latency = "latency" if slo.percentile == 50 else f"latency of {slo.percentile:g} % of requests"
    look = {"showarrow": False, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 8}
    words = (f"Throughput and {latency}", "Roofline of one card")
    return {
        "annotations": [
            {**look, "text": f"<b>{text}</b>", "x": across[0], "y": up[1]}
            for text, (across, up) in zip(words, _NARROW if narrow else _WIDE, strict=True)
        ]
    }


@cache
def preload() -> threading.Thread:
    """Load plotly beside everything else: that takes seconds, in which the controls are to answer all the same.

    Returns
    -------
    threading.Thread
        Ended once it is loaded.
    """

    def load() -> None:
        from workbench.deployment import ServiceLevel
        from workbench.planner.curve import Curve

        figure(Curve((), None, None), ServiceLevel(), None)
        getattr(importlib.import_module("plotly.graph_objects"), "FigureWidget")  # noqa: B009  # loaded when named

    thread = threading.Thread(target=load, name="plotly", daemon=True)
    thread.start()
    return thread
