"""Contenders of an experiment as bars, a small chart for each column, the best of each marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.quantities import show_bytes, show_seconds

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Column -> its title and how its values are shown.
_SHOWN: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "output_tokens_per_s": ("Output tokens/s", lambda n: f"{n:,.0f}"),
    "ttft": ("TTFT, mean", show_seconds),
    "tpot": ("TPOT, mean", show_seconds),
    "memory": ("Memory of its processes", show_bytes),
    "gpu_memory": ("Memory on cards", show_bytes),
    "disk": ("Weights on disk", show_bytes),
    "kl_divergence": ("KL divergence [nats]", lambda n: f"{n:.2g}"),
}
#: Blue for the best, grey for the others: told apart by lightness too.
_BEST, _OTHER = "#1f6feb", "#9aa4b2"


def figure(rows: Sequence[Mapping[str, Any]], winners: Mapping[str, str]) -> Figure:
    """The figure, complete.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of :meth:`workbench.benchmark.experiment.Experiment.frame`; what failed is left out.
    winners : mapping
        Column -> contender.
    """
    from plotly.subplots import make_subplots

    done = [row for row in rows if row["outcome"] == "done"]
    columns = [name for name in _SHOWN if any(row.get(name) is not None for row in done)]
    labels = [row["contender"] for row in done]
    made = make_subplots(
        rows=1, cols=max(len(columns), 1), shared_yaxes=True, horizontal_spacing=0.02,
        subplot_titles=[_SHOWN[name][0] for name in columns] or ["Nothing was measured"],
    )  # fmt: skip
    for at, name in enumerate(columns, 1):
        show = _SHOWN[name][1]
        values = [row.get(name) for row in done]
        made.add_bar(
            x=values,
            y=labels,
            orientation="h",
            text=["not measured" if value is None else show(value) for value in values],
            textposition="auto",
            hovertemplate="%{y}: %{text}<extra></extra>",
            marker={"color": [_BEST if winners.get(name) == label else _OTHER for label in labels]},
            row=1,
            col=at,
        )
    made.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, rangemode="tozero")
    made.update_yaxes(autorange="reversed", automargin=True)
    made.update_annotations(font_size=12)
    made.update_layout(
        showlegend=False, height=120 + 44 * max(len(done), 1), margin={"l": 20, "r": 20, "t": 50, "b": 20},
        plot_bgcolor="rgba(0,0,0,0)", paper_bgcolor="rgba(0,0,0,0)", font={"family": "system-ui, sans-serif"},
        bargap=0.35,
    )  # fmt: skip
    return made
