"""Figures of the learn notebooks: one look, a trace or two, axes that say their unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.ui.chart import AXIS, COLOURS, LAYOUT

if TYPE_CHECKING:
    import numpy as np
    from plotly.graph_objects import Figure

    #: Name of a trace -> where its points stand.
    Series = Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]]

HEIGHT = 340


def lines(
    series: Series,
    *,
    x: Mapping[str, Any] | str = "",
    y: Mapping[str, Any] | str = "",
    colours: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
    steps: bool = False,
) -> Figure:
    """Lines over a common axis.

    Parameters
    ----------
    series : mapping of str to (x, y)
        Name -> its points; the name stands in the legend.
    x, y : str or mapping
        An axis's title, with its unit in square brackets, or plotly's own settings (``{"title": …, "type": "log"}``).
    colours : mapping of str to str, optional
        Name -> colour; the others take the house's in turn.
    dashed : sequence of str
        Names drawn with dashes: what is only compared with.
    steps : bool
        Whether a value holds until the next.
    """
    made = _empty(x, y)
    for at, (name, (across, up)) in enumerate(series.items()):
        line: dict[str, Any] = {"color": _colour(colours, name, at), "width": 2}
        line |= {"dash": "dash"} if name in dashed else {}
        line |= {"shape": "hv"} if steps else {}
        made.add_scatter(x=across, y=up, mode="lines", name=name, line=line)
    return made


def points(
    series: Series,
    *,
    x: Mapping[str, Any] | str = "",
    y: Mapping[str, Any] | str = "",
    colours: Mapping[str, str] | None = None,
    size: float = 8,
) -> Figure:
    """Points, a colour a name; parameters as of :func:`lines`, `size` [pixels]."""
    made = _empty(x, y)
    for at, (name, (across, up)) in enumerate(series.items()):
        made.add_scatter(
            x=across, y=up, mode="markers", name=name, marker={"color": _colour(colours, name, at), "size": size}
        )
    return made


def bars(
    series: Series,
    *,
    x: Mapping[str, Any] | str = "",
    y: Mapping[str, Any] | str = "",
    colours: Mapping[str, str] | None = None,
    stacked: bool = False,
) -> Figure:
    """Bars side by side, or `stacked`; parameters as of :func:`lines`."""
    made = _empty(x, y)
    for at, (name, (across, up)) in enumerate(series.items()):
        made.add_bar(x=across, y=up, name=name, marker={"color": _colour(colours, name, at)})
    made.update_layout(barmode="stack" if stacked else "group", bargap=0.25)
    return made


def matrix(
    values: np.ndarray,
    *,
    x: Mapping[str, Any] | str = "",
    y: Mapping[str, Any] | str = "",
    span: tuple[float, float] | None = None,
    colours: str = "Blues",
) -> Figure:
    """A matrix as a field of colours, its first row on top.

    Parameters
    ----------
    values : array of shape (rows, columns)
    span : (float, float), optional
        What the ends of the scale stand for; fixed, so that a change is seen.
    colours : str
        plotly's name of a scale; ``"RdBu"`` where zero is in the middle.
    """
    made = _empty(x, y)
    ends = {"zmin": span[0], "zmax": span[1]} if span else {}
    made.add_heatmap(z=values, colorscale=colours, showscale=False, **ends)
    made.update_yaxes(autorange="reversed")
    return made


def mark(
    figure: Figure,
    name: str,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    colour: str | None = None,
    size: float = 10,
) -> None:
    """Points set into a figure that stands already.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Gets a trace more.
    name : str
        Stands in the legend.
    x, y : sequence of float
    colour : str, optional
        The house's next without it.
    size : float
        [pixels]
    """
    colour = colour or COLOURS[len(figure.data) % len(COLOURS)]
    edge = {"color": "rgba(255,255,255,0.8)", "width": 1}
    figure.add_scatter(x=x, y=y, mode="markers", name=name, marker={"color": colour, "size": size, "line": edge})


def _empty(x: Mapping[str, Any] | str, y: Mapping[str, Any] | str) -> Figure:
    import plotly.graph_objects as go

    made = go.Figure()
    made.update_layout(
        {
            **LAYOUT,
            "height": HEIGHT,
            "margin": {"l": 58, "r": 14, "t": 12, "b": 46, "autoexpand": False},
            "xaxis": _axis(x),
            "yaxis": _axis(y),
        }
    )
    return made


def _axis(given: Mapping[str, Any] | str) -> dict[str, Any]:
    settings = {"title": given} if isinstance(given, str) else dict(given)
    if isinstance(settings.get("title"), str):
        settings["title"] = {"text": settings["title"]}
    return {**AXIS, **settings}


def _colour(colours: Mapping[str, str] | None, name: str, at: int) -> str:
    return (colours or {}).get(name, COLOURS[at % len(COLOURS)])
