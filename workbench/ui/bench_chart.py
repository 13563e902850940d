"""Loads as a chart: what was measured, and the band that was planned, one picture a quantity over the same loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.quantities import show_seconds
from workbench.ui.chart import AXIS, BLUE, GREEN, GREY, LAYOUT, RED, key, logarithmic, text, ticks

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Quantity of a row -> its title, how it is shown, and what of it is drawn.
_PICTURES: Mapping[str, tuple[str, Callable[[float], str], Callable[[Mapping[str, Any]], float | None]]] = {
    "ttft": ("Time to the first token, mean", show_seconds, lambda row: _mean(row["ttft"])),
    "tpot": ("Time per output token, mean", show_seconds, lambda row: _mean(row["tpot"])),
    "output_tokens_per_s": ("Output tokens/s", lambda n: f"{n:,.1f}", lambda row: row["output_tokens_per_s"]),
}
_SECONDS, _RATES = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s")), ((1.0, ""),)
_BAND = "rgba(139,148,168,0.22)"
#: What the page says under the pictures.
LEGEND = [
    key("●", BLUE, "measured"),
    key("●", GREEN, "inside what was planned"),
    key("◆", RED, "outside"),
    key("┅", GREY, "planned"),
    key("▒", GREY, "its 90 % interval"),
]


def figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The figure, complete.

    Parameters
    ----------
    rows : sequence of mapping
        Of :class:`workbench.ui.bench.BenchPanel`: ``load``, ``ttft``, ``tpot``, ``output_tokens_per_s``, ``plan``.
    """
    from plotly.subplots import make_subplots

    made = make_subplots(
        rows=len(_PICTURES), cols=1, shared_xaxes=True, vertical_spacing=0.09,
        subplot_titles=[title for title, _, _ in _PICTURES.values()],
    )  # fmt: skip
    for at, (name, (_, show, value)) in enumerate(_PICTURES.items(), 1):
        seen = [row for row in rows if value(row) is not None]
        plans = [row for row in seen if name in row["plan"]]
        band = {"x": [row["load"] for row in plans], "mode": "lines", "hoverinfo": "skip", "line": {"width": 0}}
        made.add_scatter(y=[row["plan"][name]["high"] for row in plans], **band, row=at, col=1)
        made.add_scatter(
            y=[row["plan"][name]["low"] for row in plans], **band, fill="tonexty", fillcolor=_BAND, row=at, col=1
        )
        made.add_scatter(
            x=band["x"],
            y=[row["plan"][name]["value"] for row in plans],
            mode="lines+markers",
            line={"color": GREY, "width": 1.5, "dash": "dash"},
            marker={"symbol": "line-ew-open", "size": 12, "color": GREY},
            error_y={  # a band of one load has no width
                "type": "data",
                "symmetric": False,
                "array": [row["plan"][name]["high"] - row["plan"][name]["value"] for row in plans],
                "arrayminus": [row["plan"][name]["value"] - row["plan"][name]["low"] for row in plans],
                "color": GREY,
                "thickness": 1,
                "width": 5,
            },
            hoverinfo="skip",
            row=at,
            col=1,
        )
        made.add_scatter(
            x=[row["load"] for row in seen],
            y=[value(row) for row in seen],
            mode="lines+markers",
            line={"color": BLUE, "width": 2},
            marker={
                "size": 10,
                "color": [_colour(row["plan"].get(name)) for row in seen],
                "symbol": [
                    "diamond" if name in row["plan"] and not row["plan"][name]["inside"] else "circle" for row in seen
                ],
            },
            customdata=[_hover(row, name, show, value) for row in seen],
            hovertemplate="%{customdata}<extra></extra>",
            row=at,
            col=1,
        )
        ends = [value(row) or 0.0 for row in seen]
        ends += [row["plan"][name][end] for row in plans for end in ("low", "high")]
        span = logarithmic(ends, 1.4)
        units = _SECONDS if show is show_seconds else _RATES
        made.update_yaxes({**AXIS, "type": "log", "range": span, **ticks(span, 1, units)}, row=at, col=1)
    made.update_xaxes({**AXIS, "type": "category"})
    made.update_annotations(font_size=13, x=0, xanchor="left")
    made.update_layout({**LAYOUT, "height": 540, "margin": {"l": 64, "r": 16, "t": 34, "b": 40, "autoexpand": False}})
    return made


def _mean(times: Mapping[str, float] | None) -> float | None:
    return None if times is None else times["mean"]


def _colour(plan: Mapping[str, Any] | None) -> str:
    return BLUE if plan is None else GREEN if plan["inside"] else RED


def _hover(
    row: Mapping[str, Any], name: str, show: Callable[[float], str], value: Callable[[Mapping[str, Any]], float | None]
) -> str:
    lines = [row["load"], f"measured {show(value(row) or 0.0)}"]
    if (plan := row["plan"].get(name)) is not None:
        held = "inside" if plan["inside"] else "outside"
        lines.append(f"planned {show(plan['value'])} ({show(plan['low'])} to {show(plan['high'])}): {held}")
    return text(*lines)
