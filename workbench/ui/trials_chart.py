"""Size against what was lost: every method tried as a point, and the front of those that nothing beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import VBox

from workbench.quantities import show_bytes
from workbench.ui.chart import AXIS, BLUE, GREY, LAYOUT, linear, logarithmic, text, widget

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from workbench.ui.methods import MethodsPanel


class TrialsChart(VBox):
    """The chart of what a :class:`MethodsPanel` shows; drawn anew when that changes."""

    def __init__(self, panel: MethodsPanel) -> None:
        super().__init__()
        self._drawn: list[Any] = []
        panel.observe(lambda change: self._draw(change.new), "rows")
        self._draw(panel.rows)

    def _draw(self, rows: Sequence[Mapping[str, Any]]) -> None:
        points = [row for row in rows if row["kl_divergence"] is not None]
        if points == self._drawn:
            return
        old, self._drawn = self.children, points
        # A figure changed in place loses its layout where it is nested in a page, so a new one takes its place.
        self.children = (widget(figure(points)),)
        for each in old:
            each.close()


def figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The figure, complete.

    Parameters
    ----------
    rows : sequence of mapping
        ``title``, ``bytes``, ``bits``, ``kl_divergence`` [nats a token], ``top1_agreement``, ``change`` with its ends,
        ``loads_in``, ``front``.
    """
    import plotly.graph_objects as go

    made = go.Figure()
    # A method that lost nothing has no place on a logarithmic axis; it stands at its foot.
    lost = [row["kl_divergence"] for row in rows if row["kl_divergence"] > 0]
    span = logarithmic(lost, 1.6)
    foot = 10 ** span[0]
    scale, unit = _unit([row["bytes"] for row in rows])
    front = sorted((row for row in rows if row["front"]), key=lambda row: row["bytes"])
    line = {"color": GREY, "width": 1.5, "dash": "dot"}
    made.add_scatter(
        x=[row["bytes"] / scale for row in front], y=[max(row["kl_divergence"], foot) for row in front],
        mode="lines", line=line, hoverinfo="skip",
    )  # fmt: skip
    made.add_scatter(
        x=[row["bytes"] / scale for row in rows],
        y=[max(row["kl_divergence"], foot) for row in rows],
        text=_names([row["label"] for row in rows]),
        customdata=[_hover(row) for row in rows],
        hovertemplate="%{customdata}<extra></extra>",
        mode="markers+text",
        textposition="top center",
        textfont={"size": 11},
        marker={
            "size": 11,
            "color": [BLUE if row["front"] else "rgba(0,0,0,0)" for row in rows],
            "line": {"color": [BLUE if row["front"] else GREY for row in rows], "width": 2},
        },
    )
    most = max((row["bytes"] / scale for row in rows), default=1.0)
    made.update_layout(
        {
            **LAYOUT,
            "height": 420,
            "margin": {"l": 70, "r": 20, "t": 40, "b": 50, "autoexpand": False},
            "title": {"text": "Size against what was lost", "font": {"size": 14}, "x": 0.02},
            "xaxis": {**AXIS, "range": linear(most * 1.05), "title": {"text": f"Tensors on disk [{unit}]"}},
            "yaxis": {
                **AXIS, "type": "log", "range": span, "dtick": 1, "exponentformat": "power",
                "title": {"text": "KL divergence from the original [nats a token]"},
            },
        }
    )  # fmt: skip
    return made


def _names(labels: Sequence[str]) -> list[str]:
    """What stands at the points: the method, and what sets it apart only where it was tried more than once.

    >>> _names(["gptq:bits=8", "awq:q_group_size=32", "awq:q_group_size=64"])
    ['gptq', 'awq 32', 'awq 64']
    """
    methods = [label.partition(":")[0] for label in labels]
    values = [" ".join(part.partition("=")[2] for part in label.partition(":")[2].split(",")) for label in labels]
    return [
        f"{method} {value}".strip() if methods.count(method) > 1 else method
        for method, value in zip(methods, values, strict=True)
    ]


def _unit(sizes: Sequence[float]) -> tuple[float, str]:
    return (2.0**30, "GiB") if max(sizes, default=0) >= 2**29 else (2.0**20, "MiB")


def _hover(row: Mapping[str, Any]) -> str:
    lines = [
        row["title"],
        f"{show_bytes(row['bytes'])}, {row['bits']:.2f} bits a quantised weight",
        f"KL divergence {row['kl_divergence']:.2g} nats, {row['top1_agreement']:.1%} of tokens as the original",
    ]
    if row["change"] is not None and math.isfinite(row["change"]):
        low, high = row["change_low"], row["change_high"]
        lines.append(f"perplexity {row['change']:+.2%} (90 %: {low:+.2%} to {high:+.2%})")
    lines.append(f"loads in {row['loads_in']}" if row["loads_in"] else "tried in no engine")
    return text(*lines)
