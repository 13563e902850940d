"""The Compare panel: schemes by GPUs, two GPUs and two plans side by side, and what is worth its money."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench import cpu
from workbench.ui import choices, comparing
from workbench.ui.answering import AnsweringPanel
from workbench.ui.kept import KeepsPlans
from workbench.ui.panel import Refused
from workbench.ui.pareto_chart import legend
from workbench.ui.plain import plain

if TYPE_CHECKING:
    from workbench.planner.matrix import Grid, Option
    from workbench.ui.pareto_chart import ParetoChart


class ComparePanel(KeepsPlans, AnsweringPanel):
    """Compare schemes and GPUs for one model and workload, two GPUs, and two plans.

    Parameters
    ----------
    url : bool
        Whether an app page keeps the choice in its address.
    **choice
        Fields of the first choice: those of a plan that both share (``model``, ``isl`` …), and ``gpus``, ``schemes``,
        ``most_gpus`` of the matrix, ``left``, ``right``, ``cards`` of the two GPUs, ``one``, ``two`` of the two plans.

    Attributes
    ----------
    choice : dict
        What is compared; assigning a part of it changes that part.
    answer : dict
        The matrix, the two GPUs, the two plans.
    cells : tuple of workbench.planner.matrix.Option
        Every deployment of the matrix.
    plans : dict of str to dict
        Choices kept by name.
    picked : dict
        Fields of a plan that were picked from the matrix; empty at first.

    Examples
    --------
    >>> panel = ComparePanel(gpus=["L40S", "H100 SXM"], schemes=[None, "fp8"])
    >>> len(panel.cells)
    16
    >>> panel.answer["matrix"]["columns"]
    ['L40S', 'H100 SXM5']
    """

    script = "compare.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice", "plans", "narrow"})
    actions: ClassVar[dict[str, str]] = {"pick": "pick"}
    defaults = comparing.DEFAULTS

    #: All deployments as rows, the first being the header; with the chart, since nobody reads them before.
    table = traitlets.List(read_only=True).tag(sync=True)
    chart = traitlets.Unicode("", read_only=True).tag(sync=True)
    narrow = traitlets.Bool(False).tag(sync=True)
    picked = traitlets.Dict(read_only=True)

    def __init__(self, *, url: bool = False, **choice: Any) -> None:
        self.cells: Sequence[Option] = ()
        self._chart: ParetoChart | None = None
        self._made: dict[str, tuple[Any, Any]] = {}
        super().__init__(url=url, **choice)

    def follow(self, choice: Mapping[str, Any]) -> None:
        """Take what a planner's choice has in common with this one; its card is among those compared."""
        present = self.choice
        fresh = {name: choice[name] for name in comparing.SHARED}
        fresh["schemes"] = comparing.schemes_of(choice["engine"], present["schemes"])
        card, count = choice["gpu"], choice["tensor_parallel_size"]
        if choice["own_gpu"] is None and not cpu.is_cpu(card):
            fresh["left"] = card if card != present["right"] else present["left"]
            if card not in present["gpus"] and len(present["gpus"]) < comparing.MOST:
                fresh["gpus"] = [card, *present["gpus"]]
        if count in comparing.COUNTS[1:]:
            fresh["cards"] = count
        self.choice = fresh

    def shared(self) -> dict[str, Any]:
        """What a planner's choice has in common with this one."""
        return {name: self.choice[name] for name in comparing.SHARED}

    def pick(self, gpu: str = "", quantization: str | None = None) -> None:
        """Say that a cell of the matrix is to be planned with."""
        from workbench.planner.matrix import matrix

        cell = matrix(self.cells).get((quantization, gpu))
        if cell is None:
            raise Refused("that is not in the matrix")
        alone = {name: choices.DEFAULTS[name] for name in comparing.NOT_SHARED}
        taken = {"gpu": gpu, "quantization": quantization, "tensor_parallel_size": cell.tensor_parallel_size}
        self.set_trait("picked", {})
        self.set_trait("picked", {**alone, **taken})

    def _offered(self) -> Mapping[str, Any]:
        return comparing.options()

    def _checked(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        return comparing.checked(choice)

    def _work_out(self, choice: Mapping[str, Any]) -> None:
        grid = self._grid(choice)
        *_, workload = comparing.settings(choice)
        self.cells = grid.options(workload, choices.service_level(choice))

    def _grid(self, choice: Mapping[str, Any]) -> Grid:
        from workbench.planner.matrix import Grid

        model, settings, _ = comparing.settings(choice)
        sizes = comparing.counts(choice["most_gpus"])
        key = [choice["model"], choice["config"], settings, choice["gpus"], choice["schemes"], sizes]
        return self._once("grid", key, lambda: Grid(model, choice["gpus"], choice["schemes"], sizes, **settings))

    def _once(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for the same key last time, else made anew: a moved slider changes little of the page."""
        text = json.dumps(key, default=str)
        if name not in self._made or self._made[name][0] != text:
            self._made[name] = text, make()
        return self._made[name][1]

    def _shown(self) -> dict[str, Any]:
        choice = self.choice
        shared = [choice[name] for name in comparing.SHARED]
        sides = [choice[name] for name in ("left", "right", "cards")]
        kept = [choice["one"], choice["two"], self.plans]
        return {
            "matrix": plain(_matrix(self.cells, choice)),
            "cards": self._once("cards", [*shared, *sides], lambda: plain(_two_cards(choice))),
            "plans": self._once("plans", kept, lambda: plain(_two_plans(choice, self.plans))),
            "legend": legend(choice["gpus"]),
            "asked": any(choice[name] is not None for name in choices.SERVICE_LEVEL),
        }

    @traitlets.observe("plans")
    def _plans_changed(self, _change: Any) -> None:
        if self.answer:
            self.set_trait("answer", self._shown())

    def _draw(self) -> None:
        self.set_trait("table", plain(_rows(self.cells)))
        titles = _titles(self.choice)
        if self._chart is None:
            from workbench.ui.pareto_chart import ParetoChart

            self._chart = ParetoChart(self.cells, titles, narrow=self.narrow)
            self.set_trait("chart", f"anywidget:{self._chart.widget.model_id}")
        else:
            self._chart.show(self.cells, titles)

    @traitlets.observe("narrow")
    def _turn(self, _change: Any) -> None:
        if self._chart is not None:
            self._chart.turn(self.narrow)


def _titles(choice: Mapping[str, Any]) -> dict[str | None, str]:
    """What the schemes of the choice's engine are called."""
    engine = next(each for each in choices.options()["engines"] if each["value"] == choice["engine"])
    known = {each["value"]: each["label"] for each in engine["schemes"]}
    return {name: known.get(name, str(name)) for name in choice["schemes"]}


def _matrix(cells: Sequence[Option], choice: Mapping[str, Any]) -> dict[str, Any]:
    """Scheme by GPU: of each cell the option to take, its figure, and how good that is among them."""
    from workbench.planner.matrix import matrix

    name, unit, better = comparing.FIGURES[choice["figure"]]
    taken = matrix(cells)
    figures = {key: _figure(option, choice["figure"]) for key, option in taken.items()}
    shades = _shades({key: value for key, value in figures.items() if value is not None}, better)
    best = max(shades, key=lambda key: (taken[key].meets, shades[key]), default=None)
    return {
        "figure": name,
        "unit": unit,
        "columns": choice["gpus"],
        "rows": [
            {
                "scheme": scheme,
                "title": title,
                "cells": [
                    _cell(taken[scheme, gpu], figures[scheme, gpu], shades.get((scheme, gpu)), best == (scheme, gpu))
                    for gpu in choice["gpus"]
                ],
            }
            for scheme, title in _titles(choice).items()
        ],
    }


def _cell(option: Option, value: float | None, shade: float | None, best: bool) -> dict[str, Any]:
    return {
        "gpu": option.gpu,
        "gpus": option.gpus,
        "fits": option.fits,
        "verdict": option.verdict,
        "reason": option.reason,
        "meets": option.meets,
        "value": value,
        "shade": shade,
        "best": best,
    }


def _figure(option: Option, name: str) -> float | None:
    """A cell's figure; None where there is none."""
    speed = option.speed
    if speed is None:
        return None
    if name == "per_gpu":
        return option.output_tokens_per_s_per_gpu
    if name in ("kv_cache_tokens", "usd_per_hour"):
        value: float | None = getattr(option, name)
        return value
    found = getattr(speed, name)
    return found.value if found else None


def _shades(figures: Mapping[Any, float], better: str) -> dict[Any, float]:
    """How good each figure is among them, by its rank: 1 the best, 0 the worst."""
    order = sorted(set(figures.values()), reverse=better == "less")
    last = max(len(order) - 1, 1)
    return {key: order.index(value) / last for key, value in figures.items()}


def _two_cards(choice: Mapping[str, Any]) -> dict[str, Any]:
    from workbench.planner.compare import gpus_in_words, two_gpus

    model, settings, workload = comparing.settings(choice)
    both = (model, choice["left"], choice["right"])
    given = {**settings, "workload": workload, "tensor_parallel_size": choice["cards"]}
    return {
        "a": choice["left"],
        "b": choice["right"],
        "lines": [line.to_dict() for line in two_gpus(*both, **given)],
        "words": gpus_in_words(*both, **given),
    }


def _two_plans(choice: Mapping[str, Any], plans: Mapping[str, Any]) -> dict[str, Any]:
    """Two of the kept plans: those chosen, else the first and the last."""
    from workbench.planner import plan
    from workbench.planner.compare import two_plans

    names = list(plans)
    if len(names) < 2:
        return {"names": names, "a": "", "b": "", "lines": []}
    one = choice["one"] if choice["one"] in plans else names[0]
    two = choice["two"] if choice["two"] in plans else names[-1]
    made = []
    for name in (one, two):
        model, card, settings, workload = choices.arguments({**choices.DEFAULTS, **plans[name]})
        made.append(plan(model, gpu=card, workload=workload, **settings))
    return {"names": names, "a": one, "b": two, "lines": [line.to_dict() for line in two_plans(*made)]}


def _rows(cells: Sequence[Option]) -> list[list[Any]]:
    """All deployments for a table to take along, in base units."""
    speeds = ("ttft", "tpot", "output_tokens_per_s", "usd_per_million_tokens")
    units = {"ttft": " [s]", "tpot": " [s]"}
    header = ["gpu", "quantization", "gpus", "verdict", "meets", "pareto", "usd_per_hour", "kv_cache_tokens"]
    header += [f"{name}{units.get(name, '')}{end}" for name in speeds for end in ("", " low", " high")]
    rows: list[list[Any]] = [header]
    for option in cells:
        row: list[Any] = [option.gpu, option.quantization or "", option.gpus, option.verdict, option.meets]
        row += [option.pareto, option.usd_per_hour, option.kv_cache_tokens]
        for name in speeds:
            found = getattr(option.speed, name, None)
            row += [found.value, found.low, found.high] if found else [None] * 3
        rows.append(row)
    return rows
